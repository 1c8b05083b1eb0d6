//! Whose shard it is: a hint to producers, so that the lines of a shard, and what its records own on the heap, stay with
//! one core. Nothing depends on it but speed.

use crate::sync::Count;

/// Who pushes to a shard as a rule, and who came last without doing so.
#[derive(Debug, Default)]
pub(super) struct Home {
    /// 0: nobody yet.
    owner: Count,
    /// 0: the owner has begun a run here since.
    guest: Count,
}

impl Home {
    /// Whether this producer is at home here, or might be.
    pub(super) fn welcomes(&self, producer: u64) -> bool {
        let owner = self.owner.get();
        owner == 0 || owner == producer
    }

    /// A producer begins a run where it has been.
    pub(super) fn stay(&self, producer: u64) {
        if self.guest.get() != 0 && self.owner.get() == producer {
            self.guest.set(0);
        }
    }

    /// A producer comes here. It becomes the owner if there is none, or if the owner has not begun a run here
    /// since its last visit.
    pub(super) fn enter(&self, producer: u64) {
        let owner = self.owner.get();
        if owner == producer {
            self.stay(producer);
        } else if owner == 0 || self.guest.get() == producer {
            self.owner.set(producer);
            self.guest.set(0);
        } else {
            self.guest.set(producer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_moves_in_where_the_owner_stays_away() {
        let home = Home::default();
        assert!(home.welcomes(1) && home.welcomes(2));
        home.enter(1);
        assert!(home.welcomes(1) && !home.welcomes(2));
        for _ in 0..3 {
            home.enter(2);
            assert!(!home.welcomes(2), "one visit is none");
            home.enter(1);
        }
        assert!(home.welcomes(1), "the owner has come back after each visit");
        home.enter(2);
        home.enter(2);
        assert!(home.welcomes(2) && !home.welcomes(1));
    }

    #[test]
    fn only_the_owner_sends_a_guest_away_by_staying() {
        let home = Home::default();
        home.enter(1);
        home.enter(2);
        home.stay(1);
        home.enter(2);
        assert!(home.welcomes(1), "the owner has begun a run since the first visit");
        home.stay(2);
        home.stay(3);
        home.enter(2);
        assert!(home.welcomes(2), "nobody but guests has");
    }
}
