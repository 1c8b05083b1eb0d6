//! A block: the points of one series, compressed column by column.
//!
//! ```text
//!  time │ start │ flags │ value          column by column: see `column`
//!  … count, sum, min, max … │ lengths │ buckets │ lengths │ bounds
//! ```
//!
//! The start times of a delta series are the times of the points before, and take nothing then. The
//! buckets of histograms stand bucket by bucket, so that each is followed through time, if all rows
//! have as many; bounds that do not change stand once.

use crate::column::{Form, decode, encode};
use crate::row::{DOUBLE, FLAGS, INT};
use crate::wire::Shape;
use std::ops::RangeInclusive;

/// How the start times are stored, before the column itself.
const AS_THEY_ARE: u8 = 0;
const AT_THE_TIME_BEFORE: u8 = 1;

/// How the lists of a column are stored.
const EMPTY: u8 = 0;
const EQUAL: u8 = 1;
const ITEM_BY_ITEM: u8 = 2;
const ROW_BY_ROW: u8 = 3;

/// Compressed points of one series, in the order in which they left the store.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Box<[u8]>,
    points: u32,
    /// The least and the greatest time.
    first: u64,
    last: u64,
}

impl Block {
    /// Compresses rows. `scratch` is a buffer to reuse.
    pub(crate) fn of(rows: &[u64], shape: Shape, scratch: &mut Vec<u8>) -> Self {
        let starts = row_starts(rows, shape);
        let column =
            |number: usize| starts.iter().map(|&at| rows[at + number]).collect::<Vec<u64>>();
        scratch.clear();
        let times = column(0);
        for (number, &form) in shape.scalars().iter().enumerate() {
            match number {
                0 => encode(&times, form, scratch),
                1 => encode_starts(&column(1), &times, scratch),
                _ => {
                    let form = if form == Form::Value { form_of(&column(FLAGS)) } else { form };
                    encode(&column(number), form, scratch);
                }
            }
        }
        let mut ends: Vec<usize> = starts.iter().map(|at| at + shape.scalars().len()).collect();
        for &form in shape.lists() {
            let mut lists = Vec::with_capacity(ends.len());
            for end in &mut ends {
                let length = rows[*end] as usize;
                lists.push(&rows[*end + 1..][..length]);
                *end += 1 + length;
            }
            encode_lists(&lists, form, scratch);
        }
        Self {
            bytes: scratch.as_slice().into(),
            points: starts.len() as u32,
            first: times.iter().copied().min().unwrap_or_default(),
            last: times.iter().copied().max().unwrap_or_default(),
        }
    }

    /// Returns the rows, as they were. Empty if the bytes are damaged, which nothing does to them.
    pub(crate) fn rows(&self, shape: Shape) -> Vec<u64> {
        self.try_rows(shape).unwrap_or_default()
    }

    fn try_rows(&self, shape: Shape) -> Option<Vec<u64>> {
        let (mut bytes, count) = (&self.bytes[..], self.points as usize);
        let mut columns: Vec<Vec<u64>> = Vec::with_capacity(shape.scalars().len());
        for number in 0..shape.scalars().len() {
            columns.push(match number {
                1 => decode_starts(&mut bytes, columns.first()?)?,
                _ => decode(&mut bytes, count)?,
            });
        }
        if shape.lists().is_empty() {
            let mut rows = Vec::with_capacity(count * columns.len());
            (0..count).for_each(|row| rows.extend(columns.iter().map(|column| column[row])));
            return Some(rows);
        }
        let mut lists = Vec::new();
        for _ in shape.lists() {
            lists.push(Lists::decode(&mut bytes, count)?);
        }
        let mut rows = Vec::new();
        for row in 0..count {
            rows.extend(columns.iter().map(|column| column[row]));
            lists.iter_mut().for_each(|lists| lists.append(row, &mut rows));
        }
        Some(rows)
    }

    pub(crate) fn points(&self) -> usize {
        self.points as usize
    }

    /// Returns whether a time in this range may be the time of a point.
    pub(crate) fn may_hold(&self, times: &RangeInclusive<u64>) -> bool {
        self.first <= *times.end() && *times.start() <= self.last
    }

    /// Returns the bytes that the block owns.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Returns where each row begins.
fn row_starts(rows: &[u64], shape: Shape) -> Vec<usize> {
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < rows.len() {
        starts.push(at);
        at += shape.row_length(&rows[at..]);
    }
    starts
}

/// Returns the form that the values of numbers have in common.
fn form_of(flags: &[u64]) -> Form {
    let all = |kind: u64| flags.iter().all(|&flags| flags >> 32 == kind);
    match () {
        () if all(DOUBLE) => Form::Double,
        () if all(INT) => Form::Signed,
        () => Form::Unsigned,
    }
}

fn encode_starts(starts: &[u64], times: &[u64], out: &mut Vec<u8>) {
    let follows = starts.len() > 1 && starts[1..] == times[..times.len() - 1];
    let is_constant = starts.iter().all(|start| *start == starts[0]);
    if follows && !is_constant {
        out.push(AT_THE_TIME_BEFORE);
        out.extend_from_slice(&starts[0].to_le_bytes());
    } else {
        out.push(AS_THEY_ARE);
        encode(starts, Form::Unsigned, out);
    }
}

fn decode_starts(bytes: &mut &[u8], times: &[u64]) -> Option<Vec<u64>> {
    let (&how, rest) = bytes.split_first()?;
    *bytes = rest;
    if how != AT_THE_TIME_BEFORE {
        return decode(bytes, times.len());
    }
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let before = times.split_last().map_or(&[][..], |(_, before)| before);
    Some([&[u64::from_le_bytes(*first)], before].concat())
}

/// The lists of one column, as they stand in a block.
fn encode_lists(lists: &[&[u64]], form: Form, out: &mut Vec<u8>) {
    let lengths: Vec<u64> = lists.iter().map(|list| list.len() as u64).collect();
    encode(&lengths, Form::Unsigned, out);
    let (first, total) = (lists.first().copied().unwrap_or_default(), lengths.iter().sum::<u64>());
    if total == 0 {
        out.push(EMPTY);
    } else if lists.iter().all(|list| *list == first) {
        out.push(EQUAL);
        encode(first, form, out);
    } else if lists.iter().all(|list| list.len() == first.len()) {
        out.push(ITEM_BY_ITEM);
        let item = |at: usize| lists.iter().map(move |list| list[at]);
        let items: Vec<u64> = (0..first.len()).flat_map(item).collect();
        encode(&items, form, out);
    } else {
        out.push(ROW_BY_ROW);
        encode(&lists.concat(), form, out);
    }
}

/// Decoded lists of one column.
struct Lists {
    lengths: Vec<u64>,
    items: Vec<u64>,
    how: u8,
    /// Where the next row's items begin, if they stand row by row.
    next: usize,
}

impl Lists {
    fn decode(bytes: &mut &[u8], count: usize) -> Option<Self> {
        let lengths = decode(bytes, count)?;
        let (&how, rest) = bytes.split_first()?;
        *bytes = rest;
        let items = match how {
            EMPTY => 0,
            EQUAL => *lengths.first()?,
            _ => lengths.iter().sum(),
        };
        let items =
            if how == EMPTY { Vec::new() } else { decode(bytes, usize::try_from(items).ok()?)? };
        Some(Self { lengths, items, how, next: 0 })
    }

    /// Appends a row's list, with its length. Rows are taken in order.
    fn append(&mut self, row: usize, rows: &mut Vec<u64>) {
        let (length, count) = (self.lengths[row] as usize, self.lengths.len());
        rows.push(length as u64);
        match self.how {
            EMPTY => {}
            EQUAL => rows.extend_from_slice(&self.items),
            ITEM_BY_ITEM => rows.extend((0..length).map(|item| self.items[item * count + row])),
            _ => {
                rows.extend_from_slice(&self.items[self.next..][..length]);
                self.next += length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{self, Common};
    use proptest::prelude::*;
    use slipring::metric::{
        Buckets, ExponentialHistogram, Histogram, Metric, MetricKind, PointValue, Temporality,
    };
    use slipring::{MetricPoint, Source};

    const SECOND: u64 = 1_000_000_000;

    fn rows(points: &[(u64, u64, u32, PointValue)]) -> Vec<u64> {
        let mut rows = Vec::new();
        for (start, time, flags, value) in points {
            let point = MetricPoint::builder()
                .start_unix_nanos(*start)
                .time_unix_nanos(*time)
                .flags(*flags);
            row::write(&Common::of(&point.build()), value, &mut rows);
        }
        rows
    }

    fn bytes_of(points: &[(u64, u64, u32, PointValue)], shape: Shape) -> usize {
        let rows = rows(points);
        let block = Block::of(&rows, shape, &mut Vec::new());
        assert_eq!((block.points(), &block.rows(shape)), (points.len(), &rows));
        block.heap_bytes()
    }

    #[test]
    fn regular_points_take_less_than_a_byte() {
        let start = 1_700_000_000 * SECOND;
        let counter =
            |at: u64| (start, start + at * 10 * SECOND, 0, PointValue::Int(at as i64 * 20));
        assert!(bytes_of(&(0..512).map(counter).collect::<Vec<_>>(), Shape::Number) < 150);
        let delta = |at: u64| {
            // The clock of the sender is not exact; each start is the time before.
            let time = |at: u64| start + at * 10 * SECOND + at * at % 7 * 1_000;
            (time(at), time(at + 1), 0, PointValue::Int(3))
        };
        assert!(bytes_of(&(0..512).map(delta).collect::<Vec<_>>(), Shape::Number) < 500);
        let histogram = |at: u64| {
            let value = Histogram {
                count: at * 10,
                sum: Some(at as f64),
                bucket_counts: (0..16).map(|bucket| at * bucket / 12).collect(),
                explicit_bounds: (0..15).map(f64::from).collect(),
                ..Histogram::default()
            };
            (start, start + at * 10 * SECOND, 0, value.into())
        };
        let bytes = bytes_of(&(0..512).map(histogram).collect::<Vec<_>>(), Shape::Histogram);
        assert!(bytes < 512 * 16, "{bytes}");
    }

    fn a_double() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            Just(f64::NAN),
            Just(-0.0),
            Just(f64::NEG_INFINITY),
            (0..50_i32).prop_map(f64::from)
        ]
    }

    fn a_value() -> impl Strategy<Value = PointValue> {
        prop_oneof![
            Just(PointValue::Empty),
            any::<i64>().prop_map(PointValue::Int),
            a_double().prop_map(PointValue::Double),
        ]
    }

    fn some(bounds: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(a_double(), 0..bounds)
    }

    fn a_histogram() -> impl Strategy<Value = PointValue> {
        let known = || prop::option::of(a_double());
        (any::<u64>(), known(), known(), known(), prop::collection::vec(0..9_u64, 0..4), some(3))
            .prop_map(|(count, sum, min, max, counts, bounds)| {
                Histogram {
                    count,
                    sum,
                    min,
                    max,
                    bucket_counts: counts.into(),
                    explicit_bounds: bounds.into(),
                }
                .into()
            })
    }

    fn an_exponential() -> impl Strategy<Value = PointValue> {
        let buckets = || {
            (any::<i32>(), prop::collection::vec(any::<u64>(), 0..4))
                .prop_map(|(offset, counts)| Buckets { offset, bucket_counts: counts.into() })
        };
        (
            any::<u64>(),
            any::<i32>(),
            any::<u64>(),
            a_double(),
            prop::option::of(a_double()),
            buckets(),
            buckets(),
        )
            .prop_map(
                |(count, scale, zero_count, zero_threshold, max, positive, negative)| {
                    let (sum, min) = (None, Some(-0.0));
                    ExponentialHistogram {
                        count,
                        sum,
                        min,
                        max,
                        scale,
                        zero_count,
                        zero_threshold,
                        positive,
                        negative,
                    }
                    .into()
                },
            )
    }

    fn points(
        value: impl Strategy<Value = PointValue>,
    ) -> impl Strategy<Value = Vec<(u64, u64, u32, PointValue)>> {
        let time = || prop_oneof![any::<u64>(), (0..5_u64).prop_map(|at| at * SECOND)];
        prop::collection::vec((time(), time(), any::<u32>(), value), 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn numbers_come_back(points in points(a_value())) {
            bytes_of(&points, Shape::Number);
        }

        #[test]
        fn histograms_come_back(points in points(a_histogram())) {
            bytes_of(&points, Shape::Histogram);
        }

        #[test]
        fn exponential_histograms_come_back(points in points(an_exponential())) {
            bytes_of(&points, Shape::Exponential);
        }

        #[test]
        fn points_come_back_from_their_rows(
            points in prop_oneof![
                (Just(MetricKind::Gauge), points(a_value())),
                (Just(MetricKind::Histogram { temporality: Temporality::Delta }), points(a_histogram())),
                (Just(MetricKind::ExponentialHistogram { temporality: Temporality::Cumulative }), points(an_exponential())),
            ],
        ) {
            let (kind, points) = points;
            let source = Source::default().with_metric(&Metric::new("a", kind));
            for (start, time, flags, value) in points {
                let shape = Shape::of(&value).unwrap();
                let point = MetricPoint::builder()
                    .source(&source)
                    .attribute("host", "one")
                    .start_unix_nanos(start)
                    .time_unix_nanos(time)
                    .flags(flags)
                    .value(value)
                    .build();
                let mut row = Vec::new();
                row::write(&Common::of(&point), &point.value(), &mut row);
                assert_eq!(row::point(&point, shape, &row), point);
            }
        }
    }
}
