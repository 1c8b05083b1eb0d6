//! One step in one shard: index what is published, evict what is due, reclaim what no reader looks at.
//!
//! Whoever takes it holds the shard's token: the indexer's thread, a producer that found the ring full or drops what it has
//! evicted, a reader that found many records not indexed, or a `flush`.

use crate::Position;
use crate::engine::Engine;
use crate::evictions::{Outlet, Sinks};
use crate::index::{Directory, Growth};
use crate::inside;
use crate::reason::EvictReason;
use crate::ring::{Head, Shard, Slots, TokenGuard};
use crate::signal::Signal;
use crate::signal::sealed::Indexes as _;
use crate::sync::epoch::{self, Guard};
use crate::sync::fault::{Fault, planted};
use crate::sync::prefetch_to_write;
use std::ops::Range;

/// Who takes a step, and so what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything, in large batches. Of records that take time to drop it lets go only below this sequence, unless many lie
    /// evicted, room or bytes are short, or hooks or a stream see them.
    Indexer { rested: u64 },
    /// Index and evict; no user code, and so no reclaim.
    Flusher,
    /// A small batch of indexing, which allocates nothing, unless there is no thread to do it.
    Reader,
    /// A small batch. It reclaims only where no hook or stream sees the records, and allocates nothing, unless there is
    /// no thread to do either.
    Assister,
    /// Reclaims so many, where no hook or stream sees the records, and does nothing else.
    Tidier { most: u64 },
}

/// How many records a step has moved past each cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) indexed: u64,
    pub(crate) evicted: u64,
    pub(crate) reclaimed: u64,
}

impl Moved {
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

const BATCH: u64 = if cfg!(loom) { 1 } else { 256 };

/// What an assister or a reader does at most: the tail of a push's latency.
const ASSIST_BATCH: u64 = if cfg!(loom) { 1 } else { 128 };

/// How many records that take time to drop a producer lets go of at most, for every [`TIDY_EVERY`] that it pushes.
const TIDY_BATCH: u64 = if cfg!(loom) { 1 } else { 16 };

/// A power of two.
const TIDY_EVERY: u64 = if cfg!(loom) { 1 } else { 8 };

/// How many records go at a time where what records share takes too many bytes.
const SHED_BATCH: u64 = if cfg!(loom) { 1 } else { 16 };

/// Records that are reclaimed before others hear of it.
const RECLAIM_RUN: u64 = 32;

/// Rounds in which a step waits for a retired table to be freed.
const RETRIES: u32 = 4;

/// Records that are entered into one index before the next one's turn: their heads stay in the nearest cache meanwhile.
const CHUNK: u64 = 64;

impl<T: Signal> Engine<T> {
    /// Takes a step in a shard; `None` if somebody else is at it. Lock-free but for hooks and drops, which are the
    /// user's, and the floor's lock, which is held for a moment.
    pub(crate) fn step(&self, number: usize, role: Role) -> Option<Moved> {
        Some(self.step_under(self.shards[number].token.try_take()?, number, role))
    }

    fn step_under(&self, token: TokenGuard<'_>, number: usize, role: Role) -> Moved {
        let shard = &self.shards[number];
        // The token goes back before this thread leaves, also if something unwinds.
        let (_inside, token) = (inside::enter(), token);
        let (batch, growth) = match role {
            Role::Tidier { .. } => (0, Growth::Forbidden),
            Role::Assister | Role::Reader if self.threaded => (ASSIST_BATCH, Growth::Forbidden),
            Role::Assister | Role::Reader => (ASSIST_BATCH, Growth::Allowed),
            Role::Indexer { .. } | Role::Flusher => (BATCH, Growth::Allowed),
        };
        let before = shard.cursors(&token);
        // Twice what is evicted, so that whoever keeps a full ring going also catches up: otherwise the lag would stay
        // what it was when the ring filled up, and lookups would have a long tail to look through.
        let claimed = shard.claimed();
        let indexed = index(shard, before.indexed, claimed.min(before.indexed + 2 * batch), growth);
        if role == Role::Reader {
            drop(token);
            self.tell_of_arrivals(indexed - before.indexed);
            return Moved { indexed: indexed - before.indexed, ..Moved::default() };
        }
        let most = indexed.min(before.evicted + batch);
        // Parts go with the last record that holds them: no more is evicted for them than will soon tell whether that was enough.
        let crowding = if self.shares_too_much() { before.reclaimed + SHED_BATCH } else { 0 };
        let (low, kept) = shed(shard, before.evicted, shard.low(claimed), most, crowding);
        let evicted = evict(shard, before.evicted, low.min(most));
        if let Some(share) = &shard.share {
            // After the eviction: `flush` goes by this.
            share.set_kept(kept);
        }
        let mut reclaimed = before.reclaimed;
        if role != Role::Flusher {
            // Those that this step evicts do not count: no producer has had a chance to drop them. Nor does it that room is short
            // while there is something to index or to evict: that would wait for the drops, and fall further behind.
            let lying = before.evicted - before.reclaimed;
            let room = before.reclaimed + shard.slots.count() - claimed;
            let is_stuck = (indexed, evicted) == (before.indexed, before.evicted) && room < shard.slack() / 2;
            let sinks = self.sinks.load();
            let (to, most) = match role {
                Role::Indexer { rested }
                    if owns_heap::<T>()
                        && sinks.is_empty()
                        && lying < shard.slack() / 2
                        && !is_stuck
                        && !shard.is_short_of_bytes()
                        && !self.shares_too_much() =>
                {
                    (evicted.min(rested), batch)
                }
                // Hooks and streams see what is evicted on the indexer's thread only.
                Role::Assister if self.threaded && !sinks.is_empty() => (reclaimed, 0),
                Role::Tidier { .. } if !sinks.is_empty() => (reclaimed, 0),
                Role::Tidier { most } => (evicted, most),
                Role::Assister if owns_heap::<T>() => (evicted, TIDY_BATCH),
                _ => (evicted, batch),
            };
            reclaimed = self.reclaim(number, reclaimed..to, most, &sinks, &token);
            // This may be the last holder of hooks that were replaced meanwhile, and what they captured is user code.
            self.guarded(|| drop(sinks));
        }
        drop(token);
        self.tell_of_arrivals(indexed - before.indexed);
        if reclaimed > before.reclaimed && !planted(Fault::ReclaimWithoutWake) {
            self.room.notify();
        }
        Moved {
            indexed: indexed - before.indexed,
            evicted: evicted - before.evicted,
            reclaimed: reclaimed - before.reclaimed,
        }
    }

    /// Lets go of some evicted records of a shard, for a producer that has pushed so many there, up to a sequence. Where
    /// records own memory, who pushes frees some: often in the thread that allocated it, which is
    /// what allocators are fast at, and one record at a time. Never waits; does nothing where hooks or a stream see records.
    #[inline(always)]
    pub(crate) fn tidy_after(&self, number: usize, pushed_to: u64, pushed: u64) {
        // Whether a multiple of `TIDY_EVERY` was passed.
        if owns_heap::<T>() && pushed_to % TIDY_EVERY < pushed {
            self.tidy(number, TIDY_BATCH * pushed.div_ceil(TIDY_EVERY));
        }
    }

    #[cold]
    #[inline(never)]
    fn tidy(&self, number: usize, most: u64) {
        let shard = &self.shards[number];
        if shard.reclaimed() < shard.evicted()
            && !inside::is_inside()
            && let Some(token) = shard.token.try_take()
        {
            self.step_under(token, number, Role::Tidier { most });
        }
    }

    /// Lets go of what has been evicted in every shard, before hooks or a stream see what is evicted from then on; but for what
    /// readers still look at. Waits for whoever is at a shard; inside, where that might be this thread, it does nothing.
    pub(crate) fn tidy_all(&self) {
        if !inside::is_inside() {
            for (number, shard) in self.shards.iter().enumerate() {
                self.step_under(shard.token.take(), number, Role::Tidier { most: u64::MAX });
            }
        }
    }

    /// Lets go of evicted records that no reader may be looking at; how far that got.
    fn reclaim(&self, number: usize, evicted: Range<u64>, batch: u64, sinks: &Sinks<T>, token: &TokenGuard<'_>) -> u64 {
        if evicted.is_empty() {
            return evicted.start;
        }
        let shard = &self.shards[number];
        let to = shard.marks.lowest(evicted.end).min(evicted.start.saturating_add(batch));
        let mut done = evicted.start;
        while done < to {
            // With hooks each slot is free at once: they may take long. Otherwise the producers' line is left alone for
            // a while.
            let run = if sinks.is_empty() { RECLAIM_RUN } else { 1 };
            let until = (done + run).min(to);
            if owns_heap::<T>() || !sinks.is_empty() {
                shard.heap.set(shard.heap.get() - heap_of(shard, done..until));
                (done..until).for_each(|sequence| self.let_go(number, sequence, sinks, token));
            }
            if let Some(share) = &shard.share {
                // Waiters are told at the step's end.
                share.give_back(shard.slots.bytes(done..until));
            }
            shard.set_reclaimed(until);
            done = until;
        }
        done
    }

    /// Shows hooks what has been evicted and is held back by a reader's mark, because they end now; a stream misses it.
    pub(crate) fn show_held(&self, number: usize, token: &TokenGuard<'_>) {
        let sinks = self.sinks.load();
        let held = self.shards[number].cursors(token);
        for sequence in held.reclaimed..held.evicted {
            self.show(number, sequence, &sinks, token);
            sinks.stream.iter().for_each(Outlet::miss);
        }
    }

    /// Shows an evicted record to the hooks and hands it on or drops it, once, whatever panics.
    fn let_go(&self, number: usize, sequence: u64, sinks: &Sinks<T>, token: &TokenGuard<'_>) {
        self.show(number, sequence, sinks, token);
        let slots = &self.shards[number].slots;
        match &sinks.stream {
            Some(outlet) if !outlet.is_abandoned() => {
                // SAFETY: published, because indexed; this thread holds the token, and `Marks::lowest` found no mark at or
                // below it. `reclaimed` is raised past it before the token goes back, and nothing between here and there
                // can unwind: user code runs in `guarded` (invariants 1 and 3).
                let record = unsafe { slots.take(sequence) };
                let refused =
                    outlet.send(Position::new(number, sequence), record, self.shards[number].reason(sequence));
                self.guarded(|| drop(refused));
            }
            _ => {
                self.guarded(|| {
                    // SAFETY: as for `take` (invariants 1 and 3).
                    unsafe { slots.discard(sequence) }
                });
            }
        }
    }

    fn show(&self, number: usize, sequence: u64, sinks: &Sinks<T>, _: &TokenGuard<'_>) {
        if sinks.hooks.is_empty() {
            return;
        }
        let (position, reason) = (Position::new(number, sequence), self.shards[number].reason(sequence));
        for hook in &sinks.hooks {
            self.guarded(|| {
                // SAFETY: published, because indexed; this thread holds the token and has not raised `reclaimed` past it
                // (invariant 1).
                unsafe { self.shards[number].slots.read(sequence, |record| hook(position, record, reason)) }
            });
        }
    }
}

/// Enters published records into every index, in order, from one up to another or the first that is not published yet;
/// how far that got. For the token holder.
fn index<T: Signal>(shard: &Shard<T>, from: u64, to: u64, growth: Growth) -> u64 {
    let (mut done, mut retries) = (from, 0);
    while done < to {
        let (slot, heads) = shard.slots.run(done, CHUNK.min(to - done));
        // Not beyond what has been claimed: those heads belong to whoever will push there.
        let next = done + heads.len() as u64;
        shard.slots.prefetch_heads(slot + heads.len(), CHUNK.min(to - next) as usize);
        let mut sequences = done..;
        let published = heads.iter().take_while(|head| sequences.next().is_some_and(|next| head.holds(next))).count();
        if published == 0 {
            break;
        }
        // Each round has a guard of its own: tables that were retired in one can be freed in the next.
        let guard = epoch::pin();
        let room = |directory: &Directory| directory.writer(&guard).prepare(published as u64, growth) as usize;
        let heads = &heads[..shard.directories.iter().map(room).min().unwrap_or(published)];
        if heads.is_empty() {
            // A table that has just been retired stands in the way of the next; it is freed a few pins later, unless a
            // reader sleeps in it.
            retries += 1;
            if growth == Growth::Forbidden || retries > RETRIES {
                break;
            }
            continue;
        }
        enter(shard, slot, heads, done, &guard);
        done += heads.len() as u64;
        if owns_heap::<T>() {
            shard.heap.set(shard.heap.get() + heads.iter().map(Head::heap).sum::<u64>());
        }
        if let Some(share) = &shard.share {
            share.set_kept(share.kept() + shard.slots.bytes(done - heads.len() as u64..done));
        }
        shard.set_indexed(done);
    }
    done
}

/// Enters records, from this slot and sequence on, into every index, one index after the other, and into their blocks.
fn enter<T: Signal>(shard: &Shard<T>, slot: usize, heads: &[Head<T::Indexes>], first: u64, guard: &Guard) {
    let leads = &*shard.leads;
    leads[slot..].iter().take(heads.len()).for_each(|leads| leads.set(T::Indexes::COUNT as u8));
    // A record of the chunk or one before it, which has not been evicted: its key is in the directory. So it is in the ring,
    // and its slot still its own.
    let leads_no_more = |sequence: u64| {
        let slot = (slot as u64).wrapping_add(sequence.wrapping_sub(first));
        let slot = if slot.cast_signed() < 0 { slot.wrapping_add(leads.len() as u64) } else { slot };
        let leads = &leads[slot as usize];
        debug_assert!(leads.get() > 0, "a key's newest record counts it");
        leads.set(leads.get().wrapping_sub(1));
    };
    for (index, directory) in shard.directories.iter().enumerate() {
        let writer = directory.writer(guard);
        writer.prefetch(heads.iter().map(|head| head.print(index)));
        let records = heads.iter().map(|head| (head.print(index), head.link(index)));
        writer.insert(records, first, leads_no_more);
    }
    shard.blocks.enter(first, heads.iter().map(Head::time));
}

/// Whether dropping a record does anything.
const fn owns_heap<T>() -> bool {
    std::mem::needs_drop::<T>()
}

/// Own heap bytes of a range of records. What needs no drop owns no heap, whatever it says.
fn heap_of<T: Signal>(shard: &Shard<T>, range: Range<u64>) -> u64 {
    if owns_heap::<T>() { shard.slots.heads(range).map(|(_, head)| head.heap()).sum() } else { 0 }
}

/// Raises the floor above the oldest records for as long as those that are kept take more than the shard's share of bytes, or lie
/// below `crowding`, but not beyond `to`; where the visible window begins then, and how many bytes are kept once the token holder has evicted up to there
/// or to `to`.
fn shed<T: Signal>(shard: &Shard<T>, evicted: u64, low: u64, to: u64, crowding: u64) -> (u64, u64) {
    let Some(share) = &shard.share else { return (low, 0) };
    let (mut kept, mut at) = (share.kept(), evicted);
    for (sequence, head) in shard.slots.heads(evicted..to.max(evicted)) {
        if sequence >= low.max(crowding) && kept <= share.most {
            break;
        }
        kept -= Slots::<T>::bytes_of(head);
        at = sequence + 1;
    }
    if at > low && !planted(Fault::ShedUnseen) {
        shard.raise_floor(at, EvictReason::Bytes);
    }
    (low.max(at), kept)
}

/// Takes records whose turn has come out of every index; how far that got. For the token holder.
fn evict<T: Signal>(shard: &Shard<T>, from: u64, to: u64) -> u64 {
    if to <= from {
        return from;
    }
    let mut done = from;
    while done < to {
        let (slot, heads) = shard.slots.run(done, CHUNK.min(to - done));
        leave(shard, slot, heads, done);
        done += heads.len() as u64;
    }
    shard.note_reasons(from..to);
    shard.set_evicted(to);
    to
}

/// Takes the keys out of which these records, from this slot and sequence on, are the newest. Most are not, and are not
/// even looked at.
fn leave<T: Signal>(shard: &Shard<T>, slot: usize, heads: &[Head<T::Indexes>], first: u64) {
    // Whether a record leads a key nobody can foretell, so they are picked out without a branch for each.
    let (mut leading, mut count) = ([0; CHUNK as usize], 0);
    for (number, leads) in shard.leads[slot..].iter().take(heads.len()).enumerate() {
        leading[count] = number;
        count += usize::from(leads.get() > 0);
    }
    let leading = &leading[..count];
    leading.iter().for_each(|&number| prefetch_to_write(&heads[number]));
    let guard = epoch::pin();
    for (index, directory) in shard.directories.iter().enumerate() {
        directory.writer(&guard).prefetch(leading.iter().map(|&number| heads[number].print(index)));
    }
    for &number in leading {
        let leads = &shard.leads[slot + number];
        let mut left = leads.get();
        for (index, directory) in shard.directories.iter().enumerate() {
            let print = heads[number].print(index);
            if left > 0 && directory.remove(print, first + number as u64, &guard) {
                left -= 1;
                if index == 0 {
                    shard.departed.note(print);
                }
            }
        }
        debug_assert_eq!(left, 0, "a record leads as many keys as its tally says");
        leads.set(EvictReason::Capacity as u8);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::{Builder, OnFull};
    use crate::signal::LogRecord;

    /// An engine of one shard for eight records, and what the indexer does there, to which all that is evicted is fresh.
    fn engine_for_eight(slack: usize) -> (Engine<LogRecord>, impl Fn(&Engine<LogRecord>) -> Moved) {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(slack).shards(1));
        (engine, |engine| engine.step(0, Role::Indexer { rested: 0 }).expect("nobody else is here"))
    }

    #[test]
    fn evicted_records_rest_until_they_take_half_the_slack() {
        let (engine, step) = engine_for_eight(8);
        let step = || step(&engine);
        engine.push_some(16);
        assert_eq!(step(), Moved { indexed: 16, evicted: 8, reclaimed: 0 }, "no producer has had a chance yet");
        assert_eq!(engine.step(0, Role::Tidier { most: 5 }), Some(Moved { reclaimed: 5, ..Moved::default() }));
        assert_eq!(step(), Moved::default());
        engine.push_some(1);
        assert_eq!(step(), Moved { indexed: 1, evicted: 1, reclaimed: 0 }, "3 are less than half");
        assert_eq!(step(), Moved { reclaimed: 4, ..Moved::default() });
    }

    #[test]
    fn evicted_records_do_not_rest_where_a_push_that_stalls_leaves_no_room() {
        let (engine, step) = engine_for_eight(24);
        let step = || step(&engine);
        engine.push_some(20);
        assert_eq!(step(), Moved { indexed: 20, evicted: 12, reclaimed: 0 });
        assert_eq!(step(), Moved { reclaimed: 12, ..Moved::default() });
        let record = LogRecord::default();
        let sketch = engine.sketch(&record).expect("its keys are sound");
        let stalled = engine.claim(std::slice::from_ref(&sketch), OnFull::Reject).expect("there is room");
        engine.push_some(23);
        assert_eq!(
            step(),
            Moved { evicted: 8, ..Moved::default() },
            "there is nothing else to do for room, after this"
        );
        assert_eq!(step(), Moved { reclaimed: 8, ..Moved::default() }, "less than half the slack");
        engine.publish(stalled, record, &sketch);
    }

    /// Of an engine with this configuration, whose records each have a key of their own.
    fn engine_with(config: &Builder<LogRecord>, records: u128) -> Engine<LogRecord> {
        let engine = Engine::of(config);
        for number in 1..=records {
            engine.push(LogRecord { trace_id: Some(number.into()), ..LogRecord::default() });
        }
        engine
    }

    #[test]
    fn a_reader_indexes_a_small_batch_and_lets_nothing_grow_where_there_is_a_thread() {
        let config = Builder::<LogRecord>::new().capacity(1_000).shards(1);
        let threaded = engine_with(&config, 400);
        let moved = |indexed| Moved { indexed, ..Moved::default() };
        assert_eq!(threaded.step(0, Role::Reader), Some(moved(223)), "what the smallest table takes");
        let manual = engine_with(&config.clone().manual(), 400);
        assert_eq!(manual.step(0, Role::Reader), Some(moved(2 * ASSIST_BATCH)));
        assert_eq!(manual.step(0, Role::Reader), Some(moved(400 - 2 * ASSIST_BATCH)));
        let indexer = engine_with(&config, 600);
        assert_eq!(indexer.step(0, Role::Indexer { rested: 0 }), Some(moved(2 * BATCH)));
    }

    #[test]
    fn an_assister_drops_few_records_at_a_time_but_all_that_cost_nothing() {
        let config = Builder::<LogRecord>::new().capacity(8).slack(100).shards(1);
        let engine = Engine::of(&config);
        engine.push_some(60);
        let moved = engine.step(0, Role::Assister);
        assert_eq!(moved, Some(Moved { indexed: 60, evicted: 52, reclaimed: TIDY_BATCH }));
        assert_eq!(engine.step(0, Role::Tidier { most: 5 }), Some(Moved { reclaimed: 5, ..Moved::default() }));
        assert_eq!(engine.step(0, Role::Flusher), Some(Moved::default()));

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
        let config = Builder::<Plain>::new().capacity(8).slack(100).shards(1);
        let engine = Engine::of(&config);
        (0..60).for_each(|_| engine.push(Plain));
        assert_eq!(engine.step(0, Role::Assister), Some(Moved { indexed: 60, evicted: 52, reclaimed: 52 }));
    }

    /// An engine for eight records, with a thread as far as it knows, that has let go of as many as are said, and not dropped them.
    fn engine_with_leavers(leavers: u64, hook: bool) -> Engine<LogRecord> {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(200).shards(1));
        if hook {
            engine.hook();
        }
        engine.push_some(8 + leavers);
        engine.settle();
        engine
    }

    #[test]
    fn who_pushes_drops_some_records_for_every_eight_that_he_has_pushed() {
        let engine = engine_with_leavers(100, false);
        let shard = &engine.shards[0];
        let tidied = |pushed_to, pushed| {
            let before = shard.reclaimed();
            engine.tidy_after(0, pushed_to, pushed);
            shard.reclaimed() - before
        };
        assert_eq!(tidied(9, 1), 0);
        assert_eq!(tidied(8, 1), TIDY_BATCH);
        assert_eq!(tidied(20, 4), 0, "sixteen was reached before");
        assert_eq!(tidied(20, 5), TIDY_BATCH);
        assert_eq!(tidied(40, 9), 2 * TIDY_BATCH);
        let inside = inside::enter();
        assert_eq!(tidied(48, 1), 0);
        drop(inside);
        assert_eq!((shard.evicted() - shard.reclaimed(), tidied(64, 64)), (36, 36));
        assert_eq!(tidied(72, 8), 0, "there are no more");
    }

    #[test]
    fn with_hooks_the_indexer_drops_records_and_at_once() {
        let engine = engine_with_leavers(20, true);
        let nothing = Some(Moved::default());
        assert_eq!(engine.step(0, Role::Assister), nothing);
        assert_eq!(engine.step(0, Role::Tidier { most: 5 }), nothing);
        assert_eq!(engine.step(0, Role::Indexer { rested: 0 }), Some(Moved { reclaimed: 20, ..Moved::default() }));
        let engine = engine_with_leavers(20, false);
        assert_eq!(engine.step(0, Role::Indexer { rested: 0 }), nothing, "they rest");
        assert_eq!(engine.step(0, Role::Indexer { rested: 7 }), Some(Moved { reclaimed: 7, ..Moved::default() }));
    }

    #[test]
    fn what_has_moved_has_moved_by_whatever_cursor() {
        assert!(!Moved::default().any());
        let moved = [(1, 0, 0), (0, 1, 0), (0, 0, 1)];
        assert!(moved.into_iter().all(|(indexed, evicted, reclaimed)| Moved { indexed, evicted, reclaimed }.any()));
    }
}
