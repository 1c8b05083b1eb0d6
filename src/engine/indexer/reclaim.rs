//! Reclaiming: evicted records leave their slots, hooks see them, and they are dropped or handed
//! on.

use super::work::Work;
use crate::engine::evictions::Sinks;
use crate::engine::position::Position;
use crate::engine::reason::EvictReason;
use crate::engine::ring::{MoveOut, Pinner, Quarantined, SlotMap, Slots};
use crate::engine::shard::{IndexerGuard, Shard};
use crate::engine::state::Engine;
use crate::engine::tuning::{DROP_BATCH, PINS_PER_READER, STEP_BATCH};
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use smallvec::SmallVec;
use std::sync::Arc;

/// Records that have been moved out of their slots and not yet released.
pub(super) struct RemovedRecords<T> {
    records: SmallVec<[T; 1]>,
    /// What hooks and the stream are told of each record. Empty if there are none: most stores only
    /// drop their records.
    told: SmallVec<[Told; 1]>,
    are_told: bool,
}

/// What hooks and the stream are told of a record.
struct Told {
    sequence: u64,
    reason: EvictReason,
    /// Whether hooks have seen the record already.
    hooks_ran: bool,
}

impl<T> RemovedRecords<T> {
    fn new(are_told: bool) -> Self {
        Self { records: SmallVec::new(), told: SmallVec::new(), are_told }
    }

    /// Makes room for this many records. Returns false if there is no memory for that. There is
    /// always room for one.
    fn reserve(&mut self, records: usize) -> bool {
        self.records.try_reserve(records).is_ok()
            && (!self.are_told || self.told.try_reserve(records).is_ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns whether there is no room for another record.
    fn is_full(&self) -> bool {
        self.records.len() == self.records.capacity()
            || self.are_told && self.told.len() == self.told.capacity()
    }

    #[inline]
    fn push(&mut self, record: T, told: impl FnOnce() -> Told) {
        self.records.push(record);
        if self.are_told {
            self.told.push(told());
        }
    }
}

/// The result of reclaiming.
pub(super) struct Reclaimed<'a, T> {
    /// How far the `reclaimed` cursor got.
    pub(super) to: u64,
    pub(super) removed: RemovedRecords<T>,
    /// Records that stay in their quarantined slots. Hooks see them there, under a pin of this
    /// thread.
    pub(super) for_hooks: SmallVec<[Quarantined; PINS_PER_READER]>,
    /// Holds the pins of the slots in `for_hooks`.
    pub(super) pinner: Option<Pinner<'a>>,
    /// Bytes of the records that have left, to be released to the byte budget once the records are
    /// dropped.
    pub(super) freed: u64,
}

impl<T: Signal> Engine<T> {
    /// Frees the slots of evicted records that no reader has pinned, and quarantines the other
    /// slots.
    pub(super) fn reclaim(
        &self,
        owner: &IndexerGuard<'_, T>,
        number: usize,
        work: Work,
        sinks: &Sinks<T>,
    ) -> Reclaimed<'_, T> {
        let (shard, from) = (owner.shard(), owner.reclaimed());
        let slots = &shard.slots;
        let moves_out = owns_heap::<T>() || !sinks.is_empty();
        let most = match moves_out {
            _ if !sinks.is_empty() && !work.runs_hooks => 0,
            true if sinks.is_empty() => work.drops,
            // Hooks and the stream receive evicted records without delay.
            true => work.drops.max(DROP_BATCH),
            false => STEP_BATCH,
        };
        // The cursors of a holder whose lock was taken over may be from different moments:
        // `evicted` may be below `reclaimed`.
        let to = owner.evicted().min(from.saturating_add(most)).max(from);
        let mut reclaimed = Reclaimed {
            to: from,
            removed: RemovedRecords::new(!sinks.is_empty()),
            for_hooks: SmallVec::new(),
            pinner: None,
            freed: 0,
        };
        let quarantined = if most > 0 { slots.count_quarantined() } else { 0 };
        if from == to && quarantined == 0 {
            return reclaimed;
        }
        // If no memory can be had for the list, one record goes at a time.
        let room = (to - from) as usize + quarantined;
        let lacks_memory = moves_out && !reclaimed.removed.reserve(room);
        let to = if lacks_memory { to.min(from + 1) } else { to };
        let pinned = self.pins.scan(number);
        let mut changed: Option<(Arc<SlotMap>, SlotMap)> = None;
        let copy_slot_map = || {
            let places = slots.slot_map();
            let new = SlotMap::clone(&places);
            (places, new)
        };
        if slots.any_moved() {
            changed = Some(copy_slot_map());
        }
        // Bytes of the records that leave quarantine, and of those that the cursor passes.
        let (mut freed_quarantined, mut freed) = (0, 0);
        let mut is_changed = false;
        if let Some((_, places)) = &mut changed {
            is_changed |= places.retain_quarantined(|entry| {
                let Quarantined { slot, sequence, reason, shown } = entry;
                let stays = moves_out && reclaimed.removed.is_full()
                    || pinned.contains(&slot)
                    || match moves_out {
                        false => !slots.is_free(slot, sequence),
                        true => {
                            let told = || Told { sequence, reason, hooks_ran: shown };
                            let take = |record| reclaimed.removed.push(record, told);
                            // SAFETY: the record was evicted before its slot was quarantined, and
                            // the scan found no pin on the slot (invariant 1).
                            let moved = unsafe { slots.move_out(slot, sequence, take) };
                            moved == MoveOut::Unavailable
                        }
                    };
                if !stays {
                    freed_quarantined += Slots::<T>::bytes_of(slots.head_at(slot));
                }
                stays
            });
        }
        let mut place = slots.place(from);
        // If every place is served by its own slot, no pin is set, and no record has to be moved
        // out, the slots need not be looked at.
        let skips_slots = !moves_out
            && changed.is_none()
            && pinned.is_empty()
            && from >= owner.index.skipped_to.get();
        if skips_slots && shard.byte_budget.is_none() {
            reclaimed.to = to;
        }
        while reclaimed.to < to && !(moves_out && reclaimed.removed.is_full()) {
            let sequence = reclaimed.to;
            let slot = changed.as_ref().map_or(place, |(_, places)| places.slot(place));
            // An earlier holder, whose lock was taken over, may have quarantined the slot.
            let is_quarantined =
                changed.as_ref().is_some_and(|(_, places)| places.is_quarantined(sequence));
            let is_free = is_quarantined
                || !pinned.contains(&slot)
                    && match moves_out {
                        false => skips_slots || slots.is_free(slot, sequence),
                        true => {
                            let told =
                                || Told { sequence, reason: owner.reason(place), hooks_ran: false };
                            let take = |record| reclaimed.removed.push(record, told);
                            // SAFETY: the record is evicted, and the scan found no pin on its slot
                            // (invariant 1).
                            let moved = unsafe { slots.move_out(slot, sequence, take) };
                            moved != MoveOut::Unavailable
                        }
                    };
            if is_quarantined {
                // The quarantined slot is dealt with above.
            } else if is_free {
                if shard.byte_budget.is_some() {
                    freed += Slots::<T>::bytes_of(slots.head_at(slot));
                }
                if let Some((_, places)) = &mut changed {
                    is_changed |= places.restore(place);
                }
            } else {
                let shown = !sinks.hooks.is_empty()
                    && pinned.contains(&slot)
                    && slots.head_at(slot).holds(sequence);
                let entry = Quarantined { slot, sequence, reason: owner.reason(place), shown };
                let (_, places) = changed.get_or_insert_with(copy_slot_map);
                if shown && reclaimed.for_hooks.len() == PINS_PER_READER
                    || !places.quarantine(place, entry)
                {
                    break;
                }
                is_changed = true;
                if shown {
                    reclaimed.for_hooks.push(entry);
                }
            }
            place = slots.place_after(place, 1);
            reclaimed.to += 1;
        }
        if !reclaimed.for_hooks.is_empty() {
            // Readers have pinned these slots, and may unpin them before hooks have seen the
            // records.
            let pinner = self.pins.register();
            for (word, entry) in reclaimed.for_hooks.iter().enumerate() {
                pinner.pin(word, number, entry.slot);
            }
            pinner.confirm();
            reclaimed.pinner = Some(pinner);
        }
        // A thread that takes this lock over either changes the slot map first, so that `serve`
        // fails, or scans the pins after they were set.
        let served = match changed {
            Some((before, places)) if is_changed => owner.replace_slot_map(&before, places),
            _ => true,
        };
        if !served {
            reclaimed.for_hooks.clear();
            (reclaimed.to, freed_quarantined) = (from, 0);
        }
        if reclaimed.to == from || !owner.reclaim(from, reclaimed.to) {
            (reclaimed.to, freed) = (from, 0);
        }
        reclaimed.freed = freed + freed_quarantined;
        reclaimed
    }

    /// Hands records that have left their slots to the hooks, then to the stream, or drops them. Each
    /// is released exactly once, even if user code panics.
    pub(super) fn release_all(&self, number: usize, removed: RemovedRecords<T>, sinks: &Sinks<T>) {
        let RemovedRecords { records, told, are_told } = removed;
        if are_told {
            let told = records.into_iter().zip(told);
            told.for_each(|(record, told)| self.release(number, record, told, sinks));
        } else {
            // If a drop panics, the panic is caught and counted, and the records after it are
            // dropped all the same.
            let mut rest = records.into_iter();
            while self.guarded(|| rest.by_ref().for_each(drop)).is_none() {}
        }
    }

    fn release(&self, number: usize, record: T, told: Told, sinks: &Sinks<T>) {
        let Told { sequence, reason, hooks_ran } = told;
        let position = Position::new(number, sequence);
        if !hooks_ran {
            self.run_hooks(position, &record, reason, sinks);
        }
        match &sinks.stream {
            Some(sender) if !sender.is_abandoned() => {
                let refused = sender.send(position, record, reason);
                self.guarded(|| drop(refused));
            }
            _ => {
                self.guarded(|| drop(record));
            }
        }
    }

    /// Runs all hooks on a record.
    fn run_hooks(&self, position: Position, record: &T, reason: EvictReason, sinks: &Sinks<T>) {
        for hook in &sinks.hooks {
            self.guarded(|| hook.call(position, record, reason));
        }
    }

    /// Runs the hooks on a record in its quarantined slot.
    pub(super) fn run_hooks_in_place(&self, number: usize, entry: Quarantined, sinks: &Sinks<T>) {
        let Quarantined { slot, sequence, reason, .. } = entry;
        // SAFETY: the record is published. This thread pinned its slot while it held the indexer
        // lock and the record was in place, so every later holder of the lock finds the pin
        // (invariant 1).
        unsafe {
            self.shards[number].slots.at(slot).read(|record| {
                self.run_hooks(Position::new(number, sequence), record, reason, sinks)
            });
        }
    }

    /// Takes the indexer locks of all shards. Returns them with the number of records that have left
    /// their slots, or are leaving them: those that a stream opened now does not receive. The others
    /// it is sent, unless it misses them.
    ///
    /// Waits for the threads that hold the locks. With `may_wait` false, returns `None` instead.
    pub(crate) fn lock_and_count_gone(
        &self,
        may_wait: bool,
    ) -> Option<(Vec<IndexerGuard<'_, T>>, u64)> {
        let lock = |number| match may_wait {
            true => Some(self.lock_indexer(number)),
            false => self.try_lock_indexer(number, false),
        };
        loop {
            let guards: Vec<_> = (0..self.shards.len()).map(lock).collect::<Option<_>>()?;
            let gone = self.count_gone();
            // A thread that has taken a lock over meanwhile may have replaced the slot map and moved
            // the cursors. What the count loads it loads with Acquire, so it sees nothing of that
            // if the lock is still held.
            if guards.iter().all(IndexerGuard::is_current) {
                return Some((guards, gone));
            }
        }
    }

    fn count_gone(&self) -> u64 {
        let count = |shard: &Shard<T>| {
            let (slots, places) = (&shard.slots, shard.slots.slot_map());
            let quarantined = places.quarantined().iter().map(|entry| (entry.slot, entry.sequence));
            let (reclaimed, evicted) = (shard.reclaimed(), shard.evicted());
            let evicted_in_place = (reclaimed..evicted)
                .filter(|&sequence| !places.is_quarantined(sequence))
                .map(|sequence| (places.slot(slots.place(sequence)), sequence));
            let waiting = quarantined
                .chain(evicted_in_place)
                .filter(|&(slot, sequence)| !slots.is_moved_out(slot, sequence));
            let waiting =
                if planted(Fault::WaitingCountedGone) { 0 } else { waiting.count() as u64 };
            evicted.max(reclaimed) - waiting
        };
        self.shards.iter().map(count).sum()
    }
}

/// Returns whether dropping a record does anything.
pub(super) const fn owns_heap<T>() -> bool {
    std::mem::needs_drop::<T>()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::LogRecord;
    use crate::engine::evictions::{Evictions, stream};
    use crate::query::Reader;
    use crate::store::StoreBuilder;
    use std::time::Duration;

    fn open_stream(engine: &Engine<LogRecord>) -> Evictions<LogRecord> {
        let (sender, evictions) = stream(8, &engine.streamed);
        sender.begin(engine.count_gone());
        engine.sinks.update(|sinks| Sinks { stream: Some(sender.clone()), ..sinks.clone() });
        evictions
    }

    /// A thread stalls in a step, which was about to reclaim a record. Before the thread goes on, the
    /// store ends. A reader keeps the record in its slot meanwhile.
    #[test]
    fn a_record_that_is_sent_after_the_store_has_ended_was_not_missed() {
        let patience = Some(Duration::ZERO);
        let engine = Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(1).slack(4).shards(1).patience(patience),
        );
        let evictions = open_stream(&engine);
        engine.push_some(3);
        engine.settle();
        let stalled = (engine.try_lock_indexer(0, false).unwrap(), engine.sinks.load());
        let mut reader = Reader::new(&engine);
        reader.pin(0, 1);
        reader.confirm();
        engine.shards[0].close();
        engine.finish();
        assert_eq!((evictions.try_recv().unwrap().position.sequence(), evictions.missed()), (0, 2));
        drop(reader);
        let (owner, sinks) = stalled;
        let Reclaimed { removed, .. } = engine.reclaim(&owner, 0, Work::ALL, &sinks);
        engine.release_all(0, removed, &sinks);
        drop((owner, sinks));
        assert_eq!(evictions.recv().unwrap().unwrap().position.sequence(), 1);
        assert_eq!(evictions.recv().unwrap(), None, "the stream has ended");
        assert_eq!(evictions.missed(), 1, "the record that was not evicted");
    }

    /// What left before the stream was opened is neither sent nor missed. A record that a reader
    /// has kept in its slot is still to be sent.
    #[test]
    fn a_stream_is_owed_what_is_in_the_slots_when_it_is_opened() {
        let engine =
            Engine::of(&StoreBuilder::<LogRecord>::new().capacity(2).slack(8).shards(1).manual());
        engine.push_some(5);
        engine.settle();
        let mut reader = Reader::new(&engine);
        reader.pin(0, 1);
        reader.confirm();
        while engine.step(0, Work::ALL).unwrap().any() {}
        let evictions = open_stream(&engine);
        engine.push_some(3);
        drop(reader);
        engine.shards[0].close();
        engine.finish();
        let sent: Vec<_> =
            (&evictions).into_iter().map(|evicted| evicted.position.sequence()).collect();
        assert_eq!((&sent[..], evictions.missed()), (&[1, 3, 4, 5][..], 2));
    }
}
