//! A record that counts its drops and misbehaves on request.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod foreign;

use slipring::{Index, Key, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts a test's records: the number created, including clones, and the number dropped.
#[derive(Debug, Default)]
pub struct Census {
    made: AtomicU64,
    dropped: AtomicU64,
}

impl Census {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn alive(&self) -> u64 {
        self.made.load(Ordering::SeqCst) - self.dropped.load(Ordering::SeqCst)
    }

    pub fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }
}

/// The misbehaviour of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// Its key function panics.
    Key,
    /// Its drop panics.
    Drop,
}

#[derive(Debug)]
pub struct Counted {
    pub key: u64,
    pub number: u64,
    pub trouble: Trouble,
    census: Arc<Census>,
}

impl Counted {
    pub fn new(census: &Arc<Census>, key: u64, number: u64) -> Self {
        census.made.fetch_add(1, Ordering::SeqCst);
        Self { key, number, trouble: Trouble::None, census: Arc::clone(census) }
    }

    pub fn troubled(self, trouble: Trouble) -> Self {
        // Not `..self`, because the fields of a type that implements `Drop` cannot be moved out.
        let mut record = self;
        record.trouble = trouble;
        record
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.census, self.key, self.number).troubled(self.trouble)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.census.dropped.fetch_add(1, Ordering::SeqCst);
        if self.trouble == Trouble::Drop && !std::thread::panicking() {
            panic!("a drop that panics");
        }
    }
}

impl Counted {
    fn key(&self, number: u64) -> Key<'_> {
        if self.trouble == Trouble::Key {
            panic!("a key function that panics");
        }
        Key::Int(number)
    }
}

impl Signal for Counted {
    const NAME: &'static str = "counted";
    type Indexes = [Index<Self>; 2];
    const INDEXES: Self::Indexes = [
        Index::new("key", |counted| Some(counted.key(counted.key))),
        Index::new("number", |counted| Some(counted.key(counted.number))),
    ];

    fn timestamp(&self) -> u64 {
        self.number
    }
}
