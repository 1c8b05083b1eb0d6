//! A hashed timer wheel (Varghese and Lauck, *Hashed and Hierarchical Timing Wheels*, 1987).

use super::undecided::{List, NONE, Order, Undecided};

/// The number of slots.
const SLOTS: u64 = 512;

/// Entries by the time at which they are looked at next. An entry whose time moves on stays where
/// it is until it is looked at, so that a span costs the wheel nothing.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Box<[List]>,
    /// Nanoseconds of a turn from one slot to the next.
    tick: u64,
    /// The number of the last tick that is done.
    done: u64,
}

impl Wheel {
    /// Makes a wheel for these times, in nanoseconds. A round of it lasts as long as the longer
    /// one, unless decisions would then be late by more than a part of the shorter one. Entries
    /// that are due after a round are looked at once in each.
    pub(super) fn new(quiet: u64, timeout: u64) -> Self {
        let round = quiet.max(timeout) / (SLOTS - 2);
        let tick = round.min(quiet.min(timeout) / 32).max(1_000_000);
        Self { slots: vec![List::default(); SLOTS as usize].into(), tick, done: 0 }
    }

    /// Puts an entry into the slot for this time, and at the latest into the last slot of this
    /// round.
    pub(super) fn add(&mut self, undecided: &mut Undecided, at: u32, due: u64) {
        let tick = due.div_ceil(self.tick).clamp(self.done + 1, self.done + SLOTS - 1);
        let slot = (tick % SLOTS) as u32;
        undecided.append(&mut self.slots[slot as usize], Order::Wheel, at);
        undecided.get_mut(at).slot = slot;
    }

    pub(super) fn remove(&mut self, undecided: &mut Undecided, at: u32) {
        let slot = std::mem::replace(&mut undecided.get_mut(at).slot, NONE);
        if slot != NONE {
            undecided.unlink(&mut self.slots[slot as usize], Order::Wheel, at);
        }
    }

    /// Moves on by one tick, unless that is after `now`. Takes its entries out of the wheel, into
    /// `looked_at`. Returns whether there was a tick.
    pub(super) fn turn(
        &mut self,
        undecided: &mut Undecided,
        now: u64,
        looked_at: &mut Vec<u32>,
    ) -> bool {
        looked_at.clear();
        let until = now / self.tick;
        if self.done >= until {
            return false;
        }
        // After a long pause one round is enough.
        self.done = (self.done + 1).max(until.saturating_sub(SLOTS - 1));
        let slot = (self.done % SLOTS) as usize;
        while self.slots[slot].first != NONE {
            let at = self.slots[slot].first;
            self.remove(undecided, at);
            looked_at.push(at);
        }
        true
    }

    /// Returns the time of the next tick.
    pub(super) fn next(&self) -> u64 {
        (self.done + 1).saturating_mul(self.tick)
    }
}
