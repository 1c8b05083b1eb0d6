//! Records of fixed sizes without heap memory, and generators that take some nanoseconds per
//! record, for benches that measure a store and not the creation of records.
//!
//! Services and names are numbers, drawn by Zipf's law. Severities are distributed as in the shop's
//! logs. Traces have [`SPANS_PER_TRACE`] spans each, interleaved with those of other traces. Each
//! record is padded to its size with copies of one word that is derived from its other fields, so
//! that a torn record is detected ([`is_whole`](FixedSpan::is_whole)).
//!
//! ```
//! use shop::fixed::FixedSpans;
//!
//! let span = FixedSpans::new(7).next().unwrap();
//! assert!(size_of_val(&span) == 480 && span.is_whole());
//! ```

use slipring::{Index, Key, Signal};

use crate::START;
use crate::ids::Ids;
use crate::rng::Rng;
use crate::skew::Skew;

/// The number of spans, or of log records, of each trace.
pub const SPANS_PER_TRACE: u32 = 8;
/// The number of services.
pub const SERVICES: u16 = 12;
/// The number of span names.
pub const SPAN_NAMES: u16 = 60;
/// The number of metric names.
pub const METRIC_NAMES: u16 = 500;

/// The number of traces in progress at once.
const OPEN: usize = 16;
/// The time between two records, in nanoseconds.
const TICK: u64 = 1_000;

macro_rules! fixed {
    (
        $record:ident as $this:ident, $name:literal, $bytes:literal, [$($field:ident),*],
        [$index0:literal => $key0:expr, $index1:literal => $key1:expr, $index2:literal => $key2:expr $(,)?]
    ) => {
        const _: () = assert!(size_of::<$record>() == $bytes);

        impl $record {
            /// Returns whether all parts of the record belong together.
            pub fn is_whole(&self) -> bool {
                self.rest.iter().all(|word| *word == self.mark())
            }

            /// Appends the record's fields, in the order of their declaration.
            pub fn write(&self, bytes: &mut Vec<u8>) {
                $(self.$field.write(bytes);)*
            }

            /// Reads a record that `write` appended.
            ///
            /// # Panics
            /// If there are fewer bytes than `write` appends.
            pub fn read(mut bytes: &[u8]) -> Self {
                $(let $field = Field::read(&mut bytes);)*
                Self { $($field),* }
            }
        }

        impl Signal for $record {
            const NAME: &'static str = $name;
            type Indexes = [Index<Self>; 3];
            const INDEXES: Self::Indexes = [
                Index::new($index0, |$this| Some($key0)),
                Index::new($index1, |$this| Some($key1)),
                Index::new($index2, |$this| Some($key2)),
            ];

            fn timestamp(&self) -> u64 {
                self.time
            }
        }
    };
}

/// A span of 480 bytes. Indexes: `trace`, `service` and `name`, the latter two by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedSpan {
    /// The trace's id; the more significant half comes first.
    pub trace: [u64; 2],
    /// The start time, in nanoseconds since the Unix epoch.
    pub time: u64,
    /// The duration, in nanoseconds.
    pub duration: u64,
    /// The service's number, below [`SERVICES`]. 0 is the most frequent.
    pub service: u16,
    /// The name's number, below [`SPAN_NAMES`]. 0 is the most frequent.
    pub name: u16,
    /// The number of earlier spans of the trace.
    pub number: u32,
    rest: [u64; 55],
}

/// A log record of 184 bytes. Indexes: `trace`, `service` and `severity`, the latter two by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedLog {
    /// The id of the trace in which it was written; the more significant half comes first.
    pub trace: [u64; 2],
    /// The time, in nanoseconds since the Unix epoch.
    pub time: u64,
    /// The service's number, below [`SERVICES`]. 0 is the most frequent.
    pub service: u16,
    /// The severity number: 9 (information) for 80 % of the records, 5 (debugging) for 15 %, 13 (a
    /// warning) for 4 %, and 17 (an error) for 1 %.
    pub severity: u8,
    rest: [u64; 19],
}

/// A metric point of 136 bytes. Indexes: `name`, `service` and `type`, each by number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedMetric {
    /// The time, in nanoseconds since the Unix epoch.
    pub time: u64,
    /// The value.
    pub value: f64,
    /// The metric's number, below [`METRIC_NAMES`]. All are equally frequent, as in scrapes.
    pub name: u16,
    /// The service's number, below [`SERVICES`]. All are equally frequent.
    pub service: u16,
    /// The metric's type, from 0 to 4.
    pub kind: u8,
    rest: [u64; 14],
}

fixed!(FixedSpan as span, "span", 480, [trace, time, duration, service, name, number, rest], [
    "trace" => Key::Id(id(span.trace)),
    "service" => Key::Int(span.service.into()),
    "name" => Key::Int(span.name.into()),
]);
fixed!(FixedLog as log, "log", 184, [trace, time, service, severity, rest], [
    "trace" => Key::Id(id(log.trace)),
    "service" => Key::Int(log.service.into()),
    "severity" => Key::Int(log.severity.into()),
]);
fixed!(FixedMetric as point, "metric", 136, [time, value, name, service, kind, rest], [
    "name" => Key::Int(point.name.into()),
    "service" => Key::Int(point.service.into()),
    "type" => Key::Int(point.kind.into()),
]);

/// A field of a record that can be converted to bytes and back.
trait Field {
    fn write(&self, bytes: &mut Vec<u8>);
    fn read(bytes: &mut &[u8]) -> Self;
}

macro_rules! number {
    ($($number:ident)*) => {$(
        impl Field for $number {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Self {
                let (first, rest) = bytes.split_first_chunk().expect("the record is whole");
                *bytes = rest;
                Self::from_le_bytes(*first)
            }
        }
    )*};
}

number!(u8 u16 u32 u64 f64);

impl<const N: usize> Field for [u64; N] {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.iter().for_each(|word| word.write(bytes));
    }

    fn read(bytes: &mut &[u8]) -> Self {
        std::array::from_fn(|_| u64::read(bytes))
    }
}

impl FixedSpan {
    fn mark(&self) -> u64 {
        mark(self.trace[1], self.time, self.service, self.name)
    }
}

impl FixedLog {
    fn mark(&self) -> u64 {
        mark(self.trace[1], self.time, self.service, self.severity.into())
    }
}

impl FixedMetric {
    fn mark(&self) -> u64 {
        mark(self.value.to_bits(), self.time, self.service, self.name)
    }
}

/// Returns the word that pads a record with these fields.
#[inline]
fn mark(first: u64, second: u64, third: u16, fourth: u16) -> u64 {
    first ^ second.rotate_left(32) ^ u64::from(third) << 16 ^ u64::from(fourth)
}

fn id([high, low]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// An endless iterator of spans. Each seed yields different traces.
#[derive(Clone, Debug)]
pub struct FixedSpans {
    rng: Rng,
    traces: Traces,
    services: Skew,
    names: Skew,
    now: u64,
}

/// An endless iterator of log records. They belong to the traces that [`FixedSpans`] yields for the
/// same seed, in another order.
#[derive(Clone, Debug)]
pub struct FixedLogs {
    rng: Rng,
    traces: Traces,
    services: Skew,
    severities: Skew,
    now: u64,
}

/// An endless iterator of metric points: scrape after scrape of each service's metrics.
#[derive(Clone, Debug)]
pub struct FixedMetrics {
    rng: Rng,
    name: u16,
    service: u16,
    now: u64,
}

/// The traces in progress, each with its number of records so far.
#[derive(Clone, Debug)]
struct Traces {
    ids: Ids,
    open: [([u64; 2], u32); OPEN],
}

impl FixedSpans {
    /// Creates the generator with this seed.
    pub fn new(seed: u64) -> Self {
        let (services, names) = (Skew::zipf(SERVICES), Skew::zipf(SPAN_NAMES));
        Self { rng: Rng::new(seed, 1), traces: Traces::new(seed), services, names, now: START }
    }
}

impl FixedLogs {
    /// Creates the generator with this seed.
    pub fn new(seed: u64) -> Self {
        let (services, severities) = (Skew::zipf(SERVICES), Skew::of(&[80, 15, 4, 1]));
        Self { rng: Rng::new(seed, 2), traces: Traces::new(seed), services, severities, now: START }
    }
}

impl FixedMetrics {
    /// Creates the generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed, 3), name: 0, service: 0, now: START }
    }
}

impl Iterator for FixedSpans {
    type Item = FixedSpan;

    #[inline]
    fn next(&mut self) -> Option<FixedSpan> {
        self.now += TICK;
        let time = self.now;
        let random = self.rng.next();
        let (trace, number) = self.traces.next(random);
        let (service, name) =
            (self.services.at(random as u32), self.names.at((random >> 32) as u32));
        let rest = [mark(trace[1], time, service, name); 55];
        Some(FixedSpan { trace, time, duration: random >> 38, service, name, number, rest })
    }
}

impl Iterator for FixedLogs {
    type Item = FixedLog;

    #[inline]
    fn next(&mut self) -> Option<FixedLog> {
        self.now += TICK;
        let time = self.now;
        let random = self.rng.next();
        let (trace, _) = self.traces.next(random);
        let severity = [9, 5, 13, 17][usize::from(self.severities.at((random >> 32) as u32))];
        let service = self.services.at(random as u32);
        let rest = [mark(trace[1], time, service, severity.into()); 19];
        Some(FixedLog { trace, time, service, severity, rest })
    }
}

impl Iterator for FixedMetrics {
    type Item = FixedMetric;

    #[inline]
    fn next(&mut self) -> Option<FixedMetric> {
        let (name, service, time) = (self.name, self.service, self.now);
        self.name = if name + 1 < METRIC_NAMES { name + 1 } else { 0 };
        if self.name == 0 {
            self.service = (service + 1) % SERVICES;
            self.now += if self.service == 0 { crate::SCRAPE_INTERVAL } else { TICK };
        }
        let value = self.rng.unit();
        let rest = [mark(value.to_bits(), time, service, name); 14];
        Some(FixedMetric { time, value, name, service, kind: (name % 5) as u8, rest })
    }
}

impl Traces {
    fn new(seed: u64) -> Self {
        let mut ids = Ids::new(seed);
        let open = std::array::from_fn(|_| (halves(ids.trace_number()), 0));
        Self { ids, open }
    }

    /// Draws a trace in progress. Returns its id, and its number of earlier records.
    #[inline]
    fn next(&mut self, random: u64) -> ([u64; 2], u32) {
        // Use the lowest bits, which hardly any other draw uses.
        let slot = &mut self.open[random as usize % OPEN];
        let (trace, number) = *slot;
        *slot = if number + 1 < SPANS_PER_TRACE {
            (trace, number + 1)
        } else {
            (halves(self.ids.trace_number()), 0)
        };
        (trace, number)
    }
}

fn halves(id: u128) -> [u64; 2] {
    [(id >> 64) as u64, id as u64]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn traces_are_complete_and_interleaved() {
        let spans: Vec<_> = FixedSpans::new(1).take(100_000).collect();
        let mut numbers = HashMap::new();
        let mut switches = 0;
        for (before, span) in spans.iter().zip(&spans[1..]) {
            assert!(span.is_whole() && span.time > before.time);
            let mut bytes = Vec::new();
            span.write(&mut bytes);
            assert_eq!(FixedSpan::read(&bytes), *span);
            switches += u32::from(before.trace != span.trace);
        }
        for span in &spans {
            let count: &mut u32 = numbers.entry(span.trace).or_default();
            assert_eq!(span.number, *count);
            *count += 1;
        }
        let full = numbers.values().filter(|count| **count == SPANS_PER_TRACE).count();
        assert!(full >= numbers.len() - OPEN);
        assert!(switches > 90_000);
    }

    #[test]
    fn severities_have_the_documented_shares() {
        let mut counts = [0; 25];
        FixedLogs::new(2).take(100_000).for_each(|log| counts[usize::from(log.severity)] += 1);
        for (severity, share) in [(9, 80_000), (5, 15_000), (13, 4_000), (17, 1_000)] {
            assert!(
                (share * 9 / 10..share * 11 / 10).contains(&counts[severity]),
                "{severity}: {counts:?}"
            );
        }
    }

    #[test]
    fn keys_are_below_their_bounds_and_torn_records_are_detected() {
        let scrape = usize::from(METRIC_NAMES) * usize::from(SERVICES);
        let points: Vec<_> = FixedMetrics::new(3).take(scrape).collect();
        let names: std::collections::HashSet<_> =
            points.iter().map(|point| FixedMetric::INDEXES[0].key(point)).collect();
        assert_eq!(names.len(), usize::from(METRIC_NAMES));
        assert_eq!(
            FixedMetric::INDEXES[1].key(&points[scrape - 1]),
            Some(Key::Int(u64::from(SERVICES) - 1))
        );
        let torn = FixedMetric { name: 1, ..points[0] };
        assert!(points[0].is_whole() && !torn.is_whole());
        let trace = FixedSpan::INDEXES[0];
        assert!(
            FixedSpans::new(4)
                .zip(FixedSpans::new(5))
                .take(1_000)
                .all(|(a, b)| trace.key(&a) != trace.key(&b))
        );
    }
}
