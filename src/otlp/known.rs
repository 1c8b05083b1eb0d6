//! A table of sources that were seen before, looked up by their bytes.

use crate::signal::WeakPart;
use crate::signal::draft::{Draft, Layout};
use crate::signal::source::{Group, Source};
use crate::sync::ArcSwapOption;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The maximum number of sources in a table.
const SLOTS: usize = 1024;

/// The number of slots that a source may occupy (the table is set-associative).
const WAYS: usize = 4;

/// Looks up sources by their bytes, so that many small requests of one process share its resource.
///
/// The table does not keep sources alive: a source is freed with its last record. A new source
/// takes the slot of a freed one, or else replaces another. Lookups never wait. If two threads
/// bring the same new source at once, each may create its own.
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
    /// Returns the source with these bytes and this origin: one that is still held, or a new one.
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
