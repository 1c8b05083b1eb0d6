//! Iteration over the fields of an unchecked message.

use super::check::{WireError, next};
use super::read::{Field, Fields, Raw};

/// An iterator over the fields of an unchecked message. It differs from [`Fields`] in that it
/// reports damage as an error instead of ending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    fields: Fields<'a>,
    whole: &'a [u8],
}

/// A field, and its position in its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) number: u32,
    pub(crate) raw: Raw<'a>,
    /// The offset at which the field begins, with its key.
    pub(crate) start: usize,
    /// The offset at which the field ends.
    pub(crate) end: usize,
}

impl<'a> Elements<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { fields: Fields::of(message), whole: message }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, WireError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let before = self.fields;
        if before.rest().is_empty() {
            return None;
        }
        let start = self.whole.len() - before.rest().len();
        match next(&mut self.fields) {
            Ok(Field { number, raw, .. }) => {
                let end = self.whole.len() - self.fields.rest().len();
                Some(Ok(Element { number, raw, start, end }))
            }
            Err(wrong) => {
                self.fields = Fields::default();
                Some(Err(wrong))
            }
        }
    }
}
