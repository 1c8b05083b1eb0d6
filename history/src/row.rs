//! Points as rows of numbers: what a block keeps of them.
//!
//! ```text
//! number       time  start  flags|kind  value
//! histogram    time  start  flags|mask  count  sum  min  max                    buckets…  bounds…
//! exponential  time  start  flags|mask  count  sum  min  max  scale  zeros  threshold
//!              offset  offset                                                    positive… negative…
//! ```
//!
//! A list stands in a row with its length before it.

use crate::column::Form;
use crate::wire::Shape;
use slipring::MetricPoint;
use slipring::metric::{Buckets, ExponentialHistogram, Histogram, PointValue};

/// The kinds of a number's value, above its flags.
pub(crate) const EMPTY: u64 = 0;
pub(crate) const INT: u64 = 1;
pub(crate) const DOUBLE: u64 = 2;

/// The column of the flags, and of the kind or of the mask of what is there.
pub(crate) const FLAGS: usize = 2;

impl Shape {
    /// Returns the shape of a value, and `None` for a summary, which no block keeps.
    pub(crate) fn of(value: &PointValue) -> Option<Self> {
        match value {
            PointValue::Empty | PointValue::Int(_) | PointValue::Double(_) => Some(Shape::Number),
            PointValue::Histogram(_) => Some(Shape::Histogram),
            PointValue::ExponentialHistogram(_) => Some(Shape::Exponential),
            _ => None,
        }
    }

    /// Returns the forms of the numbers that each row has.
    pub(crate) fn scalars(self) -> &'static [Form] {
        use Form::{Double, Signed, Unsigned, Value};
        match self {
            Shape::Number => &[Unsigned, Unsigned, Unsigned, Value],
            Shape::Histogram => &[Unsigned, Unsigned, Unsigned, Unsigned, Double, Double, Double],
            Shape::Exponential => &[
                Unsigned, Unsigned, Unsigned, Unsigned, Double, Double, Double, Signed, Unsigned,
                Double, Signed, Signed,
            ],
        }
    }

    /// Returns the forms of the numbers in each list of a row.
    pub(crate) fn lists(self) -> &'static [Form] {
        match self {
            Shape::Number => &[],
            Shape::Histogram => &[Form::Unsigned, Form::Double],
            Shape::Exponential => &[Form::Unsigned, Form::Unsigned],
        }
    }

    /// Returns how many numbers the row takes that `rows` begin with.
    pub(crate) fn row_length(self, rows: &[u64]) -> usize {
        let mut length = self.scalars().len();
        for _ in self.lists() {
            length += 1 + rows.get(length).map_or(0, |&items| items as usize);
        }
        length.min(rows.len())
    }
}

/// What points of all shapes have.
pub(crate) struct Common {
    pub(crate) time: u64,
    pub(crate) start: u64,
    pub(crate) flags: u32,
}

#[cfg(test)]
impl Common {
    pub(crate) fn of(point: &MetricPoint) -> Self {
        let (time, start) = (point.time_unix_nanos(), point.start_unix_nanos());
        Self { time, start, flags: point.flags() }
    }
}

/// Appends a point's row.
pub(crate) fn write(common: &Common, value: &PointValue, rows: &mut Vec<u64>) {
    let flags = u64::from(common.flags);
    let mut common = |above: u64| rows.extend([common.time, common.start, flags | above << 32]);
    match value {
        PointValue::Int(value) => {
            common(INT);
            rows.push(*value as u64);
        }
        PointValue::Double(value) => {
            common(DOUBLE);
            rows.push(value.to_bits());
        }
        PointValue::Histogram(one) => {
            let known = [one.sum, one.min, one.max];
            common(mask(known));
            rows.push(one.count);
            rows.extend(known.map(bits));
            list(one.bucket_counts.iter().copied(), rows);
            list(one.explicit_bounds.iter().map(|bound| bound.to_bits()), rows);
        }
        PointValue::ExponentialHistogram(one) => {
            let known = [one.sum, one.min, one.max];
            common(mask(known));
            rows.push(one.count);
            rows.extend(known.map(bits));
            let signed = |number: i32| i64::from(number) as u64;
            rows.extend([signed(one.scale), one.zero_count, one.zero_threshold.to_bits()]);
            rows.extend([&one.positive, &one.negative].map(|buckets| signed(buckets.offset)));
            list(one.positive.bucket_counts.iter().copied(), rows);
            list(one.negative.bucket_counts.iter().copied(), rows);
        }
        _ => {
            common(EMPTY);
            rows.push(0);
        }
    }
}

fn mask(known: [Option<f64>; 3]) -> u64 {
    known.iter().rev().fold(0, |mask, one| mask << 1 | u64::from(one.is_some()))
}

fn bits(number: Option<f64>) -> u64 {
    number.map_or(0, f64::to_bits)
}

fn list(items: impl ExactSizeIterator<Item = u64>, rows: &mut Vec<u64>) {
    rows.push(items.len() as u64);
    rows.extend(items);
}

/// Returns the point of a row, with the source and the attributes of another point of its series.
pub(crate) fn point(of: &MetricPoint, shape: Shape, row: &[u64]) -> MetricPoint {
    let at = |column: usize| row.get(column).copied().unwrap_or_default();
    let value = value(shape, row);
    MetricPoint::builder()
        .source(of.source())
        .attributes(of.attributes())
        .time_unix_nanos(at(0))
        .start_unix_nanos(at(1))
        .flags(at(FLAGS) as u32)
        .value_of(&value)
        .build()
}

fn value(shape: Shape, row: &[u64]) -> PointValue {
    let at = |column: usize| row.get(column).copied().unwrap_or_default();
    let above = at(FLAGS) >> 32;
    let known = |bit: usize| (above >> bit & 1 != 0).then(|| f64::from_bits(at(4 + bit)));
    let mut rest = row.get(shape.scalars().len()..).unwrap_or_default();
    let mut items = || {
        let (&length, after) = rest.split_first()?;
        let (items, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
        rest = after;
        Some(items)
    };
    match shape {
        Shape::Number => match above {
            INT => PointValue::Int(at(3) as i64),
            DOUBLE => PointValue::Double(f64::from_bits(at(3))),
            _ => PointValue::Empty,
        },
        Shape::Histogram => Histogram {
            count: at(3),
            sum: known(0),
            min: known(1),
            max: known(2),
            bucket_counts: items().unwrap_or_default().into(),
            explicit_bounds: items()
                .unwrap_or_default()
                .iter()
                .map(|&bits| f64::from_bits(bits))
                .collect(),
        }
        .into(),
        Shape::Exponential => {
            let mut buckets = |offset| Buckets {
                offset: at(offset) as i64 as i32,
                bucket_counts: items().unwrap_or_default().into(),
            };
            ExponentialHistogram {
                count: at(3),
                sum: known(0),
                min: known(1),
                max: known(2),
                scale: at(7) as i64 as i32,
                zero_count: at(8),
                zero_threshold: f64::from_bits(at(9)),
                positive: buckets(10),
                negative: buckets(11),
            }
            .into()
        }
    }
}
