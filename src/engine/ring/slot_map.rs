//! The slot map: which slot serves which place of a ring, where that is not the place's own slot.
//!
//! A slot may still be in use when its place's next turn comes: by a producer that has claimed it
//! and not published, by a reader that has pinned it, or by a thread that is moving its record out.
//! The holder of the indexer lock then *quarantines* the slot. A spare slot serves the place from
//! then on, and the ring goes on. Once the stalled thread has finished with the quarantined slot,
//! the record that is left in it is dropped, and the slot is free again. The place returns to its
//! own slot at its next turn after that.
//!
//! That an entry of a ring names its slot, so that a stalled entry is skipped while its payload
//! stays with its owner, is the idea of SCQ (Ruslan Nikolaev, *A Scalable, Portable, and
//! Memory-Efficient Lock-Free FIFO Queue*, DISC 2019) and wCQ (Ruslan Nikolaev and Binoy Ravindran,
//! *wCQ: A Fast Wait-Free Queue with Bounded Memory Usage*, SPAA 2022). This map names only the
//! exceptions, so that pushes and lookups pay nothing while no slot is quarantined.
//!
//! A map is immutable. The holder of the indexer lock replaces it as a whole, by a
//! compare-and-swap. That of a stalled holder fails, because its successor has already replaced the
//! map.

use crate::engine::reason::EvictReason;

/// A slot that a stalled thread still uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quarantined {
    pub(crate) slot: usize,
    pub(crate) sequence: u64,
    pub(crate) reason: EvictReason,
    /// Whether hooks have already seen the record.
    pub(crate) shown: bool,
}

/// The slot map of one shard.
#[derive(Clone, Debug)]
pub(crate) struct SlotMap {
    places: usize,
    /// The places that another slot serves, each with that slot.
    moved: Vec<(usize, usize)>,
    /// Spare slots that serve no place and hold no record.
    free: Vec<usize>,
    quarantined: Vec<Quarantined>,
}

impl SlotMap {
    pub(crate) fn new(places: usize, spares: usize) -> Self {
        Self {
            places,
            moved: Vec::new(),
            free: (places..places + spares).collect(),
            quarantined: Vec::new(),
        }
    }

    /// Returns whether each place is served by its own slot and no slot is quarantined.
    pub(crate) fn is_identity(&self) -> bool {
        self.moved.is_empty() && self.quarantined.is_empty()
    }

    /// Returns the quarantined slots.
    pub(crate) fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// Returns the slot that serves a place.
    pub(crate) fn slot(&self, place: usize) -> usize {
        self.moved.iter().find(|moved| moved.0 == place).map_or(place, |moved| moved.1)
    }

    /// Returns how many consecutive places from this one on, at most `most`, use their own slots.
    pub(crate) fn own_slot_run(&self, place: usize, most: u64) -> u64 {
        let distance = |moved: &(usize, usize)| (moved.0 + self.places - place) % self.places;
        self.moved.iter().map(|moved| distance(moved) as u64).fold(most, u64::min)
    }

    /// Quarantines the slot that serves a place and lets another slot serve the place.
    ///
    /// Returns false if there is no other slot for it.
    pub(crate) fn quarantine(&mut self, place: usize, quarantined: Quarantined) -> bool {
        let is_own = quarantined.slot == place;
        if !is_own && !self.is_slot_quarantined(place) {
            self.moved.retain(|moved| moved.0 != place);
        } else if let Some(spare) = self.free.pop() {
            self.moved.retain(|moved| moved.0 != place);
            self.moved.push((place, spare));
        } else {
            return false;
        }
        self.quarantined.push(quarantined);
        true
    }

    fn is_slot_quarantined(&self, slot: usize) -> bool {
        self.quarantined.iter().any(|one| one.slot == slot)
    }

    /// Returns whether the slot of this sequence is quarantined.
    pub(crate) fn is_quarantined(&self, sequence: u64) -> bool {
        self.quarantined.iter().any(|one| one.sequence == sequence)
    }

    /// Lets a place be served by its own slot again, if that is not quarantined.
    ///
    /// The place's present slot is free. Returns whether anything changed.
    pub(crate) fn restore(&mut self, place: usize) -> bool {
        let Some(at) = self.moved.iter().position(|moved| moved.0 == place) else { return false };
        if self.is_slot_quarantined(place) {
            return false;
        }
        let (_, spare) = self.moved.swap_remove(at);
        self.free.push(spare);
        true
    }

    /// Keeps the quarantined slots for which `keep` returns true and frees the others.
    ///
    /// Returns whether any were freed.
    pub(crate) fn retain_quarantined(&mut self, mut keep: impl FnMut(Quarantined) -> bool) -> bool {
        let before = self.quarantined.len();
        let (places, free) = (self.places, &mut self.free);
        self.quarantined.retain(|quarantined| {
            let keeps = keep(*quarantined);
            if !keeps && quarantined.slot >= places {
                free.push(quarantined.slot);
            }
            keeps
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
    fn a_spare_slot_serves_a_place_until_the_places_own_slot_is_free() {
        let mut places = SlotMap::new(4, 2);
        assert!(places.is_identity());
        assert!(places.quarantine(1, quarantined(1, 1)));
        let spare = places.slot(1);
        assert!(spare >= 4 && places.slot(0) == 0 && !places.is_identity());
        assert_eq!(
            [places.own_slot_run(0, 9), places.own_slot_run(1, 9), places.own_slot_run(2, 2)],
            [1, 0, 2]
        );
        assert_eq!(places.own_slot_run(3, 9), 2, "the run wraps around the ring");
        assert!(!places.restore(1), "the place's own slot is quarantined");
        assert!(places.retain_quarantined(|_| false));
        assert_eq!(places.slot(1), spare, "the place moves at its next turn");
        assert!(places.restore(1) && places.is_identity() && !places.restore(1));
    }

    #[test]
    fn one_place_can_have_several_quarantined_slots() {
        let mut places = SlotMap::new(4, 2);
        assert!(places.quarantine(1, quarantined(1, 1)));
        let first = places.slot(1);
        assert!(places.quarantine(1, quarantined(first, 5)));
        let second = places.slot(1);
        assert!(second >= 4 && second != first);
        assert!(!places.quarantine(1, quarantined(second, 9)), "there are only two spare slots");
        assert_eq!((places.slot(1), places.quarantined().len()), (second, 2));
        // The first quarantined slot is freed: the place's own slot can replace the second spare.
        assert!(places.retain_quarantined(|quarantined| quarantined.slot != 1));
        assert!(places.quarantine(1, quarantined(second, 9)));
        assert_eq!(places.slot(1), 1);
        assert!(!places.is_identity(), "two spare slots are quarantined");
        assert!(places.retain_quarantined(|_| false) && places.is_identity());
        assert!(
            places.quarantine(0, quarantined(0, 12)) && places.quarantine(3, quarantined(3, 15)),
            "both spares are free again"
        );
    }
}
