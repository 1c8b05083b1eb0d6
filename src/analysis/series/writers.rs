//! Which points of a cumulative series continue which.
//!
//! A series should have one writer at a time. Where several processes say the same of themselves it has more, and their points
//! interleave: each is told by the start from which it counts. (OpenTelemetry's data model calls this overlap.)

use super::amount::Amount;
use super::distribution::Distribution;
use crate::signal::MetricPoint;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Starts that lie no farther apart, in nanoseconds, are one that its sender works out anew for each point.
const JITTER: u64 = 1_000_000_000;

/// A point of known time that can be compared with others of its kind.
pub(super) struct Reading<'a> {
    pub(super) point: &'a MetricPoint,
    /// What grows.
    pub(super) amount: Amount,
    pub(super) spread: Option<Distribution>,
}

/// What a point adds to the ones before it, all by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It continues `before`.
    Grown { before: usize, at: usize },
    /// It counts from 0, since `before` or later.
    Anew { before: usize, at: usize },
}

/// Since when a point counts, as far as it says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Known(u64),
    Unknown,
    /// The start is the point's own time: the first of a sequence whose start is not known. What it counts came before.
    Here(u64),
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
            _ if start == time => Start::Here(start),
            _ => Start::Unknown,
        }
    }

    pub(super) fn time(&self) -> u64 {
        self.point.time_unix_nanos()
    }

    /// Whether this can't continue the other, if what they count only grows: it has less, in all or
    /// in a bucket, or its buckets are others. (As Prometheus detects resets.)
    fn fell_since(&self, before: &Self) -> bool {
        let bucket_fell = || {
            let spreads = self.spread.as_ref().zip(before.spread.as_ref());
            spreads.is_some_and(|(after, before)| !matches!(after.minus(before), Some(Some(_))))
        };
        self.amount.since(before.amount) < 0.0 || bucket_fell()
    }
}

/// A writer, by its newest point.
struct Writer {
    last: usize,
    start: Option<u64>,
}

/// Goes through the points in the order of their times.
struct Pass<'a> {
    readings: &'a [Reading<'a>],
    only_grows: bool,
    /// Of each known start the one that stands for it and for those that are but jitter.
    starts: HashMap<u64, u64>,
    /// Where each start is seen for the last time.
    last_seen: HashMap<u64, usize>,
    writers: Vec<Writer>,
    by_start: HashMap<u64, usize>,
    /// The writers by the times of their newest points.
    by_time: BTreeSet<(u64, usize)>,
    /// The writer of points without a start, and that of points that start at their own times.
    nameless: Option<usize>,
    here: Option<usize>,
    /// The writer of the point before.
    newest: Option<usize>,
}

/// What each point adds, in the order of their times, in which they must come. A writer's first point adds nothing, unless it began
/// after another's last. O(n log n).
pub(super) fn steps(readings: &[Reading<'_>], only_grows: bool) -> Vec<Step> {
    let starts = without_jitter(readings, only_grows);
    let known = readings.iter().enumerate().filter_map(|(at, one)| match one.start() {
        Start::Known(start) => Some((starts[&start], at)),
        Start::Here(start) => Some((*starts.get(&start).unwrap_or(&start), at)),
        Start::Unknown => None,
    });
    let last_seen = known.collect();
    let (writers, by_start, by_time) = Default::default();
    let mut pass = Pass {
        readings,
        only_grows,
        starts,
        last_seen,
        writers,
        by_start,
        by_time,
        nameless: None,
        here: None,
        newest: None,
    };
    (0..readings.len()).filter_map(|at| pass.step(at)).collect()
}

impl Pass<'_> {
    fn step(&mut self, at: usize) -> Option<Step> {
        match self.readings[at].start() {
            Start::Known(start) => self.known(at, self.starts[&start]),
            Start::Unknown => {
                // What does not say since when it counts continues whatever came before.
                let writer = self.nameless.or(self.newest);
                self.nameless = Some(writer.unwrap_or(self.writers.len()));
                self.goes_on(writer, at, None)
            }
            Start::Here(start) => {
                let here = self.here.filter(|&writer| {
                    // One that says so of each point knows no starts.
                    matches!(self.readings[self.writers[writer].last].start(), Start::Here(_))
                });
                self.here = Some(here.unwrap_or(self.writers.len()));
                self.by_start.insert(*self.starts.get(&start).unwrap_or(&start), self.here?);
                self.goes_on(here, at, Some(start))
            }
        }
    }

    fn known(&mut self, at: usize, start: u64) -> Option<Step> {
        let own = self.by_start.get(&start).copied();
        if let Some(writer) = own {
            let Writer { last, start: since } = self.writers[writer];
            let began_since = self.readings[at].point.start_unix_nanos() >= self.readings[last].time();
            if since.is_some_and(|since| self.readings[at].point.start_unix_nanos() <= since) || !began_since {
                return self.goes_on(own, at, Some(self.readings[at].point.start_unix_nanos()));
            }
        }
        // It began after the newest point of some writer: that one's successor.
        let raw = self.readings[at].point.start_unix_nanos();
        let ended = self.by_time.range(..=(raw, usize::MAX)).next_back().map(|&(_, writer)| self.writers[writer].last);
        let continued = if ended.is_none() { self.moved(at, raw) } else { None };
        self.by_start.insert(start, continued.unwrap_or(self.writers.len()));
        match ended {
            Some(before) => {
                self.add(at, Some(raw));
                Some(Step::Anew { before, at })
            }
            None => self.goes_on(continued, at, Some(raw)),
        }
    }

    /// The writer of the point before, if it looks as if only what it says of its start had changed: it says the former no more, and
    /// the new one differs by less than the time between.
    fn moved(&self, at: usize, start: u64) -> Option<usize> {
        let before = at.checked_sub(1)?;
        let writer = self.newest?;
        let (one, other) = (&self.readings[before], &self.readings[at]);
        let near = match one.start() {
            Start::Known(former) => {
                let gone = self.last_seen.get(&self.starts[&former]) == Some(&before);
                gone && former.abs_diff(start) <= other.time() - one.time()
            }
            Start::Unknown => true,
            Start::Here(_) => false,
        };
        (near && !other.fell_since(one)).then_some(writer)
    }

    /// The next point of a writer; of a new one, if there is none.
    fn goes_on(&mut self, writer: Option<usize>, at: usize, start: Option<u64>) -> Option<Step> {
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
        let anew = self.only_grows && self.readings[at].fell_since(&self.readings[before]);
        Some(if anew { Step::Anew { before, at } } else { Step::Grown { before, at } })
    }

    fn add(&mut self, at: usize, start: Option<u64>) {
        self.by_time.insert((self.readings[at].time(), self.writers.len()));
        self.newest = Some(self.writers.len());
        self.writers.push(Writer { last: at, start });
    }
}

/// For each known start the least of those that are one with it: neighbours within the jitter, between whose points nothing falls.
/// Where something does, they are several writers that began together.
fn without_jitter(readings: &[Reading<'_>], only_grows: bool) -> HashMap<u64, u64> {
    let known = readings.iter().filter_map(|one| match one.start() {
        Start::Known(start) => Some((start, one)),
        _ => None,
    });
    let mut near: BTreeMap<u64, u64> = known.clone().map(|(start, _)| (start, start)).collect();
    let mut before: Option<(u64, u64)> = None;
    for (&start, group) in &mut near {
        *group = before.filter(|(last, _)| start - last <= JITTER).map_or(start, |(_, group)| group);
        before = Some((start, *group));
    }
    let mut several: BTreeSet<u64> = BTreeSet::new();
    let mut last: HashMap<u64, &Reading<'_>> = HashMap::new();
    for (start, one) in known {
        let group = near[&start];
        let before = last.insert(group, one);
        let fell = before.is_some_and(|before| {
            let other = before.point.start_unix_nanos() != start;
            only_grows && other && start < before.time() && one.fell_since(before)
        });
        if fell {
            several.insert(group);
        }
    }
    near.into_iter().map(|(start, group)| (start, if several.contains(&group) { start } else { group })).collect()
}
