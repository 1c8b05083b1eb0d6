//! Sources that were seen before, found again by their bytes.

use crate::signal::WeakPart;
use crate::signal::draft::{Draft, Layout};
use crate::signal::source::{Group, Source};
use crate::sync::ArcSwapOption;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Sources that a table knows at most.
const SLOTS: usize = 1024;

/// Slots that a source may lie in.
const WAYS: usize = 4;

/// Finds sources again, so that a thousand small requests of one process share its resource.
///
/// It holds none of them: a source goes with its last record. A new one takes a slot of one that
/// has gone, or else of any. Nobody waits: of two threads that bring the same new source at once,
/// each may make its own.
pub(crate) struct Known {
    slots: Box<[ArcSwapOption<Slot>]>,
    state: RandomState,
}

struct Slot {
    hash: u64,
    source: WeakPart<Group>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| ArcSwapOption::empty()).collect(),
            state: RandomState::new(),
        }
    }
}

impl Known {
    /// Returns the source with these bytes, within this one: one that somebody holds, or a new one.
    /// O(bytes of the draft).
    pub(super) fn find(&self, draft: &Draft, layout: Layout, origin: Option<&Source>) -> Source {
        let hash = self.state.hash_one((origin.map(Source::address), &draft.bytes));
        let (row, _) = self.slots.as_chunks::<WAYS>();
        let row = &row[hash as usize % row.len()];
        let mut free = None;
        for slot in row {
            let known = slot.load();
            match known.as_ref().filter(|known| known.source.is_held()) {
                Some(known) if known.hash == hash => {
                    let source = known.source.upgrade().map(Source::of_shared);
                    if let Some(source) =
                        source.filter(|source| source.is_of(draft, layout, origin))
                    {
                        return source;
                    }
                }
                Some(_) => {}
                None => free = Some(slot),
            }
        }
        let source = draft.share(layout, origin);
        let slot = free.unwrap_or(&row[(hash >> 32) as usize % WAYS]);
        slot.store(Some(Arc::new(Slot { hash, source: source.shared().downgrade() })));
        source
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
