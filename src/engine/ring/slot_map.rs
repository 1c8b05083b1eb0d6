//! Which slot serves which place of a ring, where that is not the place's own.
//!
//! Somebody may sleep over a slot whose turn has come to be written again: a producer that has claimed it and not published, a
//! reader that has pinned it, a thread that is moving its record out. The token holder then sets the slot *aside*: a spare slot
//! serves the place from then on, and the ring goes on. Once the sleeper has let go, what is left in the slot is dropped, and
//! the slot is free again. A place goes back to its own slot at its next turn after that.
//!
//! The idea that an entry of a ring names its slot, so that a stalled entry is skipped while its payload stays with its owner, is
//! that of SCQ (Nikolaev, DISC 2019) and wCQ (Nikolaev and Ravindran, SPAA 2022). Here only the exceptions are named, so that a
//! push and a lookup pay nothing for it while nobody sleeps.
//!
//! The value never changes; the token holder replaces it whole, by a compare-and-swap. A holder that was relieved while it slept
//! fails to, because its successor has replaced the value first.

use crate::engine::reason::EvictReason;

/// A slot that somebody sleeps over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quarantined {
    pub(crate) slot: usize,
    pub(crate) sequence: u64,
    pub(crate) reason: EvictReason,
    /// Whether hooks have seen the record.
    pub(crate) shown: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SlotMap {
    places: usize,
    /// SlotMap that are served by another slot, and which.
    moved: Vec<(usize, usize)>,
    /// Spare slots that serve no place and hold nothing.
    free: Vec<usize>,
    quarantined: Vec<Quarantined>,
}

impl SlotMap {
    pub(crate) fn new(places: usize, spares: usize) -> Self {
        Self { places, moved: Vec::new(), free: (places..places + spares).collect(), quarantined: Vec::new() }
    }

    /// Whether each place is served by its own slot, and nobody sleeps over any.
    pub(crate) fn is_plain(&self) -> bool {
        self.moved.is_empty() && self.quarantined.is_empty()
    }

    /// Slots that somebody sleeps over.
    pub(crate) fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    pub(crate) fn slot(&self, place: usize) -> usize {
        self.moved.iter().find(|moved| moved.0 == place).map_or(place, |moved| moved.1)
    }

    pub(crate) fn own_from(&self, place: usize, most: u64) -> u64 {
        let ahead = |moved: &(usize, usize)| (moved.0 + self.places - place) % self.places;
        self.moved.iter().map(|moved| ahead(moved) as u64).fold(most, u64::min)
    }

    /// Lets another slot serve this place, until whoever sleeps over its slot has let go; whether there was one to be had.
    pub(crate) fn quarantine(&mut self, place: usize, aside: Quarantined) -> bool {
        let is_own = aside.slot == place;
        if !is_own && !self.holds_aside(place) {
            self.moved.retain(|moved| moved.0 != place);
        } else if let Some(spare) = self.free.pop() {
            self.moved.retain(|moved| moved.0 != place);
            self.moved.push((place, spare));
        } else {
            return false;
        }
        self.quarantined.push(aside);
        true
    }

    fn holds_aside(&self, slot: usize) -> bool {
        self.quarantined.iter().any(|aside| aside.slot == slot)
    }

    /// Whether this sequence's slot has been set aside.
    pub(crate) fn is_quarantined(&self, sequence: u64) -> bool {
        self.quarantined.iter().any(|aside| aside.sequence == sequence)
    }

    /// The slot of a place is free: its own serves the place from now on, if nobody sleeps over that. Whether anything changed.
    pub(crate) fn go_home(&mut self, place: usize) -> bool {
        let Some(at) = self.moved.iter().position(|moved| moved.0 == place) else { return false };
        if self.holds_aside(place) {
            return false;
        }
        let (_, spare) = self.moved.swap_remove(at);
        self.free.push(spare);
        true
    }

    /// Keeps aside the slots of which this is true; the others are free. Whether there were any.
    pub(crate) fn retain_quarantined(&mut self, mut keep: impl FnMut(Quarantined) -> bool) -> bool {
        let before = self.quarantined.len();
        let (places, free) = (self.places, &mut self.free);
        self.quarantined.retain(|aside| {
            let stays = keep(*aside);
            if !stays && aside.slot >= places {
                free.push(aside.slot);
            }
            stays
        });
        self.quarantined.len() < before
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::reason::EvictReason::Capacity;

    fn quarantined(slot: usize, sequence: u64) -> Quarantined {
        Quarantined { slot, sequence, reason: Capacity, shown: false }
    }

    #[test]
    fn a_spare_serves_a_place_until_its_own_slot_is_free() {
        let mut places = SlotMap::new(4, 2);
        assert!(places.is_plain());
        assert!(places.quarantine(1, quarantined(1, 1)));
        let spare = places.slot(1);
        assert!(spare >= 4 && places.slot(0) == 0 && !places.is_plain());
        assert_eq!([places.own_from(0, 9), places.own_from(1, 9), places.own_from(2, 2)], [1, 0, 2]);
        assert_eq!(places.own_from(3, 9), 2, "around the ring");
        assert!(!places.go_home(1), "somebody sleeps over it");
        assert!(places.retain_quarantined(|_| false));
        assert_eq!(places.slot(1), spare, "until its next turn");
        assert!(places.go_home(1) && places.is_plain() && !places.go_home(1));
    }

    #[test]
    fn several_sleep_over_one_place_one_after_the_other() {
        let mut places = SlotMap::new(4, 2);
        assert!(places.quarantine(1, quarantined(1, 1)));
        let first = places.slot(1);
        assert!(places.quarantine(1, quarantined(first, 5)));
        let second = places.slot(1);
        assert!(second >= 4 && second != first);
        assert!(!places.quarantine(1, quarantined(second, 9)), "there are two spare slots");
        assert_eq!((places.slot(1), places.quarantined().len()), (second, 2));
        // The first sleeper wakes: the place's own slot can take over from the third.
        assert!(places.retain_quarantined(|aside| aside.slot != 1));
        assert!(places.quarantine(1, quarantined(second, 9)));
        assert_eq!(places.slot(1), 1);
        assert!(!places.is_plain(), "two sleep over spare slots");
        assert!(places.retain_quarantined(|_| false) && places.is_plain());
        assert!(
            places.quarantine(0, quarantined(0, 12)) && places.quarantine(3, quarantined(3, 15)),
            "both spares are free again"
        );
    }
}
