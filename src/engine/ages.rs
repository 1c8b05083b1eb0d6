//! Notes of how many records had been claimed at which time. Eviction by age reads them.

use crate::sync::{Count, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest time that a record may stay, and the notes that show when it is over.
#[derive(Debug)]
pub(crate) struct Ages {
    pub(crate) max_age: Duration,
    /// A thread that finds this locked skips the work, because the holder does it. No thread blocks
    /// here.
    pub(crate) notes: Mutex<Notes>,
    /// Heap bytes of the notes.
    pub(crate) bytes: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The notes in use, oldest first.
    pub(crate) queue: VecDeque<Note>,
    /// An expired note. The next note reuses its memory.
    pub(crate) spare: Option<Note>,
}

/// How many records each shard had claimed at one time.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) at: Instant,
    pub(crate) claimed: Box<[u64]>,
}

impl Ages {
    pub(crate) fn new(max_age: Duration) -> Self {
        Self { max_age, notes: Mutex::new(Notes::default()), bytes: Count::default() }
    }

    /// Returns the heap bytes of the notes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get() as usize
    }
}

impl Notes {
    /// Computes the heap bytes of the notes.
    pub(crate) fn bytes(&self) -> usize {
        let claims: usize =
            self.queue.iter().chain(&self.spare).map(|note| size_of_val(&*note.claimed)).sum();
        self.queue.capacity() * size_of::<Note>() + claims
    }
}
