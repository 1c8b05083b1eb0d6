//! Writes the fields of messages.

/// Appends the fields of a message to a buffer.
///
/// Values that are 0 or empty are left out, except by the methods named `always_…`.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

/// A nested message that is being written: the offset of its first byte, after the byte reserved
/// for its length.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Nested(usize);

impl Writer<'_> {
    pub(crate) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, number: u32, wire: u32) {
        self.varint((number << 3 | wire).into());
    }

    /// Writes an unsigned number, or a signed one cast to 64 bits.
    pub(crate) fn number(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.always_number(number, value);
        }
    }

    pub(crate) fn always_number(&mut self, number: u32, value: u64) {
        self.key(number, 0);
        self.varint(value);
    }

    /// Writes an `sint32`.
    pub(crate) fn zigzag(&mut self, number: u32, value: i32) {
        self.number(number, ((value << 1) ^ (value >> 31)) as u32 as u64);
    }

    pub(crate) fn fixed64(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.always_fixed64(number, value);
        }
    }

    pub(crate) fn always_fixed64(&mut self, number: u32, value: u64) {
        self.key(number, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, number: u32, value: u32) {
        if value != 0 {
            self.key(number, 5);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.always_bytes(number, bytes);
        }
    }

    pub(crate) fn always_bytes(&mut self, number: u32, bytes: &[u8]) {
        self.key(number, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Writes an id, unless it is all zero.
    pub(crate) fn id(&mut self, number: u32, bytes: &[u8]) {
        if bytes.iter().any(|byte| *byte != 0) {
            self.always_bytes(number, bytes);
        }
    }

    /// Begins a nested message in this field. [`end`](Self::end) ends it.
    pub(crate) fn begin(&mut self, number: u32) -> Nested {
        self.key(number, 2);
        // One byte is reserved for the length, since most messages are shorter than 128 bytes.
        self.0.push(0);
        Nested(self.0.len())
    }

    /// Ends a nested message. O(1) for a message shorter than 128 bytes. A longer message is moved
    /// to make room for its length.
    pub(crate) fn end(&mut self, nested: Nested) {
        let Nested(start) = nested;
        let mut length = self.0.len() - start;
        if length < 0x80 {
            self.0[start - 1] = length as u8;
            return;
        }
        let mut bytes = [0; 10];
        let mut count = 0;
        loop {
            let more = length >= 0x80;
            bytes[count] = length as u8 & 0x7f | u8::from(more) << 7;
            count += 1;
            length >>= 7;
            if !more {
                break;
            }
        }
        self.0.splice(start - 1..start, bytes[..count].iter().copied());
    }

    pub(crate) fn nested(&mut self, number: u32, write: impl FnOnce(&mut Writer<'_>)) {
        let nested = self.begin(number);
        write(self);
        self.end(nested);
    }
}
