//! Whose shard it is: a hint to producers, so that the lines of a shard, and what its records own on the heap, stay with
//! one core. Nothing depends on it but speed.

use crate::sync::Count;

/// Who pushes to a shard as a rule, and who came last without doing so.
#[derive(Debug, Default)]
pub(super) struct Home {
    /// 0: nobody yet.
    owner: Count,
    /// 0: the owner has been here since.
    guest: Count,
}

impl Home {
    /// Whether this producer is at home here, or might be.
    pub(super) fn welcomes(&self, producer: u64) -> bool {
        let owner = self.owner.get();
        owner == 0 || owner == producer
    }

    /// A producer begins to push here. It becomes the owner if there is none, or if the owner has not come back since its
    /// last visit.
    pub(super) fn enter(&self, producer: u64) {
        let guest = self.guest.get();
        if self.owner.get() == producer {
            if guest != 0 {
                self.guest.set(0);
            }
        } else if self.owner.get() == 0 || guest == producer {
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
            home.enter(1);
        }
        assert!(home.welcomes(1), "the owner has come back after each visit");
        home.enter(2);
        home.enter(2);
        assert!(home.welcomes(2) && !home.welcomes(1));
    }
}
