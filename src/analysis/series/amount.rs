//! What a counter has counted.

use crate::signal::{MetricPoint, Number, PointValue};

/// What has been counted so far: exact where the sender counts in integers, of which not every one
/// is a double beyond 2⁵³.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    Whole(i128),
    Double(f64),
}

impl Amount {
    /// A sum's value, a histogram's count. `None` if there is none, or if it is NaN or infinite:
    /// nothing can be counted from there.
    pub(super) fn of(point: &MetricPoint, value: &PointValue) -> Option<Self> {
        match value {
            PointValue::Histogram(histogram) => Some(Amount::Whole(histogram.count.into())),
            PointValue::ExponentialHistogram(histogram) => {
                Some(Amount::Whole(histogram.count.into()))
            }
            _ => match point.number_value()? {
                Number::Int(number) => Some(Amount::Whole(number.into())),
                Number::Double(number) => {
                    Some(Amount::Double(number)).filter(|_| number.is_finite())
                }
            },
        }
    }

    pub(super) fn as_double(self) -> f64 {
        match self {
            Amount::Whole(number) => number as f64,
            Amount::Double(number) => number,
        }
    }

    /// What was counted since.
    pub(super) fn since(self, before: Self) -> f64 {
        match (self, before) {
            (Amount::Whole(one), Amount::Whole(other)) => (one - other) as f64,
            (one, other) => one.as_double() - other.as_double(),
        }
    }
}
