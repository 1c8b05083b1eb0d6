//! Where the bytes of a record lie while its request is read.

/// The bytes of a record.
#[derive(Clone, Copy)]
pub(super) enum Lies<'b> {
    /// In the request.
    InRequest(&'b [u8]),
    /// Elsewhere, for a moment.
    Elsewhere(&'b [u8]),
}

impl<'b> Lies<'b> {
    pub(super) fn bytes(self) -> &'b [u8] {
        match self {
            Lies::InRequest(bytes) | Lies::Elsewhere(bytes) => bytes,
        }
    }
}
