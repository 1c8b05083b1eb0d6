//! Reclaiming: records that were evicted leave their slots, hooks see them, and they are dropped or handed on.

use super::work::Work;
use crate::engine::evictions::{Outlet, Sinks};
use crate::engine::position::Position;
use crate::engine::reason::EvictReason;
use crate::engine::ring::{MoveOut, Pinner, Quarantined, SlotMap, Slots};
use crate::engine::shard::IndexerGuard;
use crate::engine::state::Engine;
use crate::engine::tuning::{PINS_PER_READER, RECLAIM_BATCH};
use crate::signal::Signal;
use smallvec::SmallVec;
use std::sync::Arc;

/// Records that have left their slots, and hooks have not seen.
pub(super) type Outbox<T> = SmallVec<[Gone<T>; 1]>;

pub(super) struct Gone<T> {
    sequence: u64,
    reason: EvictReason,
    record: T,
    shown: bool,
}

/// What reclaiming has come to.
pub(super) struct Reclaimed<'a, T> {
    pub(super) to: u64,
    pub(super) taken: Outbox<T>,
    /// Records that stay in their slots, which are pinned, until hooks have seen them.
    pub(super) to_show: SmallVec<[Quarantined; PINS_PER_READER]>,
    pub(super) pinner: Option<Pinner<'a>>,
    /// Bytes of what has left, to be given back once it has been dropped.
    pub(super) freed: u64,
}

impl<T> Reclaimed<'_, T> {
    fn is_full(&self) -> bool {
        self.taken.len() == self.taken.capacity()
    }
}

impl<T: Signal> Engine<T> {
    /// Frees the slots of evicted records that no reader may be looking at, and sets the others aside.
    pub(super) fn reclaim(
        &self,
        owner: &IndexerGuard<'_, T>,
        number: usize,
        work: Work,
        sinks: &Sinks<T>,
    ) -> Reclaimed<'_, T> {
        let (shard, from) = (owner.shard(), owner.reclaimed());
        let slots = &shard.slots;
        let takes = owns_heap::<T>() || !sinks.is_empty();
        let most = match takes {
            _ if !sinks.is_empty() && !work.shows => 0,
            true if sinks.is_empty() => most_taken::<T>(work.drops),
            // Hooks and the stream see what is evicted without delay.
            true => most_taken::<T>(work.drops.max(RECLAIM_BATCH)),
            false => work.reclaim,
        };
        // Of a holder that was relieved, the one cursor may be older than the other.
        let to = owner.evicted().min(from.saturating_add(most)).max(from);
        let mut reclaimed =
            Reclaimed { to: from, taken: Outbox::new(), to_show: SmallVec::new(), pinner: None, freed: 0 };
        let aside = if most > 0 { slots.count_quarantined() } else { 0 };
        if from == to && aside == 0 {
            return reclaimed;
        }
        // Without memory for more, one record goes at a time.
        let room = (to - from) as usize + aside;
        let is_short = takes && reclaimed.taken.try_reserve(room).is_err();
        let to = if is_short { to.min(from + 1) } else { to };
        let pinned = self.pins.scan(number);
        let mut changed: Option<(Arc<SlotMap>, SlotMap)> = None;
        let begin = || {
            let places = slots.slot_map();
            let new = SlotMap::clone(&places);
            (places, new)
        };
        if slots.any_moved() {
            changed = Some(begin());
        }
        // Bytes of what was aside, and of what the cursor passes.
        let (mut freed_quarantined, mut freed) = (0, 0);
        let mut is_changed = false;
        if let Some((_, places)) = &mut changed {
            is_changed |= places.retain_quarantined(|aside| {
                let Quarantined { slot, sequence, reason, shown } = aside;
                let stays = takes && reclaimed.is_full()
                    || pinned.contains(&slot)
                    || match takes {
                        false => !slots.is_free(slot, sequence),
                        // SAFETY: the record was evicted before it was set aside, and no pin names its slot (invariant 1).
                        true => match unsafe { slots.move_out(slot, sequence) } {
                            MoveOut::Record(record) => {
                                reclaimed.taken.push(Gone { sequence, reason, record, shown });
                                false
                            }
                            MoveOut::AlreadyMoved => false,
                            MoveOut::Unavailable => true,
                        },
                    };
                if !stays {
                    freed_quarantined += Slots::<T>::bytes_of(slots.head_at(slot));
                }
                stays
            });
        }
        let mut place = slots.place(from);
        // Where nothing stands in the way, and nothing has to be taken, slots need not be looked at.
        let plain = !takes && changed.is_none() && pinned.is_empty() && from >= owner.index.skipped_to.get();
        if plain && shard.byte_budget.is_none() {
            reclaimed.to = to;
        }
        while reclaimed.to < to && !(takes && reclaimed.is_full()) {
            let sequence = reclaimed.to;
            let slot = changed.as_ref().map_or(place, |(_, places)| places.slot(place));
            // Whoever was relieved may have set it aside.
            let is_quarantined = changed.as_ref().is_some_and(|(_, places)| places.is_quarantined(sequence));
            let is_free = is_quarantined
                || !pinned.contains(&slot)
                    && match takes {
                        false => plain || slots.is_free(slot, sequence),
                        // SAFETY: evicted, and no pin names its slot (invariant 1).
                        true => match unsafe { slots.move_out(slot, sequence) } {
                            MoveOut::Record(record) => {
                                let reason = owner.reason(place);
                                reclaimed.taken.push(Gone { sequence, reason, record, shown: false });
                                true
                            }
                            MoveOut::AlreadyMoved => true,
                            MoveOut::Unavailable => false,
                        },
                    };
            if is_quarantined {
                // Nothing is left to be done.
            } else if is_free {
                if shard.byte_budget.is_some() {
                    freed += Slots::<T>::bytes_of(slots.head_at(slot));
                }
                if let Some((_, places)) = &mut changed {
                    is_changed |= places.restore(place);
                }
            } else {
                let shown = !sinks.hooks.is_empty() && pinned.contains(&slot) && slots.head_at(slot).holds(sequence);
                let aside = Quarantined { slot, sequence, reason: owner.reason(place), shown };
                let (_, places) = changed.get_or_insert_with(begin);
                if shown && reclaimed.to_show.len() == PINS_PER_READER || !places.quarantine(place, aside) {
                    break;
                }
                is_changed = true;
                if shown {
                    reclaimed.to_show.push(aside);
                }
            }
            place = slots.place_after(place, 1);
            reclaimed.to += 1;
        }
        if !reclaimed.to_show.is_empty() {
            // Readers have pinned these slots, and may let go before hooks have seen the records.
            let pinner = self.pins.register();
            for (word, aside) in reclaimed.to_show.iter().enumerate() {
                pinner.pin(word, number, aside.slot);
            }
            pinner.confirm();
            reclaimed.pinner = Some(pinner);
        }
        // Whoever takes_over this holder either is seen here, or sees the pins when it scans them.
        let served = match changed {
            Some((before, places)) if is_changed => owner.replace_slot_map(&before, places),
            _ => true,
        };
        if !served {
            reclaimed.to_show.clear();
            (reclaimed.to, freed_quarantined) = (from, 0);
        }
        if reclaimed.to == from || !owner.reclaim(from, reclaimed.to) {
            (reclaimed.to, freed) = (from, 0);
        }
        reclaimed.freed = freed + freed_quarantined;
        reclaimed
    }

    /// Shows a record that has left its slot to the hooks, and hands it on or drops it, once, whatever panics.
    pub(super) fn release(&self, number: usize, gone: Gone<T>, sinks: &Sinks<T>) {
        let Gone { sequence, reason, record, shown } = gone;
        let position = Position::new(number, sequence);
        if !shown {
            self.run_hooks(position, &record, reason, sinks);
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

    fn run_hooks(&self, position: Position, record: &T, reason: EvictReason, sinks: &Sinks<T>) {
        for hook in &sinks.hooks {
            self.guarded(|| hook(position, record, reason));
        }
    }

    /// Shows hooks a record that was set aside, in place.
    pub(super) fn run_hooks_in_place(&self, number: usize, aside: Quarantined, sinks: &Sinks<T>) {
        let Quarantined { slot, sequence, reason, .. } = aside;
        // SAFETY: it is published; this thread pinned its slot while it held the token and the record was in place, so whoever
        // took the token after that finds the pin (invariant 1).
        unsafe {
            self.shards[number]
                .slots
                .read(slot, |record| self.run_hooks(Position::new(number, sequence), record, reason, sinks));
        }
    }

    /// Counts the records that a stream does not get, because a reader looks at them when the store ends.
    pub(crate) fn count_missed_in_quarantine(&self) {
        let sinks = self.sinks.load();
        for shard in &self.shards {
            let places = shard.slots.slot_map();
            let held =
                places.quarantined().iter().filter(|aside| !shard.slots.is_moved_out(aside.slot, aside.sequence));
            held.for_each(|_| sinks.stream.iter().for_each(Outlet::miss));
        }
        self.guarded(|| drop(sinks));
    }
}

/// How many records are moved out at a time: 64 KiB of them at most, and one at least.
fn most_taken<T>(wanted: u64) -> u64 {
    let fitting = (65_536 / size_of::<T>().max(1)).max(1) as u64;
    wanted.min(fitting)
}

/// Whether dropping a record does anything.
pub(super) const fn owns_heap<T>() -> bool {
    std::mem::needs_drop::<T>()
}
