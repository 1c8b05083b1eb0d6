//! Records that check their own integrity, count themselves, and panic on request.

use slipring::{Index, Key, Signal};
use std::borrow::Cow;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

/// The number of samples that this process has created, clones included, and dropped. The counts
/// are spread over cache lines, because every thread updates them constantly.
struct Census([Line; LINES]);

#[repr(align(128))]
struct Line {
    made: AtomicU64,
    dropped: AtomicU64,
}

const LINES: usize = 32;

static CENSUS: Census =
    Census([const { Line { made: AtomicU64::new(0), dropped: AtomicU64::new(0) } }; LINES]);

thread_local!(static LINE: Cell<usize> = const { Cell::new(usize::MAX) });

impl Census {
    fn line(&self) -> &Line {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut line = LINE.get();
        if line == usize::MAX {
            line = NEXT.fetch_add(1, Relaxed) as usize % LINES;
            LINE.set(line);
        }
        &self.0[line]
    }
}

/// Returns the number of live samples. It is exact once no thread makes or drops any.
pub fn alive() -> u64 {
    let sum = |count: fn(&Line) -> &AtomicU64| {
        CENSUS.0.iter().map(|line| count(line).load(Relaxed)).sum::<u64>()
    };
    sum(|line| &line.made).wrapping_sub(sum(|line| &line.dropped))
}

/// The place where a panic is injected: in a sample's own code, or in code that uses samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Key,
    Clone,
    Drop,
    Hook,
    Filter,
    Visit,
    Thread,
}

const TROUBLES: usize = Trouble::Thread as usize + 1;

static INJECTED: [AtomicU64; TROUBLES] = [const { AtomicU64::new(0) }; TROUBLES];

/// Panics without calling the panic hook, since the panic is intended.
pub fn injected(place: Trouble) -> ! {
    INJECTED[place as usize].fetch_add(1, Relaxed);
    resume_unwind(Box::new("injected"))
}

/// Returns the number of panics injected so far, by place.
pub fn injections() -> [u64; TROUBLES] {
    INJECTED.each_ref().map(|count| count.load(Relaxed))
}

#[derive(Debug)]
pub struct Sample<const BODY: usize = 0> {
    /// See [`Sample::numbered`].
    pub number: u64,
    pub key: u64,
    pub name: Cow<'static, str>,
    pub time: u64,
    pub trouble: Option<Trouble>,
    check: u64,
    body: [u8; BODY],
}

/// The number of low bits of a sample's number that count its producer's samples.
const COUNTED: u32 = 40;

fn check(number: u64, key: u64, time: u64, name: &str) -> u64 {
    let mixed =
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ key.rotate_left(17) ^ time.rotate_left(43);
    let bytes = name.as_bytes();
    mixed
        .wrapping_add(bytes.len() as u64)
        .wrapping_add(u64::from(bytes.last().copied().unwrap_or_default()))
}

impl<const BODY: usize> Sample<BODY> {
    pub fn new(number: u64, key: u64, name: impl Into<Cow<'static, str>>, time: u64) -> Self {
        CENSUS.line().made.fetch_add(1, Relaxed);
        let name = name.into();
        let check = check(number, key, time, &name);
        Self { number, key, name, time, trouble: None, check, body: [number as u8; BODY] }
    }

    /// Combines a producer's number and the count of its samples into a sample's number.
    pub fn numbered(producer: u64, count: u64) -> u64 {
        producer << COUNTED | count
    }

    pub fn troubled(mut self, trouble: Trouble) -> Self {
        self.trouble = Some(trouble);
        self
    }

    /// Returns the sample itself, when its keys are read.
    fn keyed(&self) -> &Self {
        if self.trouble == Some(Trouble::Key) {
            injected(Trouble::Key);
        }
        self
    }

    /// Returns whether all parts of the sample belong to the same record.
    pub fn is_whole(&self) -> bool {
        self.check == check(self.number, self.key, self.time, &self.name) && self.is_body_whole()
    }

    /// Compares each byte of the body with the one before it. That is fast without optimizations
    /// too: a producer that spends its time here is rarely suspended while it publishes.
    fn is_body_whole(&self) -> bool {
        let Some((last, others)) = self.body.split_last() else { return true };
        *last == self.number as u8 && *others == self.body[1..]
    }
}

impl<const BODY: usize> Clone for Sample<BODY> {
    fn clone(&self) -> Self {
        if self.trouble == Some(Trouble::Clone) {
            injected(Trouble::Clone);
        }
        CENSUS.line().made.fetch_add(1, Relaxed);
        Self { name: self.name.clone(), ..*self }
    }
}

impl<const BODY: usize> Drop for Sample<BODY> {
    fn drop(&mut self) {
        assert!(self.is_whole(), "record {:#x} is not whole when dropped", self.number);
        // Makes a double drop detectable.
        self.check = !self.check;
        CENSUS.line().dropped.fetch_add(1, Relaxed);
        // A second panic during unwinding would abort the process.
        if self.trouble == Some(Trouble::Drop) && !thread::panicking() {
            injected(Trouble::Drop);
        }
    }
}

impl<const BODY: usize> Signal for Sample<BODY> {
    const NAME: &'static str = "sample";
    type Indexes = [Index<Self>; 2];
    const INDEXES: Self::Indexes = [
        Index::new("key", |sample| Some(Key::Int(sample.keyed().key))),
        Index::new("name", |sample| Some(Key::Text(&sample.keyed().name))),
    ];

    fn timestamp(&self) -> u64 {
        self.time
    }

    fn heap_bytes(&self) -> usize {
        match &self.name {
            Cow::Borrowed(_) => 0,
            Cow::Owned(name) => name.capacity(),
        }
    }

    fn is_error(&self) -> bool {
        self.number % 100 == 7
    }
}
