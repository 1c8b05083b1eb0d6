//! Failed allocations. A store that cannot be built returns an error. A store whose index cannot
//! grow scans its unindexed records, and catches up once memory is available.
//!
//! This is a program of its own, without the test harness: the allocator belongs to the whole process,
//! and the harness has a thread that allocates when it likes.

use slipring::error::BuildError;
use slipring::{Index, Key, Signal, Store};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// An allocator that refuses larger allocations than `LARGEST`, and counts the bytes that each thread
/// allocates.
struct Scarce;

static LARGEST: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Of this thread alone: an indexer thread may not have ended yet.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

impl Scarce {
    fn give(layout: Layout, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
        if layout.size() > LARGEST.load(SeqCst) {
            REFUSED.fetch_add(1, SeqCst);
            return std::ptr::null_mut();
        }
        BYTES.set(BYTES.get() + layout.size() as isize);
        allocate()
    }
}

// SAFETY: every method forwards to the system's allocator, or returns null, which reports that no
// memory is available.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the system's allocator, which is the same.
        Self::give(layout, || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Self::give(layout, || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Scarce = Scarce;

struct Sample {
    key: u64,
    _own: Box<u64>,
}

impl Signal for Sample {
    const NAME: &'static str = "sample";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |sample| Some(Key::Int(sample.key)))];

    fn timestamp(&self) -> u64 {
        self.key
    }

    fn heap_bytes(&self) -> usize {
        8
    }
}

fn sample(key: u64) -> Sample {
    Sample { key, _own: Box::new(key) }
}

fn main() {
    a_store_without_memory_is_not_built();
    a_store_goes_on_without_memory_for_its_index();
}

fn a_store_without_memory_is_not_built() {
    let build = || Store::<Sample>::builder().capacity(20_000).shards(2).manual().build();
    drop(build().unwrap());
    let before = BYTES.get();
    // The allocation that fails may be any of the store's parts.
    let (mut largest, mut failed) = (64 << 10, 0);
    let built = loop {
        LARGEST.store(largest, SeqCst);
        let built = build();
        LARGEST.store(usize::MAX, SeqCst);
        match built {
            Ok(store) => break store,
            Err(error) => {
                assert_eq!(
                    error,
                    BuildError::Memory { capacity: 20_000, record_bytes: size_of::<Sample>() }
                );
                assert!(error.to_string().contains("lower the capacity"), "{error}");
            }
        }
        assert_eq!(BYTES.get(), before, "the failed store did not free its memory");
        failed += 1;
        largest += 32 << 10;
    };
    assert!(failed >= 3, "{failed}");
    built.push(sample(1)).unwrap();
    assert_eq!(built.len(), 1);
}

/// Each record has a key of its own, so that the directory has to grow. While it cannot, pushes go on
/// and lookups find what is not indexed.
fn a_store_goes_on_without_memory_for_its_index() {
    const CAPACITY: usize = 20_000;
    for manual in [true, false] {
        let builder = Store::<Sample>::builder().capacity(CAPACITY).shards(1);
        let store = if manual { builder.manual() } else { builder }.build().unwrap();
        let refused = REFUSED.load(SeqCst);
        // Enough for the records' own memory and for evicted records that are not freed yet.
        LARGEST.store(1 << 8, SeqCst);
        // Each record has its own key, and there are more keys than are ever held at once.
        for key in 0..100_000 {
            store.push(sample(key)).unwrap();
        }
        // Enough for a query, and not for a larger directory.
        LARGEST.store(4_000, SeqCst);
        let found = |key: u64| store.query().key("key", key).count().unwrap();
        assert_eq!([0, 79_000, 81_000, 99_999].map(found), [0, 0, 1, 1]);
        LARGEST.store(usize::MAX, SeqCst);
        assert!(REFUSED.load(SeqCst) > refused);
        let lag = store.stats().indexer_lag;
        assert!(!manual || lag > CAPACITY as u64 / 2, "{lag} records are not indexed");
        store.flush().unwrap();
        assert_eq!(store.stats().indexer_lag, 0);
        assert_eq!([0, 79_000, 81_000, 99_999].map(found), [0, 0, 1, 1]);
        store.audit().unwrap();
        let stats = store.stats();
        assert_eq!((stats.offered, stats.evicted.total()), (100_000, 100_000 - CAPACITY as u64));
    }
}
