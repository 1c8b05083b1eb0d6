//! The location of a record's bytes while its request is read.

/// The bytes of a record, and where they are located.
#[derive(Clone, Copy)]
pub(super) enum RecordBytes<'b> {
    /// The bytes are a range of the request.
    InRequest(&'b [u8]),
    /// The bytes are in a temporary buffer, and must be copied.
    Elsewhere(&'b [u8]),
}

impl<'b> RecordBytes<'b> {
    pub(super) fn bytes(self) -> &'b [u8] {
        match self {
            RecordBytes::InRequest(bytes) | RecordBytes::Elsewhere(bytes) => bytes,
        }
    }
}
