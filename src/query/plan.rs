//! What a query asks of a record, and which of its conditions leads.

use super::view::View;
use crate::engine::ring::Head;
use crate::engine::state::Engine;
use crate::engine::tuning::SAMPLED;
use crate::signal::{Key, KeyBuf, Signal};
use smallvec::SmallVec;
use std::ops::RangeInclusive;

/// A condition that only the record itself can answer.
pub(super) type Test<'a, T> = Box<dyn Fn(&T) -> bool + Send + Sync + 'a>;

/// The keys of which a record must carry one, in one index.
#[derive(Debug)]
pub(super) struct KeyPredicate {
    pub(super) index: usize,
    keys: SmallVec<[KeyBuf; 1]>,
    /// Their fingerprints, each once: two keys may share one.
    pub(super) prints: SmallVec<[u64; 1]>,
}

/// All conditions of a query. A record must meet each.
pub(super) struct Plan<'a, T> {
    pub(super) keys: SmallVec<[KeyPredicate; 1]>,
    pub(super) times: RangeInclusive<u64>,
    pub(super) tests: Vec<Test<'a, T>>,
}

/// All there is.
pub(super) const ANY_TIME: RangeInclusive<u64> = 0..=u64::MAX;

impl KeyPredicate {
    pub(super) fn new(index: usize) -> Self {
        Self { index, keys: SmallVec::new(), prints: SmallVec::new() }
    }

    pub(super) fn add(&mut self, print: u64, key: Key<'_>) {
        self.keys.push(key.to_owned());
        self.prints.push(print);
    }

    /// After the last was added.
    pub(super) fn finish(&mut self) {
        if self.keys.len() > 1 {
            self.keys.sort_unstable();
            self.prints.sort_unstable();
            self.prints.dedup();
        }
    }

    #[inline]
    fn has(&self, print: u64) -> bool {
        match &self.prints[..] {
            [one] => *one == print,
            prints => prints.binary_search(&print).is_ok(),
        }
    }

    #[inline]
    fn is_carried_by<T: Signal>(&self, record: &T) -> bool {
        record.key(self.index).is_some_and(|key| match &self.keys[..] {
            [one] => one.as_key() == key,
            keys => keys.binary_search_by(|one| one.as_key().cmp(&key)).is_ok(),
        })
    }
}

impl<T: Signal> Plan<'_, T> {
    /// Without conditions.
    pub(super) fn everything() -> Self {
        Self { keys: SmallVec::new(), times: ANY_TIME, tests: Vec::new() }
    }

    /// Whether the record in a slot may be asked for, as far as its head says.
    #[inline]
    pub(super) fn admits(&self, head: &Head<T::Indexes>) -> bool {
        self.keys.iter().all(|wanted| wanted.has(head.print(wanted.index)))
            && (self.times == ANY_TIME || self.times.contains(&head.time()))
    }

    /// Whether a head with one of these keys is admitted for that alone.
    #[inline]
    pub(super) fn is_simple(&self) -> bool {
        self.keys.len() == 1 && self.times == ANY_TIME
    }

    /// Whether a record that its head admits is one that is asked for.
    #[inline]
    pub(super) fn meets(&self, engine: &Engine<T>, record: &T) -> bool {
        self.keys.iter().all(|wanted| engine.guarded(|| wanted.is_carried_by(record)) == Some(true))
            && self.tests.iter().all(|test| test(record))
    }

    /// Which index leads a query over so many records: the one whose keys are the rarest, as far as their newest records
    /// tell; or none, if looking at every head costs less.
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

    /// Heads that a scan for the query's time looks at, about: of no consequence but for speed, so no mark is set.
    fn heads_in_time(&self, engine: &Engine<T>) -> u64 {
        let of = |shard: &crate::engine::shard::Shard<T>| {
            shard.index().0.blocks.records_in(shard.evicted(), shard.indexed(), &self.times)
        };
        engine.shards.iter().map(of).sum()
    }
}

/// How many records carry one of these keys, guessed from how close together the newest of them lie.
fn estimate<T: Signal>(engine: &Engine<T>, wanted: &KeyPredicate) -> u64 {
    let each = |shard| wanted.prints.iter().map(move |&print| (shard, print));
    engine.shards.iter().flat_map(each).map(|(shard, print)| sample(View::open(shard), wanted.index, print)).sum()
}

fn sample<T: Signal>(view: View<'_, T>, index: usize, print: u64) -> u64 {
    let Some(newest) = view.newest(index, print) else { return 0 };
    let slots = &view.shard().slots;
    let mut at = newest;
    for seen in 0..SAMPLED {
        let place = slots.place(at);
        let link = |head: &Head<T::Indexes>| (head.print(index), view.index.link(place, index));
        let Some((_, distance)) = view.look(at, link).filter(|&(found, _)| at >= view.low && found == print) else {
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
    use crate::store::Builder;

    fn push(engine: &Engine<LogRecord>, times: std::ops::Range<u64>, trace: impl Fn(u64) -> u128) {
        for time_unix_nanos in times {
            let trace_id = TraceId::from(trace(time_unix_nanos));
            engine.push(LogRecord::builder().time_unix_nanos(time_unix_nanos).trace_id(trace_id).build());
        }
    }

    /// An engine with 256 records, all indexed, each with its number for a time and the trace that is said.
    fn engine(trace: impl Fn(u64) -> u128) -> Engine<LogRecord> {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(256).slack(192).shards(1).manual());
        push(&engine, 0..256, trace);
        engine.settle();
        engine
    }

    fn estimated(engine: &Engine<LogRecord>, trace: u128) -> u64 {
        let plan = Query::new(engine).key("trace", TraceId::from(trace)).execution().unwrap().plan;
        estimate(engine, &plan.keys[0])
    }

    #[test]
    fn rare_keys_are_counted_and_frequent_ones_guessed() {
        let often = engine(|number| if number < 2 { 1 } else { 2 + u128::from(number % 2) });
        assert_eq!([1, 2, 3, 4].map(|trace| estimated(&often, trace)), [2, 128, 128, 0]);
        // The newest five of them span fourteen records.
        let newest = engine(|number| if [241, 244, 247, 251, 255].contains(&number) { 5 } else { 6 });
        assert_eq!(estimated(&newest, 5), 256 * 4 / 14);
        let lagging = Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(8).shards(1).manual());
        push(&lagging, 0..4, |_| 1);
        push(&lagging, 4..8, |_| 2);
        lagging.settle();
        push(&lagging, 8..12, |_| 2);
        assert_eq!((estimated(&lagging, 1), estimated(&lagging, 2)), (0, 4), "what is out of sight does not count");
    }

    #[test]
    fn the_rarest_key_leads_unless_looking_at_all_costs_less() {
        let engine = engine(|number| match number {
            7 | 8 => 1,
            241 | 244 | 247 | 251 | 255 => 5,
            _ => 6,
        });
        let trace = |number: u128| Query::new(&engine).key("trace", TraceId::from(number));
        let driving =
            |query: Query<'_, LogRecord>, window| query.execution().unwrap().plan.driving_index(&engine, window);
        assert_eq!(driving(trace(1), None), Some(0));
        assert_eq!(driving(trace(1), Some(3)), Some(0));
        assert_eq!(driving(trace(1), Some(2)), None, "no more records are asked for than carry the key");
        assert_eq!(driving(trace(6).key("trace", TraceId::from(1)), None), Some(1));
        assert_eq!(driving(Query::new(&engine), None), None);
        // A look at each block, and at the records of the one that holds the time.
        let looks = 64 + engine.shards[0].index().0.blocks.count();
        assert_eq!((looks, estimated(&engine, 5)), (73, 73));
        assert_eq!(driving(trace(5).between(64..128), None), Some(0), "it costs no less");
        assert_eq!(driving(trace(6).between(64..128), None), None);
        assert_eq!(driving(trace(6).between(1..), None), Some(0), "all blocks hold the time");
        assert_eq!(driving(trace(1).between(64..128), None), Some(0));
        let many = Query::new(&engine).any_of("trace", [6, 6, 5].map(|number: u128| TraceId::from(number)));
        assert_eq!(driving(many, Some(10_000)), Some(0), "there is no time to go by");
    }
}
