//! One step in one shard: index what is published, evict what is due, reclaim what no reader has
//! pinned.
//!
//! The thread that steps holds the shard's indexer lock. It is the indexer thread, a producer that
//! finds its ring short of room or drops evicted records after a push, a reader that found many
//! records not indexed, or a caller of `flush`. No user code runs under the lock: records are moved
//! out of their slots, and hooks and drops see them after the lock has been released.

use super::reclaim::{Reclaimed, owns_heap};
use super::work::{Moved, Work};
use crate::engine::index::SKIPPED;
use crate::engine::reason::EvictReason;
use crate::engine::reentrancy;
use crate::engine::ring::Head;
use crate::engine::shard::{IndexerGuard, Shard};
use crate::engine::state::Engine;
use crate::engine::tuning::{BYTE_LIMIT_BATCH, INDEX_CHUNK};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};

impl<T: Signal> Engine<T> {
    /// Takes a step in a shard. Returns `None` if another thread holds the indexer lock. Lock-free
    /// except for hooks and drops, which are user code.
    pub(crate) fn step(&self, number: usize, work: Work) -> Option<Moved> {
        let owner = self.try_lock_indexer(number, work.takes_over)?;
        Some(self.work(owner, number, work))
    }

    /// Does the work of a step under the indexer lock, then releases the lock and runs user code.
    fn work(&self, owner: IndexerGuard<'_, T>, number: usize, work: Work) -> Moved {
        // Drops in reverse order: the lock is released before this thread leaves the re-entrancy
        // guard, also if something unwinds.
        let (_inside, owner) = (reentrancy::enter(), owner);
        let shard = owner.shard();
        let before = (owner.index.indexed_as_writer(), owner.evicted(), owner.reclaimed());
        let claimed = shard.claimed();
        let to = claimed.min(before.0 + 2 * work.evict);
        let indexed = index(&owner, claimed, to, work.passes_over);
        let most = indexed.min(before.1 + work.evict);
        // A shared part is freed with the last record that holds it. So only a small batch is
        // evicted for shared parts before it is known whether that was enough.
        let shared_limit_end = if work.evict > 0 && self.shared_parts_over_limit() {
            before.2 + BYTE_LIMIT_BATCH
        } else {
            0
        };
        let low = enforce_byte_limit(&owner, shard.low(claimed), most, shared_limit_end);
        let evicted = evict(&owner, before.1, low.min(most));
        let sinks = self.sinks.load();
        let Reclaimed { to: reclaimed, removed, for_hooks, pinner, freed } =
            self.reclaim(&owner, number, work, &sinks);
        drop(owner);
        let has_hook_work = !sinks.is_empty() && (!removed.is_empty() || !for_hooks.is_empty());
        self.running_hooks.add(u64::from(has_hook_work));
        self.release_all(number, removed, &sinks);
        for_hooks.into_iter().for_each(|entry| self.run_hooks_in_place(number, entry, &sinks));
        self.running_hooks.sub(u64::from(has_hook_work));
        drop(pinner);
        if let Some(budget) = &shard.byte_budget
            && freed > 0
            && !planted(Fault::BytesNotGivenBack)
        {
            // The notification below wakes the waiters.
            budget.release(freed);
        }
        // This may be the last reference to hooks that were replaced meanwhile, and what they
        // captured is user code.
        self.guarded(|| drop(sinks));
        self.notify_arrivals(indexed - before.0);
        if reclaimed > before.2 && !planted(Fault::ReclaimWithoutWake) {
            self.room.notify();
        }
        Moved {
            indexed: indexed - before.0,
            evicted: evicted - before.1,
            reclaimed: reclaimed - before.2,
        }
    }
}

/// Enters published records into every index, in order, up to `to` or the first record that is not
/// published. Returns how far it got.
///
/// Passes over records that are not published, are due for eviction, and whose room is needed. With
/// `passes_over`, their room need not be needed.
fn index<T: Signal>(owner: &IndexerGuard<'_, T>, claimed: u64, to: u64, passes_over: bool) -> u64 {
    let (shard, index) = (owner.shard(), owner.index);
    let slots = &shard.slots;
    let mut done = index.indexed_as_writer();
    while done < to {
        let (place, heads) = slots.adjacent_heads(done, INDEX_CHUNK.min(to - done));
        let mut sequences = done..;
        let published = heads
            .iter()
            .take_while(|head| sequences.next().is_some_and(|next| head.holds(next)))
            .count();
        if published == 0 {
            // A producer is suspended between claim and publish. Its sequence is passed over once
            // it is due for eviction and its room is needed.
            let due = done < shard.low(claimed) || planted(Fault::PassedOverTooSoon);
            if !due || shard.room() > shard.slack() / 2 && !passes_over {
                break;
            }
            index.skip(place, done);
            done += 1;
        } else {
            let heads = &heads[..published];
            if index.insert(slots, place, heads, done) {
                done += published as u64;
                if counts_heap(shard) {
                    index.heap.set(index.heap.get() + heads.iter().map(Head::heap).sum::<u64>());
                }
            } else if done < shard.low(claimed) {
                // A directory has to grow, and there is no memory for it. What is due for eviction
                // needs no entry, so the ring goes on.
                index.skip(place, done);
                done += 1;
            } else {
                // Lookups go through what is not indexed.
                break;
            }
        }
        index.set_indexed(done);
        if !owner.is_current() {
            break;
        }
    }
    done
}

/// Returns whether the heap bytes of records are counted.
fn counts_heap<T: Signal>(shard: &Shard<T>) -> bool {
    owns_heap::<T>() || shard.byte_budget.is_some()
}

/// Raises the low watermark above the oldest records while the records kept take more than the
/// shard's byte budget, and above all records below `shared_limit_end`, but not beyond `to`.
/// Returns where the visible window begins then.
fn enforce_byte_limit<T: Signal>(
    owner: &IndexerGuard<'_, T>,
    low: u64,
    to: u64,
    shared_limit_end: u64,
) -> u64 {
    let shard = owner.shard();
    let Some(budget) = &shard.byte_budget else { return low };
    let evicted = owner.evicted();
    let (mut kept, mut at) = (shard.kept_bytes(), evicted);
    for (sequence, head) in shard.slots.heads(evicted..to.max(evicted)) {
        if sequence >= low.max(shared_limit_end) && kept <= budget.most {
            break;
        }
        if owner.index.entry_counts[shard.slots.place(sequence)].get() != SKIPPED {
            kept = kept.saturating_sub(head.heap());
        }
        kept = kept.saturating_sub(size_of::<T>() as u64);
        at = sequence + 1;
    }
    if at > low && !planted(Fault::ByteLimitUnseen) {
        shard.raise_low_watermark(at, EvictReason::Bytes);
    }
    low.max(at)
}

/// Removes records that are due from every index. Returns how far it got.
fn evict<T: Signal>(owner: &IndexerGuard<'_, T>, from: u64, to: u64) -> u64 {
    if to <= from {
        return from;
    }
    let (shard, index) = (owner.shard(), owner.index);
    let (mut done, mut heap) = (from, 0);
    while done < to {
        let (place, heads) = shard.slots.adjacent_heads(done, INDEX_CHUNK.min(to - done));
        if counts_heap(shard) {
            let entered = index.entry_counts[place..]
                .iter()
                .zip(heads)
                .filter(|(leads, _)| leads.get() != SKIPPED);
            heap += entered.map(|(_, head)| head.heap()).sum::<u64>();
        }
        index.remove(place, heads);
        done += heads.len() as u64;
        index.heartbeat();
        if !owner.is_current() {
            return from;
        }
    }
    if !owner.evict(from, to) {
        return from;
    }
    index.heap.set(index.heap.get().saturating_sub(heap));
    to
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::settings::OnFull;
    use crate::engine::tuning::{ASSIST_BATCH, DROP_BATCH, HELP_EVERY, STEP_BATCH};
    use crate::signal::LogRecord;
    use crate::store::StoreBuilder;

    /// Creates an engine of one shard for eight records. Its settings say that it has an indexer
    /// thread, but none runs.
    fn engine_for_eight(slack: usize) -> Engine<LogRecord> {
        Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(8).slack(slack).shards(1).spare_slots(4),
        )
    }

    fn moved(indexed: u64, evicted: u64, reclaimed: u64) -> Option<Moved> {
        Some(Moved { indexed, evicted, reclaimed })
    }

    #[test]
    fn each_kind_of_work_drops_as_many_records_as_it_may() {
        let engine = engine_for_eight(100);
        engine.push_some(60);
        assert_eq!(engine.step(0, Work::NO_DROPS), moved(60, 52, 0));
        assert_eq!(engine.step(0, Work::help(0, 5)), moved(0, 0, 5));
        assert_eq!(engine.step(0, Work::FLUSH), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::ASSIST), moved(0, 0, DROP_BATCH));
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 52 - 5 - DROP_BATCH));
    }

    #[test]
    fn a_reader_indexes_a_small_batch() {
        let engine = Engine::of(&StoreBuilder::<LogRecord>::new().capacity(1_000).shards(1));
        engine.push_some(400);
        assert_eq!(engine.step(0, Work::READ), moved(2 * ASSIST_BATCH, 0, 0));
        assert_eq!(engine.step(0, Work::READ), moved(400 - 2 * ASSIST_BATCH, 0, 0));
        engine.push_some(600);
        assert_eq!(engine.step(0, Work::ALL), moved(2 * STEP_BATCH, 0, 0));
    }

    struct Plain;

    impl Signal for Plain {
        const NAME: &'static str = "plain";
        type Indexes = [crate::Index<Self>; 0];
        const INDEXES: Self::Indexes = [];
        fn timestamp(&self) -> u64 {
            0
        }
    }

    #[test]
    fn records_without_a_destructor_are_reclaimed_by_any_step() {
        let engine = Engine::of(&StoreBuilder::<Plain>::new().capacity(8).slack(100).shards(1));
        (0..60).for_each(|_| engine.push(Plain));
        assert_eq!(engine.step(0, Work::ASSIST), moved(60, 52, 52));
    }

    #[test]
    fn a_producer_evicts_some_records_for_every_sixteen_that_it_pushes_while_room_is_short() {
        let engine = Engine::of(&StoreBuilder::<Plain>::new().capacity(8).slack(64).shards(1));
        let shard = &engine.shards[0];
        let cursors = || (shard.indexed(), shard.evicted(), shard.reclaimed());
        (0..63).for_each(|_| engine.push(Plain));
        assert_eq!(cursors(), (0, 0, 0), "there was room at each multiple before");
        engine.push(Plain);
        assert_eq!(cursors(), (2 * HELP_EVERY, HELP_EVERY, HELP_EVERY));
        (64..79).for_each(|_| engine.push(Plain));
        assert_eq!(cursors(), (2 * HELP_EVERY, HELP_EVERY, HELP_EVERY));
        engine.push(Plain);
        assert_eq!(cursors(), (4 * HELP_EVERY, 2 * HELP_EVERY, 2 * HELP_EVERY));
        let inside = reentrancy::enter();
        (80..88).for_each(|_| engine.push(Plain));
        engine.help_after_push(0, 96, 16);
        assert_eq!(shard.evicted(), 2 * HELP_EVERY, "inside a hook or a visit");
        drop(inside);
        assert_eq!(engine.counts.assists.get(), 0, "no push found the ring full");
    }

    #[test]
    fn a_producer_drops_a_batch_of_records_for_every_sixteen_that_it_pushes() {
        let engine = engine_for_eight(200);
        engine.push_some(148);
        engine.settle();
        let shard = &engine.shards[0];
        let reclaimed_after = |pushed_to, pushed| {
            let before = shard.reclaimed();
            engine.help_after_push(0, pushed_to, pushed);
            shard.reclaimed() - before
        };
        assert_eq!(reclaimed_after(17, 1), 0);
        assert_eq!(reclaimed_after(16, 1), DROP_BATCH);
        assert_eq!(reclaimed_after(36, 4), 0, "the push has not passed a multiple of sixteen");
        assert_eq!(reclaimed_after(36, 5), DROP_BATCH);
        assert_eq!(reclaimed_after(72, 17), 2 * DROP_BATCH);
        let inside = reentrancy::enter();
        assert_eq!(reclaimed_after(96, 1), 0);
        drop(inside);
        assert_eq!((shard.evicted() - shard.reclaimed(), reclaimed_after(128, 128)), (12, 12));
        assert_eq!(reclaimed_after(144, 16), 0, "no evicted record is left");
    }

    #[test]
    fn with_hooks_only_the_indexer_drops_records_and_without_delay() {
        let engine = engine_for_eight(200);
        engine.hook();
        engine.push_some(18);
        engine.settle();
        assert_eq!(engine.step(0, Work::ASSIST), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::help(0, 5)), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::NO_DROPS), moved(0, 0, 10));
    }

    fn claim<T: Signal>(
        engine: &Engine<T>,
        record: &mut T,
    ) -> (crate::engine::router::Claim, crate::engine::ring::RecordMeta<T>) {
        let meta = engine.meta(record).expect("the record's methods do not panic");
        let claim =
            engine.claim(std::slice::from_ref(&meta), OnFull::Reject).expect("the ring has room");
        (claim, meta)
    }

    #[test]
    fn a_producer_suspended_between_claim_and_publish_loses_only_its_own_record() {
        let engine = engine_for_eight(8);
        let shard = &engine.shards[0];
        engine.push_some(3);
        let mut record = LogRecord::builder().trace_id(7).build();
        let (stalled_claim, meta) = claim(&engine, &mut record);
        // Push several times around the ring.
        for _ in 0..100 {
            engine.push_some(1);
            engine.step(0, Work::ALL);
        }
        assert_eq!((shard.claimed(), shard.evicted(), shard.indexed()), (104, 96, 104));
        assert_eq!(shard.slots.slot_map().quarantined().len(), 1);
        engine.publish(stalled_claim, record, &meta);
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 0));
        assert!(
            shard.slots.slot_map().quarantined().is_empty(),
            "the record that was published too late is dropped"
        );
        engine.push_some(40);
        while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
        assert!(!shard.slots.any_moved(), "the place has its own slot again");
    }

    #[test]
    fn a_suspended_reader_keeps_only_the_record_that_it_has_pinned() {
        let engine = engine_for_eight(8);
        engine.push_some(8);
        let mut reader = crate::query::Reader::new(&engine);
        let read = reader.read_one(0, 2, |_| {
            (0..100).for_each(|_| {
                engine.push_some(1);
                engine.step(0, Work::ALL);
            });
            engine.shards[0].evicted()
        });
        assert_eq!(read, Some(100));
        assert_eq!(engine.shards[0].slots.slot_map().quarantined().len(), 1);
        engine.step(0, Work::ALL);
        assert!(engine.shards[0].slots.slot_map().quarantined().is_empty());
    }

    proptest::proptest! {
        /// Producers suspended with claims, readers suspended over records, and steps of every
        /// kind, in any order.
        #[test]
        fn stalls_leave_no_trace_in_the_index(
            actions in proptest::collection::vec((0..10_u8, 0..40_u64), 1..600),
            slack in 1..12_usize,
            spares in 0..6_usize,
        ) {
            let config = StoreBuilder::<LogRecord>::new().capacity(8).slack(slack).shards(1).spare_slots(spares);
            let engine = Engine::of(&config);
            let of_trace = |trace: u64| LogRecord::builder().trace_id(u128::from(trace % 12 + 1)).build();
            let mut stalled = std::collections::VecDeque::new();
            let mut pushed = 0;
            for (action, number) in actions {
                match action {
                    0..5 => {
                        let mut record = of_trace(number);
                        let meta = engine.meta(&mut record).expect("the record's methods do not panic");
                        if let Ok(claim) = engine.claim(std::slice::from_ref(&meta), OnFull::Reject) {
                            pushed += 1;
                            if number % 5 == 0 && stalled.len() < 4 {
                                stalled.push_back((claim, record, meta));
                            } else {
                                engine.publish(claim, record, &meta);
                            }
                        }
                    }
                    5 => if let Some((claim, record, meta)) = stalled.pop_front() {
                        engine.publish(claim, record, &meta);
                    },
                    6 => drop(engine.step(0, Work::ASSIST)),
                    7 => drop(engine.step(0, Work::FLUSH)),
                    _ => drop(engine.step(0, Work::ALL)),
                }
                let audited = crate::store::audit::audit(&engine);
                proptest::prop_assert!(audited.is_ok(), "{audited:?}");
            }
            stalled.into_iter().for_each(|(claim, record, meta)| engine.publish(claim, record, &meta));
            while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
            let shard = &engine.shards[0];
            proptest::prop_assert_eq!((shard.claimed(), shard.indexed(), shard.slots.any_quarantined()), (pushed, pushed, false));
        }
    }

    #[test]
    fn without_a_spare_slot_the_ring_waits_for_the_suspended_producer() {
        let engine = Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(8).slack(8).shards(1).spare_slots(0),
        );
        engine.push_some(3);
        let mut record = LogRecord::default();
        let (stalled_claim, meta) = claim(&engine, &mut record);
        engine.push_some(12);
        while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
        assert_eq!(engine.shards[0].reclaimed(), 3);
        engine.publish(stalled_claim, record, &meta);
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 5));
    }

    #[test]
    fn any_cursor_that_has_moved_counts() {
        assert!(!Moved::default().any());
        let moved = [(1, 0, 0), (0, 1, 0), (0, 0, 1)];
        assert!(
            moved.into_iter().all(|(indexed, evicted, reclaimed)| Moved {
                indexed,
                evicted,
                reclaimed
            }
            .any())
        );
    }
}
