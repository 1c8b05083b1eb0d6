//! A query's conditions, and the choice of the index that drives it.

use super::view::View;
use crate::engine::ring::Head;
use crate::engine::state::Engine;
use crate::engine::tuning::SAMPLED;
use crate::signal::{Index, Key, KeyBuf, Signal, index_at, key_of};
use smallvec::SmallVec;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A condition that needs the record itself; the slot's head is not enough.
pub(super) struct Test<'a, T> {
    pub(super) accepts: Arc<dyn Fn(&T) -> bool + Send + Sync + 'a>,
    /// Whether the condition is one on keys or attributes, which a point shares with its series. No
    /// user code runs in such a condition.
    pub(super) of_series: bool,
}

/// The keys accepted in one index. A record must carry one of them.
#[derive(Clone, Debug)]
pub(super) struct KeyPredicate {
    pub(super) index: usize,
    keys: SmallVec<[KeyBuf; 1]>,
    /// The keys' fingerprints, without duplicates: two keys may share one.
    pub(super) prints: SmallVec<[u64; 1]>,
}

/// All conditions of a query. A record must meet each of them.
pub(super) struct Plan<'a, T> {
    pub(super) keys: SmallVec<[KeyPredicate; 1]>,
    pub(super) times: RangeInclusive<u64>,
    pub(super) tests: Vec<Test<'a, T>>,
}

/// The range of every timestamp: no time condition.
pub(super) const ANY_TIME: RangeInclusive<u64> = 0..=u64::MAX;

impl KeyPredicate {
    #[inline]
    pub(super) fn new(index: usize) -> Self {
        Self { index, keys: SmallVec::new(), prints: SmallVec::new() }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, print: u64, key: Key<'_>) {
        self.keys.push(key.to_owned());
        self.prints.push(print);
    }

    /// Sorts the keys for binary search. Call after the last `add`.
    #[inline]
    pub(super) fn finish(&mut self) {
        if self.keys.len() > 1 {
            self.keys.sort_unstable();
            self.prints.sort_unstable();
            self.prints.dedup();
        }
    }

    #[inline]
    fn accepts(&self, print: u64) -> bool {
        match &self.prints[..] {
            [one] => *one == print,
            prints => prints.binary_search(&print).is_ok(),
        }
    }

    #[inline(always)]
    fn is_carried_by<T: Signal>(&self, record: &T) -> bool {
        key_of(record, self.index).is_some_and(|key| match &self.keys[..] {
            [one] => one.as_key() == key,
            keys => keys.binary_search_by(|one| one.as_key().cmp(&key)).is_ok(),
        })
    }
}

impl<T> Clone for Plan<'_, T> {
    fn clone(&self) -> Self {
        let tests = self
            .tests
            .iter()
            .map(|test| Test { accepts: Arc::clone(&test.accepts), of_series: test.of_series });
        Self { keys: self.keys.clone(), times: self.times.clone(), tests: tests.collect() }
    }
}

impl<T: Signal> Plan<'_, T> {
    /// A plan without conditions: it accepts every record.
    pub(super) fn everything() -> Self {
        Self { keys: SmallVec::new(), times: ANY_TIME, tests: Vec::new() }
    }

    /// Returns whether the head alone allows the record to match: it has an accepted fingerprint in
    /// each index and a timestamp in the range.
    #[inline]
    pub(super) fn admits(&self, head: &Head<T::Indexes>) -> bool {
        self.keys.iter().all(|wanted| wanted.accepts(head.print(wanted.index)))
            && (self.times == ANY_TIME || self.times.contains(&head.time()))
    }

    /// Returns whether one key condition is all that a head is tested for.
    #[inline]
    pub(super) fn is_simple(&self) -> bool {
        self.keys.len() == 1 && self.times == ANY_TIME
    }

    /// Returns the key that is asked for and its index, if the query has one key condition with one key.
    #[inline]
    pub(super) fn only_key(&self) -> Option<(Index<T>, Key<'_>)> {
        let [KeyPredicate { index, keys, .. }] = &self.keys[..] else { return None };
        let [key] = &keys[..] else { return None };
        Some((index_at::<T>(*index), key.as_key()))
    }

    /// Returns whether a record carries an accepted key in each index. Runs user code, which may
    /// panic.
    #[inline(always)]
    pub(super) fn is_carried_by(&self, record: &T) -> bool {
        for wanted in &self.keys {
            if !wanted.is_carried_by(record) {
                return false;
            }
        }
        true
    }

    /// Returns whether a record passes the tests.
    #[inline(always)]
    pub(super) fn passes(&self, record: &T) -> bool {
        self.tests.is_empty() || self.tests.iter().all(|test| (test.accepts)(record))
    }

    /// Returns whether a record whose head was admitted meets every condition.
    pub(super) fn meets(&self, engine: &Engine<T>, record: &T) -> bool {
        engine.guarded(|| self.is_carried_by(record)) == Some(true) && self.passes(record)
    }

    /// Returns whether a record meets the conditions on keys and attributes.
    pub(super) fn meets_of_series(&self, engine: &Engine<T>, record: &T) -> bool {
        let mut tests = self.tests.iter().filter(|test| test.of_series);
        engine.guarded(|| self.is_carried_by(record)) == Some(true)
            && tests.all(|test| (test.accepts)(record))
    }

    /// Chooses the key condition that drives the query: the one with the fewest records by
    /// [`estimate`], or `None` if scanning the heads costs less. `window` is the number of records
    /// in the query's bounds, if it has any. The result is a position in `keys`.
    pub(super) fn driving_index(&self, engine: &Engine<T>, window: Option<u64>) -> Option<usize> {
        if self.is_simple() && window.is_none() {
            return Some(0);
        }
        let cost = |(number, wanted): (usize, &KeyPredicate)| (estimate(engine, wanted), number);
        let (cost, number) = self.keys.iter().enumerate().map(cost).min()?;
        if window.is_some_and(|window| window <= cost) {
            return None;
        }
        let blocks: u64 = engine.shards.iter().map(|shard| shard.index().0.blocks.count()).sum();
        if self.times != ANY_TIME && blocks < cost && self.heads_in_time(engine) + blocks < cost {
            return None;
        }
        Some(number)
    }

    /// Estimates how many heads a scan for the query's time range looks at. The result affects
    /// speed only, so nothing is pinned for it.
    fn heads_in_time(&self, engine: &Engine<T>) -> u64 {
        let of = |shard: &crate::engine::shard::Shard<T>| {
            shard.index().0.blocks.records_in(shard.evicted(), shard.indexed(), &self.times)
        };
        engine.shards.iter().map(of).sum()
    }
}

/// Estimates how many records carry one of these keys, from how close together the newest of them
/// lie.
fn estimate<T: Signal>(engine: &Engine<T>, wanted: &KeyPredicate) -> u64 {
    let each = |shard| wanted.prints.iter().map(move |&print| (shard, print));
    engine
        .shards
        .iter()
        .flat_map(each)
        .map(|(shard, print)| sample(View::open(shard), wanted.index, print))
        .sum()
}

fn sample<T: Signal>(view: View<'_, T>, index: usize, print: u64) -> u64 {
    let Some((newest, _)) = view.newest(index, print) else { return 0 };
    let (slots, links) = (&view.shard().slots, view.index.links());
    let mut at = newest;
    for seen in 0..SAMPLED {
        let place = slots.place(at);
        let link = |head: &Head<T::Indexes>| (head.print(index), links[place].distance(index));
        let Some((_, distance)) =
            view.look(at, link).filter(|&(found, _)| at >= view.low && found == print)
        else {
            return seen;
        };
        match distance {
            0 => return seen + 1,
            distance if distance > at => return seen + 1,
            distance => at -= distance,
        }
    }
    (view.claimed.saturating_sub(view.low)).saturating_mul(SAMPLED) / (newest - at).max(1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::TraceId;
    use crate::query::builder::Query;
    use crate::signal::LogRecord;
    use crate::store::StoreBuilder;

    fn push(engine: &Engine<LogRecord>, times: std::ops::Range<u64>, trace: impl Fn(u64) -> u128) {
        for time_unix_nanos in times {
            let trace_id = TraceId::from(trace(time_unix_nanos));
            engine.push(
                LogRecord::builder().time_unix_nanos(time_unix_nanos).trace_id(trace_id).build(),
            );
        }
    }

    /// Returns an engine with 256 indexed records. Each has its number as its timestamp, and the
    /// trace that `trace` returns for it.
    fn engine(trace: impl Fn(u64) -> u128) -> Engine<LogRecord> {
        let engine = Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(256).slack(192).shards(1).manual(),
        );
        push(&engine, 0..256, trace);
        engine.settle();
        engine
    }

    fn estimated(engine: &Engine<LogRecord>, trace: u128) -> u64 {
        let plan = Query::new(engine).key("trace", TraceId::from(trace)).execution().unwrap().plan;
        estimate(engine, &plan.keys[0])
    }

    #[test]
    fn rare_keys_are_counted_and_frequent_ones_estimated() {
        let often = engine(|number| if number < 2 { 1 } else { 2 + u128::from(number % 2) });
        assert_eq!([1, 2, 3, 4].map(|trace| estimated(&often, trace)), [2, 128, 128, 0]);
        // The newest five span fourteen records.
        let newest =
            engine(|number| if [241, 244, 247, 251, 255].contains(&number) { 5 } else { 6 });
        assert_eq!(estimated(&newest, 5), 256 * 4 / 14);
        let lagging =
            Engine::of(&StoreBuilder::<LogRecord>::new().capacity(8).slack(8).shards(1).manual());
        push(&lagging, 0..4, |_| 1);
        push(&lagging, 4..8, |_| 2);
        lagging.settle();
        push(&lagging, 8..12, |_| 2);
        assert_eq!(
            (estimated(&lagging, 1), estimated(&lagging, 2)),
            (0, 4),
            "evicted records do not count"
        );
    }

    #[test]
    fn the_rarest_key_drives_unless_a_scan_costs_less() {
        let engine = engine(|number| match number {
            7 | 8 => 1,
            241 | 244 | 247 | 251 | 255 => 5,
            _ => 6,
        });
        let trace = |number: u128| Query::new(&engine).key("trace", TraceId::from(number));
        let driving = |query: Query<'_, LogRecord>, window| {
            query.execution().unwrap().plan.driving_index(&engine, window)
        };
        assert_eq!(driving(trace(1), None), Some(0));
        assert_eq!(driving(trace(1), Some(3)), Some(0));
        assert_eq!(
            driving(trace(1), Some(2)),
            None,
            "the bounds hold no more records than carry the key"
        );
        assert_eq!(driving(trace(6).key("trace", TraceId::from(1)), None), Some(1));
        assert_eq!(driving(Query::new(&engine), None), None);
        // One look at each block, and at the records of the one block that holds the time.
        let looks = 64 + engine.shards[0].index().0.blocks.count();
        assert_eq!((looks, estimated(&engine, 5)), (73, 73));
        assert_eq!(driving(trace(5).between(64..128), None), Some(0), "a scan costs the same");
        assert_eq!(driving(trace(6).between(64..128), None), None);
        assert_eq!(
            driving(trace(6).between(1..), None),
            Some(0),
            "all blocks hold a time in the range"
        );
        assert_eq!(driving(trace(1).between(64..128), None), Some(0));
        let many = Query::new(&engine)
            .any_of("trace", [6, 6, 5].map(|number: u128| TraceId::from(number)));
        assert_eq!(
            driving(many, Some(10_000)),
            Some(0),
            "without a time range no block is skipped"
        );
    }
}
