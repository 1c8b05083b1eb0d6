//! What the points of a metric share, after OpenTelemetry's `Metric`.

use super::{Attributes, AttributesRef};
use crate::wire::{Raw, field_of};
use std::fmt;

/// What the points of a metric have in common: OpenTelemetry's `Metric`, without its points.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Metric {
    /// Its name, such as `http.server.request.duration`.
    pub name: Box<str>,
    /// What it measures, for a person to read.
    pub description: Box<str>,
    /// The unit of its values, in UCUM, such as `By` or `s`.
    pub unit: Box<str>,
    /// What else is known of the metric, as against its points.
    pub metadata: Attributes,
    /// Its type, and how its points add up.
    pub kind: MetricKind,
}

/// A metric's type, with what each type says about how its points add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "type", rename_all = "snake_case")
)]
pub enum MetricKind {
    /// Values of the moment.
    Gauge,
    /// Sums.
    Sum {
        /// What each sum is counted from.
        temporality: Temporality,
        /// Whether it only ever grows.
        monotonic: bool,
    },
    /// Counts in buckets with given bounds.
    Histogram {
        /// What each count is counted from.
        temporality: Temporality,
    },
    /// Counts in buckets whose bounds grow exponentially.
    ExponentialHistogram {
        /// What each count is counted from.
        temporality: Temporality,
    },
    /// Quantiles, as the source worked them out.
    Summary,
}

/// What a sum or a count is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Temporality {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// From the point before.
    Delta = 1,
    /// From a fixed start.
    Cumulative = 2,
}

impl Metric {
    /// Makes a metric without description, unit and metadata.
    pub fn new(name: impl Into<Box<str>>, kind: MetricKind) -> Self {
        let (description, unit) = Default::default();
        Self { name: name.into(), description, unit, metadata: Attributes::default(), kind }
    }
}

impl MetricKind {
    /// All types' names.
    pub(crate) const NAMES: [&str; 5] =
        ["gauge", "sum", "histogram", "exponential_histogram", "summary"];

    /// Returns the number of the data's field, the temporality, and whether a sum is monotonic.
    pub(crate) fn on_the_wire(self) -> (u32, Temporality, bool) {
        match self {
            MetricKind::Gauge => (5, Temporality::Unspecified, false),
            MetricKind::Sum { temporality, monotonic } => (7, temporality, monotonic),
            MetricKind::Histogram { temporality } => (9, temporality, false),
            MetricKind::ExponentialHistogram { temporality } => (10, temporality, false),
            MetricKind::Summary => (11, Temporality::Unspecified, false),
        }
    }

    /// Returns the kind for which [`on_the_wire`](Self::on_the_wire) gives these.
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

    /// Returns the type's name, as the index by type has it.
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
    /// Returns the temporality with this number in the protocol, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Unspecified, Self::Delta, Self::Cumulative]
            .into_iter()
            .find(|one| one.number() == number)
    }

    /// Returns its number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// The metric of a point, borrowed from its bytes. Equal if what it says is.
#[derive(Clone, Copy)]
pub struct MetricRef<'a> {
    pub(super) name: &'a str,
    /// Its fields but for the data: those that are written before it, and those after.
    pub(super) before: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) kind: MetricKind,
}

impl<'a> MetricRef<'a> {
    /// Returns its name, such as `http.server.request.duration`. O(1).
    pub fn name(self) -> &'a str {
        self.name
    }

    fn field(self, number: u32) -> &'a str {
        let found = field_of(self.before, number).or_else(|| field_of(self.after, number));
        found.map_or("", Raw::text)
    }

    /// Returns what it measures, for a person to read.
    pub fn description(self) -> &'a str {
        self.field(2)
    }

    /// Returns the unit of its values, in UCUM, such as `By` or `s`.
    pub fn unit(self) -> &'a str {
        self.field(3)
    }

    /// Returns the attributes of the metric itself, not of its points.
    pub fn metadata(self) -> AttributesRef<'a> {
        // One writer writes all of it on one side of the data.
        let after = AttributesRef::of(self.after, 12);
        if after.is_empty() { AttributesRef::of(self.before, 12) } else { after }
    }

    /// Returns its type, and how its points add up. O(1).
    pub fn kind(self) -> MetricKind {
        self.kind
    }

    /// Copies it into a [`Metric`]. O(bytes).
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
