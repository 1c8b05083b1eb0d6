//! Sources that were seen before, found again by their bytes.

use crate::signal::WeakPart;
use crate::signal::source::{Draft, Group, Source};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Sources that a table knows at most.
const SLOTS: usize = 1024;

/// Finds sources again, so that a thousand small requests of one process share its resource. It holds none of them: a source
/// goes with its last record. One that finds its slot taken takes it.
pub(crate) struct Known {
    slots: Box<[Mutex<Slot>]>,
    state: RandomState,
}

#[derive(Default)]
struct Slot {
    hash: u64,
    source: Option<WeakPart<Group>>,
}

impl Default for Known {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Mutex::default()).collect(), state: RandomState::new() }
    }
}

impl Known {
    /// The source with these bytes: one that somebody holds, or a new one. O(bytes).
    pub(super) fn find(&self, draft: &Draft, origin: Option<&Source>) -> Source {
        let place = origin.map(|origin| std::ptr::from_ref(&**origin.shared()) as usize);
        let hash = self.state.hash_one((place, &draft.bytes));
        let slot = &self.slots[hash as usize % SLOTS];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slot.source.as_ref().filter(|_| slot.hash == hash).and_then(WeakPart::upgrade);
        if let Some(known) = known.map(Source::of_shared)
            && known.is_of(draft, origin)
        {
            return known;
        }
        let source = draft.share(origin);
        *slot = Slot { hash, source: Some(source.shared().downgrade()) };
        source
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
