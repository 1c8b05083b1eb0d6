//! One step in one shard: index what is published, evict what is due, reclaim what no reader looks at.
//!
//! Whoever takes it holds the shard's token: the indexer's thread, a producer that found the ring full or drops what it has
//! evicted, a reader that found many records not indexed, or a `flush`. No code of users runs meanwhile: records are moved out of
//! their slots, and hooks and drops see them after the token has been given back.

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
    /// Takes a step in a shard; `None` if somebody else is at it. Lock-free but for hooks and drops, which are the user's.
    pub(crate) fn step(&self, number: usize, work: Work) -> Option<Moved> {
        let owner = self.try_lock_indexer(number, work.takes_over)?;
        Some(self.work(owner, number, work))
    }

    fn work(&self, owner: IndexerGuard<'_, T>, number: usize, work: Work) -> Moved {
        // The token goes back before this thread leaves, also if something unwinds.
        let (_inside, owner) = (reentrancy::enter(), owner);
        let shard = owner.shard();
        let before = (owner.index.indexed_as_writer(), owner.evicted(), owner.reclaimed());
        let claimed = shard.claimed();
        let indexed = index(&owner, claimed, claimed.min(before.0 + 2 * work.evict));
        let most = indexed.min(before.1 + work.evict);
        // Parts go with the last record that holds them: no more is evicted for them than will soon tell whether that was enough.
        let crowding = if work.evict > 0 && self.shares_too_much() { before.2 + BYTE_LIMIT_BATCH } else { 0 };
        let low = enforce_byte_limit(&owner, shard.low(claimed), most, crowding);
        let evicted = evict(&owner, before.1, low.min(most));
        let sinks = self.sinks.load();
        let Reclaimed { to: reclaimed, taken, to_show, pinner, freed } = self.reclaim(&owner, number, work, &sinks);
        drop(owner);
        let shows = !sinks.is_empty() && (!taken.is_empty() || !to_show.is_empty());
        self.showing.add(u64::from(shows));
        taken.into_iter().for_each(|gone| self.release(number, gone, &sinks));
        to_show.into_iter().for_each(|aside| self.run_hooks_in_place(number, aside, &sinks));
        self.showing.sub(u64::from(shows));
        drop(pinner);
        if let Some(budget) = &shard.byte_budget
            && freed > 0
            && !planted(Fault::BytesNotGivenBack)
        {
            // Waiters are told below.
            budget.release(freed);
        }
        // This may be the last holder of hooks that were replaced meanwhile, and what they captured is user code.
        self.guarded(|| drop(sinks));
        self.tell_of_arrivals(indexed - before.0);
        if reclaimed > before.2 && !planted(Fault::ReclaimWithoutWake) {
            self.room.notify();
        }
        Moved { indexed: indexed - before.0, evicted: evicted - before.1, reclaimed: reclaimed - before.2 }
    }
}

/// Enters published records into every index, in order, up to another or the first that is not published yet; how far that got.
fn index<T: Signal>(owner: &IndexerGuard<'_, T>, claimed: u64, to: u64) -> u64 {
    let (shard, index) = (owner.shard(), owner.index);
    let slots = &shard.slots;
    let mut done = index.indexed_as_writer();
    while done < to {
        let (place, heads) = slots.adjacent_heads(done, INDEX_CHUNK.min(to - done));
        // Not beyond what has been claimed: those heads belong to whoever will push there.
        let next = done + heads.len() as u64;
        slots.prefetch_heads(place + heads.len(), INDEX_CHUNK.min(to - next) as usize);
        let mut sequences = done..;
        let published = heads.iter().take_while(|head| sequences.next().is_some_and(|next| head.holds(next))).count();
        if published == 0 {
            // A producer sleeps there. What it has claimed is passed over once its turn to leave has come and its room is needed.
            let room = (owner.reclaimed() + slots.places()).saturating_sub(claimed);
            let due = done < shard.low(claimed) || planted(Fault::PassedOverTooSoon);
            if !due || room > shard.slack() / 2 {
                break;
            }
            index.skip(place, done);
            done += 1;
        } else {
            let heads = &heads[..published];
            index.insert(slots, place, heads, done);
            done += published as u64;
            if counts_heap(shard) {
                index.heap.set(index.heap.get() + heads.iter().map(Head::heap).sum::<u64>());
            }
        }
        index.set_indexed(done);
        if !owner.is_current() {
            break;
        }
    }
    done
}

/// Whether the heap bytes of records are counted.
fn counts_heap<T: Signal>(shard: &Shard<T>) -> bool {
    owns_heap::<T>() || shard.byte_budget.is_some()
}

/// Raises the floor above the oldest records for as long as those that are kept take more than the shard's share of bytes, or lie
/// below `crowding`, but not beyond `to`; where the visible window begins then.
fn enforce_byte_limit<T: Signal>(owner: &IndexerGuard<'_, T>, low: u64, to: u64, crowding: u64) -> u64 {
    let shard = owner.shard();
    let Some(budget) = &shard.byte_budget else { return low };
    let evicted = owner.evicted();
    let (mut kept, mut at) = (shard.kept_bytes(), evicted);
    for (sequence, head) in shard.slots.heads(evicted..to.max(evicted)) {
        if sequence >= low.max(crowding) && kept <= budget.most {
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

/// Takes records whose turn has come out of every index; how far that got.
fn evict<T: Signal>(owner: &IndexerGuard<'_, T>, from: u64, to: u64) -> u64 {
    if to <= from {
        return from;
    }
    let (shard, index) = (owner.shard(), owner.index);
    let (mut done, mut heap) = (from, 0);
    while done < to {
        let (place, heads) = shard.slots.adjacent_heads(done, INDEX_CHUNK.min(to - done));
        if counts_heap(shard) {
            let entered = index.entry_counts[place..].iter().zip(heads).filter(|(leads, _)| leads.get() != SKIPPED);
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
    use crate::engine::tuning::{ASSIST_BATCH, RECLAIM_BATCH, STEP_BATCH};
    use crate::signal::LogRecord;
    use crate::store::Builder;

    /// An engine of one shard for eight records, with a thread as far as it knows.
    fn engine_for_eight(slack: usize) -> Engine<LogRecord> {
        Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(slack).shards(1).spare_slots(4))
    }

    fn moved(indexed: u64, evicted: u64, reclaimed: u64) -> Option<Moved> {
        Some(Moved { indexed, evicted, reclaimed })
    }

    #[test]
    fn drops_are_left_to_producers_and_to_whoever_has_nothing_else_to_do() {
        let engine = engine_for_eight(60);
        engine.push_some(60);
        assert_eq!(engine.step(0, Work::NO_DROPS), moved(60, 52, 0));
        assert_eq!(engine.step(0, Work::reclaim_some(5)), moved(0, 0, 5));
        assert_eq!(engine.step(0, Work::FLUSH), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::ASSIST), moved(0, 0, RECLAIM_BATCH));
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 52 - 5 - RECLAIM_BATCH));
    }

    #[test]
    fn a_reader_indexes_a_small_batch() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(1_000).shards(1));
        engine.push_some(400);
        assert_eq!(engine.step(0, Work::READ), moved(2 * ASSIST_BATCH, 0, 0));
        assert_eq!(engine.step(0, Work::READ), moved(400 - 2 * ASSIST_BATCH, 0, 0));
        engine.push_some(600);
        assert_eq!(engine.step(0, Work::ALL), moved(2 * STEP_BATCH, 0, 0));
    }

    struct Plain;

    impl Signal for Plain {
        const NAME: &'static str = "plain";
        type Indexes = [&'static str; 0];
        const INDEXES: Self::Indexes = [];
        fn key(&self, _: usize) -> Option<crate::Key<'_>> {
            None
        }
        fn timestamp(&self) -> u64 {
            0
        }
    }

    #[test]
    fn records_without_a_drop_are_reclaimed_by_whoever_comes() {
        let engine = Engine::of(&Builder::<Plain>::new().capacity(8).slack(100).shards(1));
        (0..60).for_each(|_| engine.push(Plain));
        assert_eq!(engine.step(0, Work::ASSIST), moved(60, 52, 52));
    }

    #[test]
    fn who_pushes_drops_some_records_for_every_eight_that_he_has_pushed() {
        let engine = engine_for_eight(200);
        engine.push_some(108);
        engine.settle();
        let shard = &engine.shards[0];
        let tidied = |pushed_to, pushed| {
            let before = shard.reclaimed();
            engine.reclaim_after_push(0, pushed_to, pushed);
            shard.reclaimed() - before
        };
        assert_eq!(tidied(9, 1), 0);
        assert_eq!(tidied(8, 1), RECLAIM_BATCH);
        assert_eq!(tidied(20, 4), 0, "sixteen was reached before");
        assert_eq!(tidied(20, 5), RECLAIM_BATCH);
        assert_eq!(tidied(40, 9), 2 * RECLAIM_BATCH);
        let inside = reentrancy::enter();
        assert_eq!(tidied(48, 1), 0);
        drop(inside);
        assert_eq!((shard.evicted() - shard.reclaimed(), tidied(64, 64)), (36, 36));
        assert_eq!(tidied(72, 8), 0, "there are no more");
    }

    #[test]
    fn with_hooks_the_indexer_drops_records_and_at_once() {
        let engine = engine_for_eight(200);
        engine.hook();
        engine.push_some(18);
        engine.settle();
        assert_eq!(engine.step(0, Work::ASSIST), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::reclaim_some(5)), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::NO_DROPS), moved(0, 0, 10));
    }

    fn claim<T: Signal>(
        engine: &Engine<T>,
        record: &mut T,
    ) -> (crate::engine::router::Claim, crate::engine::ring::RecordMeta<T>) {
        let meta = engine.meta(record).expect("its keys are sound");
        let claim = engine.claim(std::slice::from_ref(&meta), OnFull::Reject).expect("there is room");
        (claim, meta)
    }

    #[test]
    fn a_producer_that_sleeps_loses_its_record_and_nobody_elses() {
        let engine = engine_for_eight(8);
        let shard = &engine.shards[0];
        engine.push_some(3);
        let mut record = LogRecord::builder().trace_id(7).build();
        let (stalled, meta) = claim(&engine, &mut record);
        // Several times around the ring.
        for _ in 0..100 {
            engine.push_some(1);
            engine.step(0, Work::ALL);
        }
        assert_eq!((shard.claimed(), shard.evicted(), shard.indexed()), (104, 96, 104));
        assert_eq!(shard.slots.slot_map().quarantined().len(), 1);
        engine.publish(stalled, record, &meta);
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 0));
        assert!(shard.slots.slot_map().quarantined().is_empty(), "what was published too late is dropped");
        engine.push_some(40);
        while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
        assert!(!shard.slots.any_moved(), "the place has its own slot again");
    }

    #[test]
    fn readers_that_sleep_keep_their_records_and_nobody_elses() {
        let engine = engine_for_eight(8);
        engine.push_some(8);
        let reader = crate::query::Reader::new(&engine);
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
        /// Producers that sleep with claims, readers that sleep over records, and steps of every kind, in any order.
        #[test]
        fn sleepers_leave_no_trace_in_the_index(
            actions in proptest::collection::vec((0..10_u8, 0..40_u64), 1..600),
            slack in 1..12_usize,
            spares in 0..6_usize,
        ) {
            let config = Builder::<LogRecord>::new().capacity(8).slack(slack).shards(1).spare_slots(spares);
            let engine = Engine::of(&config);
            let of_trace = |trace: u64| LogRecord::builder().trace_id(u128::from(trace % 12 + 1)).build();
            let mut asleep = std::collections::VecDeque::new();
            let mut pushed = 0;
            for (action, number) in actions {
                match action {
                    0..5 => {
                        let mut record = of_trace(number);
                        let meta = engine.meta(&mut record).expect("its keys are sound");
                        if let Ok(claim) = engine.claim(std::slice::from_ref(&meta), OnFull::Reject) {
                            pushed += 1;
                            if number % 5 == 0 && asleep.len() < 4 {
                                asleep.push_back((claim, record, meta));
                            } else {
                                engine.publish(claim, record, &meta);
                            }
                        }
                    }
                    5 => if let Some((claim, record, meta)) = asleep.pop_front() {
                        engine.publish(claim, record, &meta);
                    },
                    6 => drop(engine.step(0, Work::ASSIST)),
                    7 => drop(engine.step(0, Work::FLUSH)),
                    _ => drop(engine.step(0, Work::ALL)),
                }
                let audited = crate::store::audit::audit(&engine);
                proptest::prop_assert!(audited.is_ok(), "{audited:?}");
            }
            asleep.into_iter().for_each(|(claim, record, meta)| engine.publish(claim, record, &meta));
            while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
            let shard = &engine.shards[0];
            proptest::prop_assert_eq!((shard.claimed(), shard.indexed(), shard.slots.any_quarantined()), (pushed, pushed, false));
        }
    }

    #[test]
    fn where_no_slot_is_left_to_spare_the_ring_waits_for_the_sleeper() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(8).shards(1).spare_slots(0));
        engine.push_some(3);
        let mut record = LogRecord::default();
        let (stalled, meta) = claim(&engine, &mut record);
        engine.push_some(12);
        while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
        assert_eq!(engine.shards[0].reclaimed(), 3);
        engine.publish(stalled, record, &meta);
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 5));
    }

    #[test]
    fn what_has_moved_has_moved_by_whatever_cursor() {
        assert!(!Moved::default().any());
        let moved = [(1, 0, 0), (0, 1, 0), (0, 0, 1)];
        assert!(moved.into_iter().all(|(indexed, evicted, reclaimed)| Moved { indexed, evicted, reclaimed }.any()));
    }
}
