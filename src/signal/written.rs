//! The fields that a builder has encoded.

use super::body::{self, At, Body, RecordKind};
use super::{AttributeRef, AttributesRef, Shared, Source, ValueRef};
use crate::wire::{Fields, Writer};

/// The fields that a builder has encoded so far, in a buffer borrowed from the thread's spare
/// buffers and returned on drop.
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

    /// Appends a copy of the fields with these numbers, each renumbered to the second number of its
    /// pair. All of them must be messages.
    pub(super) fn copy(&mut self, from: Fields<'_>, numbers: &[(u32, u32)]) {
        for field in from {
            let number = numbers.iter().find(|(number, _)| *number == field.number);
            number
                .iter()
                .for_each(|(_, number)| self.writer().always_bytes(*number, field.raw.bytes()));
        }
    }

    /// Appends the fields unchanged.
    pub(super) fn append_to(&self, writer: &mut Writer<'_>) {
        writer.0.extend_from_slice(&self.0);
    }

    /// Copies the fields, which are those of a complete record, into this thread's chunk.
    pub(super) fn keep(&self, kind: RecordKind, source: Option<&Source>) -> (Shared<Body>, At) {
        body::keep(kind, &self.0, source.unwrap_or_else(|| Source::unknown()))
    }
}
