//! Fields that a builder has written.

use super::body::{self, At, Body, Of};
use super::{AttributeRef, AttributesRef, Shared, Source, ValueRef};
use crate::wire::{Fields, Writer};

/// Fields that a builder has written so far, in a buffer that the thread lends and takes back.
#[derive(Clone, Debug)]
pub(super) struct Written(Vec<u8>);

impl Default for Written {
    fn default() -> Self {
        Self(body::borrow_buffer())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        body::return_buffer(std::mem::take(&mut self.0));
    }
}

impl Written {
    pub(super) fn writer(&mut self) -> Writer<'_> {
        Writer(&mut self.0)
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields::of(&self.0)
    }

    pub(super) fn attribute<'v>(&mut self, number: u32, key: &str, value: impl Into<ValueRef<'v>>) {
        AttributeRef { key, value: value.into() }.write(number, &mut self.writer());
    }

    pub(super) fn attributes<'v>(&mut self, number: u32, attributes: impl Into<AttributesRef<'v>>) {
        attributes.into().write(number, &mut self.writer());
    }

    /// Appends the fields of these numbers, all of which are messages, as fields of other numbers.
    pub(super) fn copy(&mut self, from: Fields<'_>, numbers: &[(u32, u32)]) {
        for field in from {
            let number = numbers.iter().find(|(number, _)| *number == field.number);
            number
                .iter()
                .for_each(|(_, number)| self.writer().always_bytes(*number, field.raw.bytes()));
        }
    }

    /// Appends the fields, as they are.
    pub(super) fn append_to(&self, writer: &mut Writer<'_>) {
        writer.0.extend_from_slice(&self.0);
    }

    /// Copies the fields, which are those of a record, into this thread's chunk.
    pub(super) fn keep(&self, kind: Of, source: Option<&Source>) -> (Shared<Body>, At) {
        body::keep(kind, &self.0, source.unwrap_or_else(|| Source::unknown()))
    }
}
