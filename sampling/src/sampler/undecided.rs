//! Undecided traces: a table by trace id, and lists through its entries.

use super::packed::Packed;
use crate::threshold::Randomness;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use slipring::{Source, Span, TraceId};
use std::hash::BuildHasher;

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// The lists in which an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// All entries, by the arrival of their first spans.
    Age,
    /// Those of a service, likewise.
    Share,
    /// Those that are looked at in the same turn of the wheel.
    Wheel,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    before: u32,
    after: u32,
}

/// The ends of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

/// A trace that is not decided.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: TraceId,
    pub(super) spans: Packed,
    /// The bytes that are charged for it.
    pub(super) bytes: usize,
    /// The arrival of the first span and of the last, in nanoseconds of the sampler's clock.
    pub(super) first: u64,
    pub(super) last: u64,
    /// What its spans have shown: the longest duration, the tests that one of them has passed, and
    /// the explicit randomness.
    pub(super) longest: u64,
    pub(super) marks: u64,
    pub(super) randomness: Option<Randomness>,
    /// The number of the source and the name of the root or, without one, of the span that came
    /// first, if the policies ask for it.
    pub(super) operation: Option<(u32, Box<str>)>,
    /// The root's duration, if there is a root.
    pub(super) root: Option<u64>,
    /// The service whose share it takes.
    pub(super) service: u32,
    /// The slot of the wheel.
    pub(super) slot: u32,
    /// The number of the last batch that had spans of it.
    pub(super) batch: u32,
    links: [Links; 3],
}

impl Entry {
    /// Finds the operation among all spans, if it is asked for. Returns the bytes that its name
    /// takes more than the one before.
    pub(super) fn set_operation(&mut self, spans: &[Span], is_asked: bool) -> usize {
        let before = self.name_bytes();
        let root = spans.iter().find(|span| span.parent_span_id().is_none());
        let span = root.or(spans.first()).filter(|_| is_asked);
        self.operation = span.map(|span| {
            let is_it = |source: &Source| source.ptr_eq(span.source());
            let number = self.spans.sources().iter().position(is_it).unwrap_or(0);
            (number as u32, span.name().into())
        });
        self.name_bytes().saturating_sub(before)
    }

    /// Returns the bytes of the operation's name.
    pub(super) fn name_bytes(&self) -> usize {
        self.operation.as_ref().map_or(0, |(_, name)| name.len())
    }
}

/// Entries by number, which is reused.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    state: RandomState,
}

/// The bytes that an entry takes, with its part of the index and of the list of free numbers, and
/// what an allocator adds to two allocations.
pub(super) const ENTRY: usize = size_of::<Option<Entry>>() + 16 + 32;

impl Undecided {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, id: TraceId) -> Option<u32> {
        let hash = self.state.hash_one(id);
        let is_it = |&at: &u32| self.entries[at as usize].as_ref().is_some_and(|one| one.id == id);
        self.index.find(hash, is_it).copied()
    }

    /// Adds an entry for a trace that has none, in no list yet.
    pub(super) fn add(&mut self, id: TraceId, now: u64, service: u32) -> u32 {
        let links = [Links { before: NONE, after: NONE }; 3];
        let entry = Entry {
            id,
            spans: Packed::default(),
            bytes: 0,
            first: now,
            last: now,
            longest: 0,
            marks: 0,
            randomness: None,
            operation: None,
            root: None,
            service,
            slot: NONE,
            batch: 0,
            links,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            if self.entries.len() == self.entries.capacity() {
                // In steps, so that growth takes little more than there is.
                self.entries.reserve_exact((self.entries.len() / 8).max(64));
            }
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        self.entries[at as usize] = Some(entry);
        let (entries, state) = (&self.entries, &self.state);
        let rehash =
            |&at: &u32| entries[at as usize].as_ref().map_or(0, |entry| state.hash_one(entry.id));
        self.index.insert_unique(state.hash_one(id), at, rehash);
        at
    }

    /// Removes an entry, which must be in no list any more.
    pub(super) fn remove(&mut self, at: u32) -> Entry {
        let entry = self.entries[at as usize].take().expect("an entry in use");
        let hash = self.state.hash_one(entry.id);
        if let Ok(found) = self.index.find_entry(hash, |&place| place == at) {
            found.remove();
        }
        self.free.push(at);
        entry
    }

    /// Returns the service whose share an entry takes, if the number is in use.
    pub(super) fn share_of(&self, at: u32) -> Option<u32> {
        self.entries[at as usize].as_ref().map(|entry| entry.service)
    }

    pub(super) fn get(&self, at: u32) -> &Entry {
        self.entries[at as usize].as_ref().expect("an entry in use")
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Entry {
        self.entries[at as usize].as_mut().expect("an entry in use")
    }

    fn links(&mut self, at: u32, order: Order) -> &mut Links {
        &mut self.get_mut(at).links[order as usize]
    }

    /// Appends an entry to a list of this order, in which it is not.
    pub(super) fn append(&mut self, list: &mut List, order: Order, at: u32) {
        *self.links(at, order) = Links { before: list.last, after: NONE };
        match list.last {
            NONE => list.first = at,
            last => self.links(last, order).after = at,
        }
        list.last = at;
    }

    /// Returns the entry after this one in its list of this order.
    pub(super) fn after(&self, order: Order, at: u32) -> u32 {
        self.get(at).links[order as usize].after
    }

    /// Takes an entry out of its list of this order.
    pub(super) fn unlink(&mut self, list: &mut List, order: Order, at: u32) {
        let Links { before, after } = *self.links(at, order);
        match before {
            NONE => list.first = after,
            before => self.links(before, order).after = after,
        }
        match after {
            NONE => list.last = before,
            after => self.links(after, order).before = before,
        }
    }
}
