//! Notes of how many records had been claimed when: what eviction by age goes by.

use crate::sync::{Count, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long records may stay, and notes of how many there were when.
#[derive(Debug)]
pub(crate) struct Ages {
    pub(crate) most: Duration,
    /// Whoever finds it locked leaves the notes to whoever has it: nobody waits here.
    pub(crate) notes: Mutex<Notes>,
    /// Bytes that the notes have on the heap.
    pub(crate) bytes: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Oldest first.
    pub(crate) taken: VecDeque<Note>,
    /// A note that is not needed any more, for the next one's use.
    pub(crate) spare: Option<Note>,
}

/// How many records had been claimed in each shard at some time.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) at: Instant,
    pub(crate) claimed: Box<[u64]>,
}

impl Ages {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, notes: Mutex::new(Notes::default()), bytes: Count::default() }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get() as usize
    }
}

impl Notes {
    pub(crate) fn bytes(&self) -> usize {
        let each: usize = self.taken.iter().chain(&self.spare).map(|note| size_of_val(&*note.claimed)).sum();
        self.taken.capacity() * size_of::<Note>() + each
    }
}
