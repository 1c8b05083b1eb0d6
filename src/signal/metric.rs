//! The part that the points of a metric share, modeled on OpenTelemetry's `Metric`.

use super::{Attributes, AttributesRef};
use crate::wire::{Raw, field_of};
use std::fmt;

/// The part that the points of a metric have in common: OpenTelemetry's `Metric`, without its
/// points.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Metric {
    /// The name, such as `http.server.request.duration`.
    pub name: Box<str>,
    /// A description for people.
    pub description: Box<str>,
    /// The unit of the values, in UCUM, such as `By` or `s`.
    pub unit: Box<str>,
    /// Attributes of the metric itself, not of its points.
    pub metadata: Attributes,
    /// The type, and how the points aggregate.
    pub kind: MetricKind,
}

/// A metric's type, with the parameters that say how its points aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "type", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum MetricKind {
    /// Sampled values.
    Gauge,
    /// Sums of measurements.
    Sum {
        /// The start of the interval that each sum covers.
        temporality: Temporality,
        /// Whether the sum never decreases.
        monotonic: bool,
    },
    /// Counts of measurements in buckets with explicit bounds.
    Histogram {
        /// The start of the interval that each count covers.
        temporality: Temporality,
    },
    /// Counts of measurements in buckets whose bounds grow exponentially.
    ExponentialHistogram {
        /// The start of the interval that each count covers.
        temporality: Temporality,
    },
    /// Quantiles, computed by the source.
    Summary,
}

/// The start of the interval that a sum or a count covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
#[non_exhaustive]
pub enum Temporality {
    /// Not specified.
    #[default]
    Unspecified = 0,
    /// Each point counts from the point before it.
    Delta = 1,
    /// Each point counts from a fixed start.
    Cumulative = 2,
}

impl Metric {
    /// Creates a metric without description, unit and metadata.
    pub fn new(name: impl Into<Box<str>>, kind: MetricKind) -> Self {
        let (description, unit) = Default::default();
        Self { name: name.into(), description, unit, metadata: Attributes::default(), kind }
    }
}

impl MetricKind {
    /// The names of all types.
    pub(crate) const NAMES: [&str; 5] =
        ["gauge", "sum", "histogram", "exponential_histogram", "summary"];

    /// Returns the field number of the data, the temporality, and whether a sum is monotonic.
    pub(crate) fn on_the_wire(self) -> (u32, Temporality, bool) {
        match self {
            MetricKind::Gauge => (5, Temporality::Unspecified, false),
            MetricKind::Sum { temporality, monotonic } => (7, temporality, monotonic),
            MetricKind::Histogram { temporality } => (9, temporality, false),
            MetricKind::ExponentialHistogram { temporality } => (10, temporality, false),
            MetricKind::Summary => (11, Temporality::Unspecified, false),
        }
    }

    /// Returns the kind for which [`on_the_wire`](Self::on_the_wire) returns these values.
    #[cfg(feature = "otlp")]
    pub(crate) fn from_wire(tag: u32, temporality: Temporality, monotonic: bool) -> Option<Self> {
        Some(match tag {
            5 => MetricKind::Gauge,
            7 => MetricKind::Sum { temporality, monotonic },
            9 => MetricKind::Histogram { temporality },
            10 => MetricKind::ExponentialHistogram { temporality },
            11 => MetricKind::Summary,
            _ => return None,
        })
    }

    /// Returns the type's name, which is the key in the index by type.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Sum { .. } => "sum",
            MetricKind::Histogram { .. } => "histogram",
            MetricKind::ExponentialHistogram { .. } => "exponential_histogram",
            MetricKind::Summary => "summary",
        }
    }
}

impl Temporality {
    /// Returns the temporality with this number in the protocol, or `None` if there is none.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Unspecified, Self::Delta, Self::Cumulative]
            .into_iter()
            .find(|one| one.number() == number)
    }

    /// Returns the temporality's number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// The metric of a point, borrowed from its bytes. Two are equal if their contents are.
#[derive(Clone, Copy)]
pub struct MetricRef<'a> {
    pub(super) name: &'a str,
    /// The fields other than the data: those written before it, and those written after it.
    pub(super) before: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) kind: MetricKind,
}

impl<'a> MetricRef<'a> {
    /// Returns the name, such as `http.server.request.duration`. O(1).
    pub fn name(self) -> &'a str {
        self.name
    }

    fn field(self, number: u32) -> &'a str {
        let found = field_of(self.before, number).or_else(|| field_of(self.after, number));
        found.map_or("", Raw::text)
    }

    /// Returns the description, for people.
    pub fn description(self) -> &'a str {
        self.field(2)
    }

    /// Returns the unit of the values, in UCUM, such as `By` or `s`.
    pub fn unit(self) -> &'a str {
        self.field(3)
    }

    /// Returns the attributes of the metric itself, not of its points.
    pub fn metadata(self) -> AttributesRef<'a> {
        // All metadata stands on one side of the data: `otlp::drafts` rewrites metrics in which it
        // does not.
        let after = AttributesRef::of(self.after, 12);
        if after.is_empty() { AttributesRef::of(self.before, 12) } else { after }
    }

    /// Returns the type, and how the points aggregate. O(1).
    pub fn kind(self) -> MetricKind {
        self.kind
    }

    /// Copies the metric into a [`Metric`]. O(bytes).
    pub fn to_metric(self) -> Metric {
        Metric {
            name: self.name.into(),
            description: self.description().into(),
            unit: self.unit().into(),
            metadata: self.metadata().to_attributes(),
            kind: self.kind,
        }
    }
}

view! { MetricRef { name, description, unit, metadata, kind } }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_protocols() {
        assert_eq!(Temporality::from_number(2), Some(Temporality::Cumulative));
        assert_eq!(Temporality::from_number(3), None);
        assert_eq!(Temporality::Delta.number(), 1);
    }
}
