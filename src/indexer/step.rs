//! One step in one shard: index what is published, evict what is due, reclaim what no reader looks at.
//!
//! Whoever takes it holds the shard's token: the indexer's thread, a producer that found the ring full or drops what it has
//! evicted, a reader that found many records not indexed, or a `flush`. No code of users runs meanwhile: records are moved out of
//! their slots, and hooks and drops see them after the token has been given back.

use crate::Position;
use crate::engine::Engine;
use crate::evictions::{Outlet, Sinks};
use crate::index::PASSED_OVER;
use crate::inside;
use crate::reason::EvictReason;
use crate::ring::{AT_ONCE, Aside, Head, Owner, Pinner, Places, Shard, Slots, Taken};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use smallvec::SmallVec;
use std::sync::Arc;

/// What a step may do at most, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Indexes twice as many as it evicts, so that whoever keeps a full ring going also catches up: otherwise the lag would stay
    /// what it was when the ring filled up, and lookups would have a long tail to look through.
    pub(crate) evict: u64,
    /// Reclaims so many, where that takes no code of users: records need no drop, and no hook or stream sees them.
    reclaim: u64,
    /// The same where it takes such code.
    let_go: u64,
    /// Whether hooks and a stream may see records here.
    shows: bool,
    /// Whether it relieves a holder that sleeps.
    relieves: bool,
}

impl Work {
    /// Everything, in large batches: for the indexer's thread, and for whoever steps where there is none.
    pub(crate) const ALL: Self = Self { evict: BATCH, reclaim: BATCH, let_go: MOST_TAKEN, shows: true, relieves: true };
    /// All but drops, which are left to producers: allocators are fast where the thread that allocated a record frees it.
    pub(crate) const NO_DROPS: Self = Self { let_go: 0, ..Self::ALL };
    /// Nothing that takes code of users.
    pub(crate) const FLUSH: Self = Self { let_go: 0, shows: false, ..Self::ALL };
    /// Some indexing, by a reader that would have to look through what is not indexed.
    pub(crate) const READ: Self = Self { evict: ASSIST_BATCH, reclaim: 0, let_go: 0, shows: false, relieves: false };
    /// A small batch, by a producer that has found no room.
    pub(crate) const ASSIST: Self =
        Self { evict: ASSIST_BATCH, reclaim: BATCH, let_go: TIDY_BATCH, shows: false, relieves: true };
    /// The same where the indexer's thread sleeps, or does not exist.
    pub(crate) const ASSIST_ALL: Self = Self { shows: true, ..Self::ASSIST };

    /// Lets go of so many records that have been evicted.
    pub(crate) const fn tidy(let_go: u64) -> Self {
        Self { evict: 0, reclaim: 0, let_go, shows: false, relieves: false }
    }
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

/// Records that are moved out of their slots at a time.
const MOST_TAKEN: u64 = if cfg!(loom) { 1 } else { 32 };

/// How many records that take time to drop a producer lets go of at most, for every [`TIDY_EVERY`] that it pushes.
const TIDY_BATCH: u64 = if cfg!(loom) { 1 } else { 16 };

/// A power of two.
const TIDY_EVERY: u64 = if cfg!(loom) { 1 } else { 8 };

/// How many records go at a time where what records share takes too many bytes.
const SHED_BATCH: u64 = if cfg!(loom) { 1 } else { 16 };

/// Records that are entered into one index before the next one's turn: their heads stay in the nearest cache meanwhile.
const CHUNK: u64 = 64;

/// Records that have left their slots, and hooks have not seen.
type Outbox<T> = SmallVec<[Gone<T>; 1]>;

struct Gone<T> {
    sequence: u64,
    reason: EvictReason,
    record: T,
    shown: bool,
}

/// What reclaiming has come to.
struct Reclaimed<'a, T> {
    to: u64,
    taken: Outbox<T>,
    /// Records that stay in their slots, which are pinned, until hooks have seen them.
    to_show: SmallVec<[Aside; AT_ONCE]>,
    pinner: Option<Pinner<'a>>,
    /// Bytes of what has left, to be given back once it has been dropped.
    freed: u64,
}

impl<T> Reclaimed<'_, T> {
    fn is_full(&self) -> bool {
        self.taken.len() == self.taken.capacity()
    }
}

impl<T: Signal> Engine<T> {
    /// Takes a step in a shard; `None` if somebody else is at it. Lock-free but for hooks and drops, which are the user's.
    pub(crate) fn step(&self, number: usize, work: Work) -> Option<Moved> {
        let owner = self.own(number, work.relieves)?;
        Some(self.work(owner, number, work))
    }

    fn work(&self, owner: Owner<'_, T>, number: usize, work: Work) -> Moved {
        // The token goes back before this thread leaves, also if something unwinds.
        let (_inside, owner) = (inside::enter(), owner);
        let shard = owner.shard();
        let before = (owner.index.own_indexed(), owner.evicted(), owner.reclaimed());
        let claimed = shard.claimed();
        let indexed = index(&owner, claimed, claimed.min(before.0 + 2 * work.evict));
        let most = indexed.min(before.1 + work.evict);
        // Parts go with the last record that holds them: no more is evicted for them than will soon tell whether that was enough.
        let crowding = if work.evict > 0 && self.shares_too_much() { before.2 + SHED_BATCH } else { 0 };
        let low = shed(&owner, shard.low(claimed), most, crowding);
        let evicted = evict(&owner, before.1, low.min(most));
        let sinks = self.sinks.load();
        let Reclaimed { to: reclaimed, taken, to_show, pinner, freed } = self.reclaim(&owner, number, work, &sinks);
        drop(owner);
        let shows = !sinks.is_empty() && (!taken.is_empty() || !to_show.is_empty());
        self.showing.add(u64::from(shows));
        taken.into_iter().for_each(|gone| self.let_go(number, gone, &sinks));
        to_show.into_iter().for_each(|aside| self.show_aside(number, aside, &sinks));
        self.showing.take_off(u64::from(shows));
        drop(pinner);
        if let Some(share) = &shard.share
            && freed > 0
            && !planted(Fault::BytesNotGivenBack)
        {
            // Waiters are told below.
            share.give_back(freed);
        }
        // This may be the last holder of hooks that were replaced meanwhile, and what they captured is user code.
        self.guarded(|| drop(sinks));
        self.tell_of_arrivals(indexed - before.0);
        if reclaimed > before.2 && !planted(Fault::ReclaimWithoutWake) {
            self.room.notify();
        }
        Moved { indexed: indexed - before.0, evicted: evicted - before.1, reclaimed: reclaimed - before.2 }
    }

    /// Lets go of some evicted records of a shard, for a producer that has pushed so many there, up to a sequence. Where
    /// records own memory, who pushes frees some: often in the thread that allocated it, which is what allocators are fast
    /// at. Never waits; does nothing where hooks or a stream see records.
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
        if shard.reclaimed() < shard.evicted() && !inside::is_inside() {
            self.step(number, Work::tidy(most));
        }
    }

    /// Lets go of what has been evicted in every shard, before hooks or a stream see what is evicted from then on. Inside, where
    /// drops would run within others' code, it does nothing.
    pub(crate) fn tidy_all(&self) {
        if inside::is_inside() {
            return;
        }
        for number in 0..self.shards.len() {
            let most = Work { relieves: true, reclaim: u64::MAX, ..Work::tidy(u64::MAX) };
            while self.step(number, most).is_none_or(|moved| moved.reclaimed > 0) {
                crate::sync::thread::yield_now();
            }
        }
    }

    /// Frees the slots of evicted records that no reader may be looking at, and sets the others aside.
    fn reclaim(&self, owner: &Owner<'_, T>, number: usize, work: Work, sinks: &Sinks<T>) -> Reclaimed<'_, T> {
        let (shard, from) = (owner.shard(), owner.reclaimed());
        let slots = &shard.slots;
        let takes = owns_heap::<T>() || !sinks.is_empty();
        let most = match takes {
            _ if !sinks.is_empty() && !work.shows => 0,
            true if sinks.is_empty() => most_taken::<T>(work.let_go),
            // Hooks and the stream see what is evicted without delay.
            true => most_taken::<T>(work.let_go.max(TIDY_BATCH)),
            false => work.reclaim,
        };
        // Of a holder that was relieved, the one cursor may be older than the other.
        let to = owner.evicted().min(from.saturating_add(most)).max(from);
        let mut reclaimed =
            Reclaimed { to: from, taken: Outbox::new(), to_show: SmallVec::new(), pinner: None, freed: 0 };
        let aside = if most > 0 { slots.count_aside() } else { 0 };
        if from == to && aside == 0 {
            return reclaimed;
        }
        // Without memory for more, one record goes at a time.
        let room = (to - from) as usize + aside;
        let is_short = takes && reclaimed.taken.try_reserve(room).is_err();
        let to = if is_short { to.min(from + 1) } else { to };
        let pinned = self.pins.scan(number);
        let mut changed: Option<(Arc<Places>, Places)> = None;
        let begin = || {
            let places = slots.serving();
            let new = Places::clone(&places);
            (places, new)
        };
        if slots.any_moved() {
            changed = Some(begin());
        }
        // Bytes of what was aside, and of what the cursor passes.
        let (mut freed_aside, mut freed) = (0, 0);
        let mut is_changed = false;
        if let Some((_, places)) = &mut changed {
            is_changed |= places.keep_aside(|aside| {
                let Aside { slot, sequence, reason, shown } = aside;
                let stays = takes && reclaimed.is_full()
                    || pinned.contains(&slot)
                    || match takes {
                        false => !slots.is_free(slot, sequence),
                        // SAFETY: the record was evicted before it was set aside, and no pin names its slot (invariant 1).
                        true => match unsafe { slots.take(slot, sequence) } {
                            Taken::Record(record) => {
                                reclaimed.taken.push(Gone { sequence, reason, record, shown });
                                false
                            }
                            Taken::Before => false,
                            Taken::NotYet => true,
                        },
                    };
                if !stays {
                    freed_aside += Slots::<T>::bytes_of(slots.head_at(slot));
                }
                stays
            });
        }
        let mut place = slots.place(from);
        // Where nothing stands in the way, and nothing has to be taken, slots need not be looked at.
        let plain = !takes && changed.is_none() && pinned.is_empty() && from >= owner.index.passed_to.get();
        if plain && shard.share.is_none() {
            reclaimed.to = to;
        }
        while reclaimed.to < to && !(takes && reclaimed.is_full()) {
            let sequence = reclaimed.to;
            let slot = changed.as_ref().map_or(place, |(_, places)| places.slot(place));
            // Whoever was relieved may have set it aside.
            let is_aside = changed.as_ref().is_some_and(|(_, places)| places.is_aside(sequence));
            let is_free = is_aside
                || !pinned.contains(&slot)
                    && match takes {
                        false => plain || slots.is_free(slot, sequence),
                        // SAFETY: evicted, and no pin names its slot (invariant 1).
                        true => match unsafe { slots.take(slot, sequence) } {
                            Taken::Record(record) => {
                                let reason = owner.reason(place);
                                reclaimed.taken.push(Gone { sequence, reason, record, shown: false });
                                true
                            }
                            Taken::Before => true,
                            Taken::NotYet => false,
                        },
                    };
            if is_aside {
                // Nothing is left to be done.
            } else if is_free {
                if shard.share.is_some() {
                    freed += Slots::<T>::bytes_of(slots.head_at(slot));
                }
                if let Some((_, places)) = &mut changed {
                    is_changed |= places.go_home(place);
                }
            } else {
                let shown = !sinks.hooks.is_empty() && pinned.contains(&slot) && slots.head_at(slot).holds(sequence);
                let aside = Aside { slot, sequence, reason: owner.reason(place), shown };
                let (_, places) = changed.get_or_insert_with(begin);
                if shown && reclaimed.to_show.len() == AT_ONCE || !places.set_aside(place, aside) {
                    break;
                }
                is_changed = true;
                if shown {
                    reclaimed.to_show.push(aside);
                }
            }
            place = slots.forth(place, 1);
            reclaimed.to += 1;
        }
        if !reclaimed.to_show.is_empty() {
            // Readers have pinned these slots, and may let go before hooks have seen the records.
            let pinner = self.pins.enter();
            for (word, aside) in reclaimed.to_show.iter().enumerate() {
                pinner.pin(word, number, aside.slot);
            }
            pinner.confirm();
            reclaimed.pinner = Some(pinner);
        }
        // Whoever relieves this holder either is seen here, or sees the pins when it scans them.
        let served = match changed {
            Some((before, places)) if is_changed => owner.serve(&before, places),
            _ => true,
        };
        if !served {
            reclaimed.to_show.clear();
            (reclaimed.to, freed_aside) = (from, 0);
        }
        if reclaimed.to == from || !owner.reclaim(from, reclaimed.to) {
            (reclaimed.to, freed) = (from, 0);
        }
        reclaimed.freed = freed + freed_aside;
        reclaimed
    }

    /// Shows a record that has left its slot to the hooks, and hands it on or drops it, once, whatever panics.
    fn let_go(&self, number: usize, gone: Gone<T>, sinks: &Sinks<T>) {
        let Gone { sequence, reason, record, shown } = gone;
        let position = Position::new(number, sequence);
        if !shown {
            self.show(position, &record, reason, sinks);
        }
        match &sinks.stream {
            Some(outlet) if !outlet.is_abandoned() => {
                let refused = outlet.send(position, record, reason);
                self.guarded(|| drop(refused));
            }
            _ => {
                self.guarded(|| drop(record));
            }
        }
    }

    fn show(&self, position: Position, record: &T, reason: EvictReason, sinks: &Sinks<T>) {
        for hook in &sinks.hooks {
            self.guarded(|| hook(position, record, reason));
        }
    }

    /// Shows hooks a record that was set aside, in place.
    fn show_aside(&self, number: usize, aside: Aside, sinks: &Sinks<T>) {
        let Aside { slot, sequence, reason, .. } = aside;
        // SAFETY: it is published; this thread pinned its slot while it held the token and the record was in place, so whoever
        // took the token after that finds the pin (invariant 1).
        unsafe {
            self.shards[number]
                .slots
                .read(slot, |record| self.show(Position::new(number, sequence), record, reason, sinks));
        }
    }

    /// Counts the records that a stream does not get, because a reader looks at them when the store ends.
    pub(crate) fn miss_aside(&self) {
        let sinks = self.sinks.load();
        for shard in &self.shards {
            let places = shard.slots.serving();
            let held = places.aside().iter().filter(|aside| !shard.slots.is_taken(aside.slot, aside.sequence));
            held.for_each(|_| sinks.stream.iter().for_each(Outlet::miss));
        }
        self.guarded(|| drop(sinks));
    }
}

/// Enters published records into every index, in order, up to another or the first that is not published yet; how far that got.
fn index<T: Signal>(owner: &Owner<'_, T>, claimed: u64, to: u64) -> u64 {
    let (shard, index) = (owner.shard(), owner.index);
    let slots = &shard.slots;
    let mut done = index.own_indexed();
    while done < to {
        let (place, heads) = slots.run(done, CHUNK.min(to - done));
        // Not beyond what has been claimed: those heads belong to whoever will push there.
        let next = done + heads.len() as u64;
        slots.prefetch_heads(place + heads.len(), CHUNK.min(to - next) as usize);
        let mut sequences = done..;
        let published = heads.iter().take_while(|head| sequences.next().is_some_and(|next| head.holds(next))).count();
        if published == 0 {
            // A producer sleeps there. What it has claimed is passed over once its turn to leave has come and its room is needed.
            let room = (owner.reclaimed() + slots.places()).saturating_sub(claimed);
            let due = done < shard.low(claimed) || planted(Fault::PassedOverTooSoon);
            if !due || room > shard.slack() / 2 {
                break;
            }
            index.pass_over(place, done);
            done += 1;
        } else {
            let heads = &heads[..published];
            index.enter(slots, place, heads, done);
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

/// Whether dropping a record does anything.
const fn owns_heap<T>() -> bool {
    std::mem::needs_drop::<T>()
}

/// Whether the heap bytes of records are counted.
fn counts_heap<T: Signal>(shard: &Shard<T>) -> bool {
    owns_heap::<T>() || shard.share.is_some()
}

/// How many records are moved out at a time: 64 KiB of them at most, and one at least.
fn most_taken<T>(wanted: u64) -> u64 {
    let fitting = (65_536 / size_of::<T>().max(1)).max(1) as u64;
    wanted.min(fitting)
}

/// Raises the floor above the oldest records for as long as those that are kept take more than the shard's share of bytes, or lie
/// below `crowding`, but not beyond `to`; where the visible window begins then.
fn shed<T: Signal>(owner: &Owner<'_, T>, low: u64, to: u64, crowding: u64) -> u64 {
    let shard = owner.shard();
    let Some(share) = &shard.share else { return low };
    let evicted = owner.evicted();
    let (mut kept, mut at) = (shard.kept(), evicted);
    for (sequence, head) in shard.slots.heads(evicted..to.max(evicted)) {
        if sequence >= low.max(crowding) && kept <= share.most {
            break;
        }
        if owner.index.leads[shard.slots.place(sequence)].get() != PASSED_OVER {
            kept = kept.saturating_sub(head.heap());
        }
        kept = kept.saturating_sub(size_of::<T>() as u64);
        at = sequence + 1;
    }
    if at > low && !planted(Fault::ShedUnseen) {
        shard.raise_floor(at, EvictReason::Bytes);
    }
    low.max(at)
}

/// Takes records whose turn has come out of every index; how far that got.
fn evict<T: Signal>(owner: &Owner<'_, T>, from: u64, to: u64) -> u64 {
    if to <= from {
        return from;
    }
    let (shard, index) = (owner.shard(), owner.index);
    let (mut done, mut heap) = (from, 0);
    while done < to {
        let (place, heads) = shard.slots.run(done, CHUNK.min(to - done));
        if counts_heap(shard) {
            let entered = index.leads[place..].iter().zip(heads).filter(|(leads, _)| leads.get() != PASSED_OVER);
            heap += entered.map(|(_, head)| head.heap()).sum::<u64>();
        }
        index.leave(place, heads);
        done += heads.len() as u64;
        index.beat();
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
    use crate::config::{Builder, OnFull};
    use crate::signal::LogRecord;

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
        assert_eq!(engine.step(0, Work::tidy(5)), moved(0, 0, 5));
        assert_eq!(engine.step(0, Work::FLUSH), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::ASSIST), moved(0, 0, TIDY_BATCH));
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 52 - 5 - TIDY_BATCH));
    }

    #[test]
    fn a_reader_indexes_a_small_batch() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(1_000).shards(1));
        engine.push_some(400);
        assert_eq!(engine.step(0, Work::READ), moved(2 * ASSIST_BATCH, 0, 0));
        assert_eq!(engine.step(0, Work::READ), moved(400 - 2 * ASSIST_BATCH, 0, 0));
        engine.push_some(600);
        assert_eq!(engine.step(0, Work::ALL), moved(2 * BATCH, 0, 0));
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
        let engine = engine_for_eight(200);
        engine.hook();
        engine.push_some(18);
        engine.settle();
        assert_eq!(engine.step(0, Work::ASSIST), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::tidy(5)), moved(0, 0, 0));
        assert_eq!(engine.step(0, Work::NO_DROPS), moved(0, 0, 10));
    }

    fn claim<T: Signal>(engine: &Engine<T>, record: &mut T) -> (crate::ring::Claim, crate::ring::Sketch<T>) {
        let sketch = engine.sketch(record).expect("its keys are sound");
        let claim = engine.claim(std::slice::from_ref(&sketch), OnFull::Reject).expect("there is room");
        (claim, sketch)
    }

    #[test]
    fn a_producer_that_sleeps_loses_its_record_and_nobody_elses() {
        let engine = engine_for_eight(8);
        let shard = &engine.shards[0];
        engine.push_some(3);
        let mut record = LogRecord::builder().trace_id(7).build();
        let (stalled, sketch) = claim(&engine, &mut record);
        // Several times around the ring.
        for _ in 0..100 {
            engine.push_some(1);
            engine.step(0, Work::ALL);
        }
        assert_eq!((shard.claimed(), shard.evicted(), shard.indexed()), (104, 96, 104));
        assert_eq!(shard.slots.serving().aside().len(), 1);
        engine.publish(stalled, record, &sketch);
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 0));
        assert!(shard.slots.serving().aside().is_empty(), "what was published too late is dropped");
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
        assert_eq!(engine.shards[0].slots.serving().aside().len(), 1);
        engine.step(0, Work::ALL);
        assert!(engine.shards[0].slots.serving().aside().is_empty());
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
                        let sketch = engine.sketch(&mut record).expect("its keys are sound");
                        if let Ok(claim) = engine.claim(std::slice::from_ref(&sketch), OnFull::Reject) {
                            pushed += 1;
                            if number % 5 == 0 && asleep.len() < 4 {
                                asleep.push_back((claim, record, sketch));
                            } else {
                                engine.publish(claim, record, &sketch);
                            }
                        }
                    }
                    5 => if let Some((claim, record, sketch)) = asleep.pop_front() {
                        engine.publish(claim, record, &sketch);
                    },
                    6 => drop(engine.step(0, Work::ASSIST)),
                    7 => drop(engine.step(0, Work::FLUSH)),
                    _ => drop(engine.step(0, Work::ALL)),
                }
                let audited = crate::audit::audit(&engine);
                proptest::prop_assert!(audited.is_ok(), "{audited:?}");
            }
            asleep.into_iter().for_each(|(claim, record, sketch)| engine.publish(claim, record, &sketch));
            while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
            let shard = &engine.shards[0];
            proptest::prop_assert_eq!((shard.claimed(), shard.indexed(), shard.slots.any_aside()), (pushed, pushed, false));
        }
    }

    #[test]
    fn where_no_slot_is_left_to_spare_the_ring_waits_for_the_sleeper() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(8).slack(8).shards(1).spare_slots(0));
        engine.push_some(3);
        let mut record = LogRecord::default();
        let (stalled, sketch) = claim(&engine, &mut record);
        engine.push_some(12);
        while engine.step(0, Work::ALL).is_some_and(Moved::any) {}
        assert_eq!(engine.shards[0].reclaimed(), 3);
        engine.publish(stalled, record, &sketch);
        assert_eq!(engine.step(0, Work::ALL), moved(0, 0, 5));
    }

    #[test]
    fn what_has_moved_has_moved_by_whatever_cursor() {
        assert!(!Moved::default().any());
        let moved = [(1, 0, 0), (0, 1, 0), (0, 0, 1)];
        assert!(moved.into_iter().all(|(indexed, evicted, reclaimed)| Moved { indexed, evicted, reclaimed }.any()));
    }
}
