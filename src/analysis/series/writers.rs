//! Finds which points of a cumulative series continue which.
//!
//! A series should have one writer at a time. If several processes report the same series, their
//! points interleave. Each writer is identified by the start time from which it counts.
//! OpenTelemetry's data model calls this overlap.

use super::amount::Amount;
use super::distribution::Distribution;
use crate::signal::MetricPoint;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Starts that are at most this many nanoseconds apart may be one: some senders recompute their
/// start for each point.
const JITTER: u64 = 1_000_000_000;

/// A point with a known time and a value that can be compared with others of its kind.
pub(super) struct Reading<'a> {
    pub(super) point: &'a MetricPoint,
    /// The quantity that grows: a sum's value or a histogram's count.
    pub(super) amount: Amount,
    pub(super) spread: Option<Distribution>,
}

/// What a point adds to an earlier one. Both are indices into the readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It continues `before`, and adds the difference.
    Growth { before: usize, at: usize },
    /// It counts from 0, starting at or after `before`.
    Reset { before: usize, at: usize },
}

/// The time from which a point says that it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Known(u64),
    Unknown,
    /// The start equals the point's own time: the first point of a sequence with an unknown start.
    /// Everything that it counts came before.
    AtPoint(u64),
}

impl<'a> Reading<'a> {
    pub(super) fn of(point: &'a MetricPoint) -> Option<Self> {
        let value = point.value();
        let amount = Amount::of(point, &value)?;
        Some(Self { point, amount, spread: Distribution::of(&value) })
    }

    fn start(&self) -> Start {
        let (start, time) = (self.point.start_unix_nanos(), self.time());
        match start {
            0 => Start::Unknown,
            _ if start < time => Start::Known(start),
            _ if start == time => Start::AtPoint(start),
            _ => Start::Unknown,
        }
    }

    pub(super) fn time(&self) -> u64 {
        self.point.time_unix_nanos()
    }

    /// Returns whether the count decreased since `before`, in all or in one bucket, or whether the
    /// buckets are others. Then this point cannot continue it in a monotonic series. Prometheus
    /// detects resets in the same way.
    fn decreased_since(&self, before: &Self) -> bool {
        let bucket_decreased = || {
            let spreads = self.spread.as_ref().zip(before.spread.as_ref());
            spreads.is_some_and(|(after, before)| !matches!(after.minus(before), Some(Some(_))))
        };
        self.amount.since(before.amount) < 0.0 || bucket_decreased()
    }
}

/// A writer, with its newest point.
struct Writer {
    last: usize,
    start: Option<u64>,
}

/// A pass over the points in order of time.
struct Pass<'a> {
    readings: &'a [Reading<'a>],
    monotonic: bool,
    /// For each known start, the start that represents it and all that differ from it by jitter
    /// only.
    starts: HashMap<u64, u64>,
    /// The last point with each start.
    last_seen: HashMap<u64, usize>,
    writers: Vec<Writer>,
    by_start: HashMap<u64, usize>,
    /// The writers, ordered by the times of their newest points.
    by_time: BTreeSet<(u64, usize)>,
    /// The writer of points without a start, and that of points that start at their own times.
    without_start: Option<usize>,
    at_point: Option<usize>,
    /// The writer of the previous point.
    newest: Option<usize>,
}

/// Returns what each point adds. The readings must be sorted by time. A writer's first point adds
/// nothing, unless it started after another writer's last point. O(n log n).
pub(super) fn steps(readings: &[Reading<'_>], monotonic: bool) -> Vec<Step> {
    let starts = group_starts(readings, monotonic);
    let known = readings.iter().enumerate().filter_map(|(at, one)| match one.start() {
        Start::Known(start) => Some((starts[&start], at)),
        Start::AtPoint(start) => Some((*starts.get(&start).unwrap_or(&start), at)),
        Start::Unknown => None,
    });
    let last_seen = known.collect();
    let (writers, by_start, by_time) = Default::default();
    let mut pass = Pass {
        readings,
        monotonic,
        starts,
        last_seen,
        writers,
        by_start,
        by_time,
        without_start: None,
        at_point: None,
        newest: None,
    };
    (0..readings.len()).filter_map(|at| pass.step(at)).collect()
}

impl Pass<'_> {
    fn step(&mut self, at: usize) -> Option<Step> {
        match self.readings[at].start() {
            Start::Known(start) => self.step_with_start(at, self.starts[&start]),
            Start::Unknown => {
                // Continue the writer of the last such point or, without one, of the previous
                // point.
                let writer = self.without_start.or(self.newest);
                self.without_start = Some(writer.unwrap_or(self.writers.len()));
                self.continue_writer(writer, at, None)
            }
            Start::AtPoint(start) => {
                let writer = self.at_point.filter(|&writer| {
                    // If the writer's last point was like this too, the writer never knows its
                    // start.
                    matches!(self.readings[self.writers[writer].last].start(), Start::AtPoint(_))
                });
                self.at_point = Some(writer.unwrap_or(self.writers.len()));
                self.by_start.insert(*self.starts.get(&start).unwrap_or(&start), self.at_point?);
                self.continue_writer(writer, at, Some(start))
            }
        }
    }

    fn step_with_start(&mut self, at: usize, start: u64) -> Option<Step> {
        let own = self.by_start.get(&start).copied();
        if let Some(writer) = own {
            let Writer { last, start: since } = self.writers[writer];
            let began_since =
                self.readings[at].point.start_unix_nanos() >= self.readings[last].time();
            if since.is_some_and(|since| self.readings[at].point.start_unix_nanos() <= since)
                || !began_since
            {
                return self.continue_writer(
                    own,
                    at,
                    Some(self.readings[at].point.start_unix_nanos()),
                );
            }
        }
        // It started after some writer's newest point, so it succeeds that writer.
        let raw = self.readings[at].point.start_unix_nanos();
        let ended = self
            .by_time
            .range(..=(raw, usize::MAX))
            .next_back()
            .map(|&(_, writer)| self.writers[writer].last);
        let continued = if ended.is_none() { self.restated(at, raw) } else { None };
        self.by_start.insert(start, continued.unwrap_or(self.writers.len()));
        match ended {
            Some(before) => {
                self.add(at, Some(raw));
                Some(Step::Reset { before, at })
            }
            None => self.continue_writer(continued, at, Some(raw)),
        }
    }

    /// Returns the writer of the previous point if it seems to have only restated its start: no
    /// later point has the former start, and the two starts differ by no more than the time between
    /// the points.
    fn restated(&self, at: usize, start: u64) -> Option<usize> {
        let before = at.checked_sub(1)?;
        let writer = self.newest?;
        let (one, other) = (&self.readings[before], &self.readings[at]);
        let near = match one.start() {
            Start::Known(former) => {
                let gone = self.last_seen.get(&self.starts[&former]) == Some(&before);
                gone && former.abs_diff(start) <= other.time() - one.time()
            }
            Start::Unknown => true,
            Start::AtPoint(_) => false,
        };
        (near && !other.decreased_since(one)).then_some(writer)
    }

    /// Adds a point to a writer; to a new one, if `writer` is `None`.
    fn continue_writer(
        &mut self,
        writer: Option<usize>,
        at: usize,
        start: Option<u64>,
    ) -> Option<Step> {
        let Some(writer) = writer else {
            self.add(at, start);
            return None;
        };
        let before = self.writers[writer].last;
        self.by_time.remove(&(self.readings[before].time(), writer));
        self.by_time.insert((self.readings[at].time(), writer));
        let since = start.or(self.writers[writer].start);
        self.writers[writer] = Writer { last: at, start: since };
        self.newest = Some(writer);
        let resets = self.monotonic && self.readings[at].decreased_since(&self.readings[before]);
        Some(if resets { Step::Reset { before, at } } else { Step::Growth { before, at } })
    }

    fn add(&mut self, at: usize, start: Option<u64>) {
        self.by_time.insert((self.readings[at].time(), self.writers.len()));
        self.newest = Some(self.writers.len());
        self.writers.push(Writer { last: at, start });
    }
}

/// Returns, for each known start, the least start of its group: neighbours within the jitter. If
/// the count decreases between points of a group, the group is several writers that started
/// together, and is split.
fn group_starts(readings: &[Reading<'_>], monotonic: bool) -> HashMap<u64, u64> {
    let known = readings.iter().filter_map(|one| match one.start() {
        Start::Known(start) => Some((start, one)),
        _ => None,
    });
    let mut near: BTreeMap<u64, u64> = known.clone().map(|(start, _)| (start, start)).collect();
    let mut before: Option<(u64, u64)> = None;
    for (&start, group) in &mut near {
        *group =
            before.filter(|(last, _)| start - last <= JITTER).map_or(start, |(_, group)| group);
        before = Some((start, *group));
    }
    let mut several: BTreeSet<u64> = BTreeSet::new();
    let mut last: HashMap<u64, &Reading<'_>> = HashMap::new();
    for (start, one) in known {
        let group = near[&start];
        let before = last.insert(group, one);
        let decreased = before.is_some_and(|before| {
            let other = before.point.start_unix_nanos() != start;
            monotonic && other && start < before.time() && one.decreased_since(before)
        });
        if decreased {
            several.insert(group);
        }
    }
    near.into_iter()
        .map(|(start, group)| (start, if several.contains(&group) { start } else { group }))
        .collect()
}
