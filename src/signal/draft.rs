//! Encodes the parts that records share: a resource, a scope of a resource, or a metric of a scope.

use super::metric::{Metric, MetricKind};
use super::resource::{Resource, Scope};
use super::{AttributesRef, ValueRef};
use crate::wire::{Raw, Writer, field_of};
use std::ops::Range;

/// A range of a draft's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    start: u32,
    end: u32,
}

/// The fields of a `ResourceSpans`, a `ScopeLogs` or a similar message, without the field that
/// holds its scopes or records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The fields that stand before the enclosed scopes or records.
    pub(crate) before: Part,
    /// The fields that stand after them.
    pub(crate) after: Part,
    /// The `Resource` or `InstrumentationScope` message itself.
    pub(crate) message: Part,
    /// The schema URL.
    pub(crate) schema_url: Part,
}

/// The fields of a `Metric`, without its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricParts {
    /// The fields that stand before the data.
    pub(crate) before: Part,
    /// The fields that stand after the data.
    pub(crate) after: Part,
    /// The field number of the data.
    pub(crate) tag: u32,
    /// The fields of the data other than its points. They are written after the points.
    pub(crate) data: Part,
    /// The metric's kind, derived from `tag` and from the fields in `data`.
    pub(crate) kind: MetricKind,
    pub(crate) name: Part,
}

/// The type of a part, and the ranges of its fields within its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A resource. `service` and `namespace` are empty if the resource does not name them.
    Resource { envelope: Envelope, service: Part, namespace: Part },
    /// A scope of a resource.
    Scope(Envelope),
    /// A metric of a scope.
    Metric(MetricParts),
}

/// The bytes of a part that is being encoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) bytes: Vec<u8>,
}

impl Part {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Draft {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends these bytes, and returns their range.
    #[cfg(feature = "otlp")]
    pub(crate) fn part(&mut self, bytes: &[u8]) -> Part {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.since(start)
    }

    /// Returns the range that begins at offset `start` within the range `around`.
    #[cfg(feature = "otlp")]
    pub(crate) fn within(&self, around: Part, start: usize, length: usize) -> Part {
        let start = around.start + start as u32;
        Part { start, end: start + length as u32 }
    }

    /// Returns the bytes of a part.
    pub(crate) fn at(&self, part: Part) -> &[u8] {
        &self.bytes[part.range()]
    }

    /// Returns the range from this offset to the end.
    pub(crate) fn since(&self, start: usize) -> Part {
        Part { start: start as u32, end: self.bytes.len() as u32 }
    }

    /// Returns the range from the beginning to this offset.
    #[cfg(feature = "otlp")]
    pub(crate) fn before(&self, end: usize) -> Part {
        Part { start: 0, end: end as u32 }
    }

    /// Returns the layout of a resource, with the ranges of its service's name and namespace.
    pub(crate) fn resource_layout(&self, envelope: Envelope) -> Layout {
        let resource = self.at(envelope.message);
        let find = |key| match AttributesRef::of(resource, 1).get(key) {
            Some(ValueRef::Text(name)) if !name.is_empty() => {
                // The name is borrowed from `self.bytes`, so the difference of the addresses is its
                // offset.
                let start = name.as_ptr() as usize - self.bytes.as_ptr() as usize;
                Part { start: start as u32, end: (start + name.len()) as u32 }
            }
            _ => Part::default(),
        };
        Layout::Resource {
            envelope,
            service: find("service.name"),
            namespace: find("service.namespace"),
        }
    }

    /// Encodes a resource, and returns its layout.
    pub(super) fn resource(&mut self, resource: &Resource) -> Layout {
        let envelope = self.envelope(|writer| resource.write(writer), resource.schema_url());
        self.resource_layout(envelope)
    }

    /// Encodes a scope, and returns its layout.
    pub(super) fn scope(&mut self, scope: &Scope) -> Layout {
        Layout::Scope(self.envelope(|writer| scope.write(writer), &scope.schema_url))
    }

    fn envelope(&mut self, write: impl FnOnce(&mut Writer<'_>), schema_url: &str) -> Envelope {
        self.clear();
        Writer(&mut self.bytes).nested(1, write);
        let before = self.since(0);
        let length = field_of(&self.bytes, 1).map_or(0, |message| message.bytes().len());
        let message = self.since(self.bytes.len() - length);
        Writer(&mut self.bytes).bytes(3, schema_url.as_bytes());
        let after = Part { start: before.end, end: self.bytes.len() as u32 };
        let schema_url = Part { start: after.end - schema_url.len() as u32, end: after.end };
        Envelope { before, after, message, schema_url }
    }

    /// Encodes a metric, and returns its layout.
    pub(super) fn metric(&mut self, metric: &Metric) -> Layout {
        self.clear();
        let mut writer = Writer(&mut self.bytes);
        writer.bytes(1, metric.name.as_bytes());
        writer.bytes(2, metric.description.as_bytes());
        writer.bytes(3, metric.unit.as_bytes());
        let before = self.since(0);
        let name = field_of(&self.bytes, 1).map_or(&[][..], Raw::bytes);
        // `name` is borrowed from `self.bytes`, so the difference of the addresses is its offset.
        let start =
            if name.is_empty() { 0 } else { name.as_ptr() as usize - self.bytes.as_ptr() as usize };
        let name = Part { start: start as u32, end: (start + name.len()) as u32 };
        AttributesRef::from(&metric.metadata).write(12, &mut Writer(&mut self.bytes));
        let after = self.since(before.end as usize);
        let (tag, temporality, monotonic) = metric.kind.on_the_wire();
        let mut writer = Writer(&mut self.bytes);
        writer.number(2, temporality.number() as u64);
        writer.number(3, monotonic.into());
        let data = self.since(after.end as usize);
        Layout::Metric(MetricParts { before, after, tag, data, kind: metric.kind, name })
    }
}
