//! Answers over the store and the history, as one.
//!
//! # Each point once
//!
//! While an answer is read, points leave the store, wait in the queue, and enter the history. A
//! reader takes four steps:
//!
//! 1. It takes in what is in the queue, bit by bit, and as far as its patience allows. It locks the
//!    tier, copies what is kept of the series asked for (S), opens a tap, and unlocks.
//! 2. It asks the store (R). It needs no lock for that.
//! 3. It reads where the store's window begins now, in each shard (E).
//! 4. It locks the tier again and again, each time taking in what is in the queue, until the history
//!    has been handed all positions before E. Then it closes the tap (T): the points that entered
//!    since step 1.
//!
//! The answer is S, then T without the positions that are in R, then R.
//!
//! *No point is there twice.* A point of S was handed to the hook before step 1, so it was evicted
//! before, and no query that begins afterwards shows it: S and R have none in common. The tier takes
//! in each point once, under its lock, either before step 1 or after: S and T have none in common.
//! Positions are names, so T without those of R, and R, have none in common.
//!
//! *None is missing.* Take a point that was published before the read began, and that neither tier
//! had lost. If the store's query shows it, it is in R. If not, it was evicted, or due, before the
//! query came to it, so its position is before E. By step 4 the tier has taken it in: before step 1,
//! then it is in S, or after it, then it is in T.
//!
//! *Steps end.* A record that a suspended thread is about to hand over may be missing for long. After
//! the history's `patience` the reader goes on without it and says so in its report. No reader waits
//! for that record again, and each says that it is missing until it has come. What the queue had no
//! room for, and what was cleared, is known by position and not waited for. A reader whose tap has
//! overrun, because it took long and much was evicted meanwhile, begins anew; the third time it goes
//! on without, and says so.
//!
//! Points that a query's own tests look at are decoded after the tier is unlocked, so that no code
//! of the caller's runs under the lock. A block that leaves the history meanwhile stays in memory
//! until the answers that began before are done with it.

use crate::absorb::LIKE;
use crate::history::{MetricHistory, SharedState};
use crate::row;
use crate::taps::Tap;
use crate::tier::Kept;
use slipring::error::{QueryError, WaitError};
use slipring::metric::Series;
use slipring::query::Report;
use slipring::{MetricPoint, Order, Position, Query, Signal, Store};
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

/// How often a read is tried whose tap overruns.
const ATTEMPTS: usize = 3;

/// Series over the store and the history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recalled {
    /// The series, as [`Query::series`] returns them.
    pub series: Vec<Series>,
    /// What came from where.
    pub report: RecallReport,
}

/// How an answer over the store and the history went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecallReport {
    /// How the query of the store went. Points that left the store meanwhile are in the answer all
    /// the same, unless it is not [`complete`](RecallReport::complete).
    pub store: Report,
    /// Points from the store.
    pub from_store: u64,
    /// Points from the history. Those that left the store while the answer was read are among them.
    pub from_history: u64,
    /// Blocks that were decoded.
    pub blocks: u64,
    /// Whether the history was asked. It is not if a bookmark, a cursor or a limit restricts the
    /// query: these are about arrival in the store.
    pub asked_history: bool,
    /// Whether no point is missing that was on its way from the store to the history. Points that
    /// the history has lost or evicted are missing all the same: see `missed`, and
    /// [`Stats`](crate::Stats), which counts them.
    pub complete: bool,
    /// Points of all series that the history has lost since it was started, because its queue was
    /// full. No answer has them.
    pub missed: u64,
}

/// Why a history gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The call came from inside a hook or a visit, where it would wait for its own thread.
    #[error("called inside a hook or a visit, which the history would wait for; call it elsewhere")]
    Reentrant,
    /// The query is over a store that is not the history's.
    #[error("the query is over another store than the history; ask the store it was started with")]
    OtherStore,
    /// The points from the history would take more than
    /// [`Settings::answer_bytes`](crate::Settings::answer_bytes).
    #[error(
        "the points from the history would take more than {most} bytes; \
         give `since` and `until`, or more conditions"
    )]
    TooLarge {
        /// The bytes that they may take.
        most: usize,
    },
}

impl MetricHistory {
    /// Returns the series that the query's points form, of those in the store and those that the
    /// history has kept, each point once.
    ///
    /// The conditions on keys, times, attributes and contents hold for both. A point that the
    /// history has kept has lost its exemplars and unknown fields; `filter` sees it without them.
    /// Waits for points that are on their way from the store: usually for a nap of the store's
    /// indexer, some milliseconds, and no longer than the history's patience.
    /// O(points of the series with these keys and attributes whose blocks have these times).
    ///
    /// # Errors
    /// [`RecallError`], if the query is invalid or asks another store, or inside a hook or a visit.
    pub fn series(&self, query: Query<'_, MetricPoint>) -> Result<Recalled, RecallError> {
        let (points, report) = self.points(query)?;
        Ok(Recalled { series: Series::assemble(points), report })
    }

    /// Returns the query's points like [`series`](MetricHistory::series), series by series as far as
    /// the history has kept them, and then those of the store, oldest first.
    ///
    /// # Errors
    /// As [`series`](MetricHistory::series).
    pub fn points(
        &self,
        query: Query<'_, MetricPoint>,
    ) -> Result<(Vec<MetricPoint>, RecallReport), RecallError> {
        let shared = self.shared();
        let store = shared.store.upgrade().ok_or(RecallError::OtherStore)?;
        if !store.is_asked_by(&query) {
            return Err(RecallError::OtherStore);
        }
        // Says whether this thread may wait.
        if store.flush_timeout(Duration::ZERO) == Err(WaitError::Reentrant) {
            return Err(RecallError::Reentrant);
        }
        let query = query.order(Order::Oldest);
        if query.is_limited() {
            let answer = query.collect()?;
            let from_store = answer.len() as u64;
            let report = RecallReport {
                store: answer.report,
                from_store,
                complete: true,
                ..RecallReport::default()
            };
            return Ok((answer.records, report));
        }
        let mut attempts = 1;
        loop {
            let (kept, tap) = OpenTap::open(shared, &query);
            let answer = query.clone().collect()?;
            let (arrived, in_time) = tap.close_once_all_is_in(&store);
            if arrived.overran && attempts < ATTEMPTS {
                attempts += 1;
                continue;
            }
            let complete = in_time && !arrived.overran;
            if !complete {
                shared.lock().counts.incomplete_answers += 1;
            }
            let [_, missed, _] = shared.queue.counts();
            let mut report =
                RecallReport { asked_history: true, complete, missed, ..RecallReport::default() };
            let mut decoded = Decoded { points: Vec::new(), bytes: 0, most: shared.answer_bytes };
            for kept in &kept {
                decoded.add(kept, &query)?;
                report.blocks += kept.blocks.len() as u64;
            }
            let mut points = decoded.points;
            let shown: HashSet<Position> = answer.positions.iter().copied().collect();
            let arrived = arrived
                .points
                .into_iter()
                .filter(|(position, point)| !shown.contains(position) && query.accepts(point));
            points.extend(arrived.map(|(_, point)| point));
            report.from_history = points.len() as u64;
            report.from_store = answer.len() as u64;
            report.store = answer.report;
            points.extend(answer.records);
            return Ok((points, report));
        }
    }
}

/// The points of the history that a query accepts, and the bytes that they take.
struct Decoded {
    points: Vec<MetricPoint>,
    bytes: usize,
    most: usize,
}

impl Decoded {
    /// Appends the points of a series, unless they would take too much: each has a copy of its own
    /// of the attributes, which the history has once.
    fn add(&mut self, kept: &Kept, query: &Query<'_, MetricPoint>) -> Result<(), RecallError> {
        for block in &kept.blocks {
            self.append(kept, &block.rows(kept.shape), query)?;
        }
        self.append(kept, &kept.rows, query)
    }

    fn append(
        &mut self,
        kept: &Kept,
        rows: &[u64],
        query: &Query<'_, MetricPoint>,
    ) -> Result<(), RecallError> {
        let (times, mut rest) = (query.times(), rows);
        while let Some(&time) = rest.first() {
            let (row, after) = rest.split_at(kept.shape.row_length(rest));
            rest = after;
            if !times.contains(&time) {
                continue;
            }
            let point = row::point(&kept.like, kept.shape, row);
            if query.accepts(&point) {
                self.bytes += size_of::<MetricPoint>() + point.heap_bytes() + LIKE;
                if self.bytes > self.most {
                    return Err(RecallError::TooLarge { most: self.most });
                }
                self.points.push(point);
            }
        }
        Ok(())
    }
}

/// A tap that a reader has opened. It is closed when dropped, also by a panic of the query's tests.
struct OpenTap<'a> {
    shared: &'a SharedState,
    number: u64,
}

impl<'a> OpenTap<'a> {
    /// Step 1.
    fn open(shared: &'a SharedState, query: &Query<'_, MetricPoint>) -> (Vec<Kept>, Self) {
        // Declared first, so that a panic unlocks before the tap is closed.
        let mut tap = Self { shared, number: 0 };
        let mut tier = shared.lock_once_taken_in(deadline(shared.patience));
        tap.number = tier.taps.open();
        let kept = tier.kept(query);
        drop(tier);
        (kept, tap)
    }

    /// Steps 3 and 4. Returns what came through the tap, and whether that is all.
    fn close_once_all_is_in(self, store: &Store<MetricPoint>) -> (Tap, bool) {
        let oldest = store.oldest_positions();
        let deadline = deadline(self.shared.patience);
        let mut nap = Duration::from_micros(50);
        loop {
            let mut tier = self.shared.lock();
            let taken = self.shared.take_in(&mut tier, usize::MAX);
            let is_in = |position: &Position| {
                let seen = tier.seen.get(position.shard());
                seen.is_none_or(|seen| seen.reaches(position.sequence()))
            };
            let all = oldest.iter().all(is_in);
            if all || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                for position in &oldest {
                    if let Some(seen) = tier.seen.get_mut(position.shard()) {
                        seen.give_up_below(position.sequence());
                    }
                }
                let lacks = |position: &Position| {
                    let seen = tier.seen.get(position.shard());
                    seen.is_some_and(|seen| seen.lacks_below(position.sequence()))
                };
                let none_is_late = !oldest.iter().any(lacks);
                return (tier.taps.close(self.number), all && none_is_late);
            }
            drop(tier);
            // In a manual store, eviction is due to whoever waits for it.
            if !store.step() && taken == 0 {
                thread::park_timeout(nap);
                nap = (nap * 2).min(Duration::from_millis(2));
            }
        }
    }
}

/// Returns when the patience ends, and `None` if that is beyond what the clock can say.
fn deadline(patience: Duration) -> Option<Instant> {
    Instant::now().checked_add(patience)
}

impl Drop for OpenTap<'_> {
    fn drop(&mut self) {
        self.shared.lock().taps.close(self.number);
    }
}
