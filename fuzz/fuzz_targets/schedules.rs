//! Calls of several threads on one store at once: whatever the schedule, the audit and the books
//! are right afterwards, and no answer shows what was not asked for. Under AddressSanitizer, a
//! record that is read after its slot was given up is found out.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use slipring::store::Evictions;
use slipring::{Index, Key, OnFull, Position, Signal, Store};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Shape {
    capacity: u8,
    shards: u8,
    slack: u8,
    rejects: bool,
    manual: bool,
    narrow: bool,
    hooked: bool,
    class: bool,
    bytes: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Call {
    Push { key: u8 },
    TryPush { key: u8 },
    Batch { key: u8, records: u8 },
    Lookup { key: u8, limit: u8 },
    Visit { key: u8 },
    Count,
    Get { back: u8 },
    Since { back: u8 },
    Bookmark,
    Keys,
    Clear,
    Flush,
    Step,
    Audit,
    Stats,
    Subscribe { buffer: u8 },
    Receive,
    Leave,
}

#[derive(Arbitrary, Debug)]
struct Input {
    shape: Shape,
    threads: [Vec<Call>; 3],
}

static ALIVE: AtomicI64 = AtomicI64::new(0);
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Owns memory, so that a reader of what is gone touches what has been freed.
#[derive(Debug)]
struct Record {
    key: u8,
    number: Box<u64>,
}

impl Record {
    fn new(key: u8) -> Self {
        ALIVE.fetch_add(1, SeqCst);
        Self { key, number: Box::new(NUMBERS.fetch_add(1, SeqCst)) }
    }
}

impl Clone for Record {
    fn clone(&self) -> Self {
        ALIVE.fetch_add(1, SeqCst);
        Self { key: self.key, number: self.number.clone() }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, SeqCst);
    }
}

impl Signal for Record {
    const NAME: &'static str = "record";
    type Indexes = [Index<Self>; 2];
    const INDEXES: Self::Indexes = [
        Index::new("key", |record| (record.key != 0).then(|| Key::Int(record.key.into()))),
        Index::new("half", |record| (record.key != 0).then(|| Key::Int((record.key / 2).into()))),
    ];

    fn timestamp(&self) -> u64 {
        *self.number
    }

    fn heap_bytes(&self) -> usize {
        size_of::<u64>()
    }

    fn is_error(&self) -> bool {
        self.key == 3
    }
}

/// Runs one thread's calls; how many records it pushed, and how many came back.
fn work(store: &Store<Record>, calls: &[Call]) -> (u64, u64) {
    let (mut pushed, mut refused) = (0, 0);
    let mut positions: Vec<(Position, u64)> = Vec::new();
    let mut bookmarks = vec![store.beginning()];
    let mut stream: Option<Evictions<Record>> = None;
    for call in calls.iter().take(100) {
        match *call {
            Call::Push { key } | Call::TryPush { key } => {
                let record = Record::new(key % 5);
                let number = *record.number;
                let tried = matches!(call, Call::TryPush { .. });
                let pushing = if tried { store.try_push(record) } else { store.push(record) };
                pushed += 1;
                match pushing {
                    Ok(position) => positions.push((position, number)),
                    Err(error) => {
                        assert_eq!(
                            *error.record.number, number,
                            "what comes back is what was pushed"
                        );
                        refused += 1;
                    }
                }
            }
            Call::Batch { key, records } => {
                let batch: Vec<_> = (0..records % 20).map(|_| Record::new(key % 5)).collect();
                pushed += batch.len() as u64;
                refused +=
                    store.push_batch(batch).map_or_else(|error| error.rejected.len() as u64, |_| 0);
            }
            Call::Lookup { key, limit } => {
                let query =
                    store.query().key("key", u64::from(key % 5)).limit(usize::from(limit) + 1);
                assert!(
                    query
                        .collect()
                        .expect("it can be asked")
                        .iter()
                        .all(|record| record.key == key % 5)
                );
            }
            Call::Visit { key } => {
                let visit = |_, record: &Record| {
                    assert_eq!(record.key / 2, key % 3);
                    assert!(*record.number < u64::MAX);
                };
                store
                    .query()
                    .key("half", u64::from(key % 3))
                    .for_each(visit)
                    .expect("it can be asked");
            }
            Call::Count => assert!(
                store.query().count().expect("it can be asked") <= 2 * store.capacity() + 64
            ),
            Call::Get { back } => {
                if let Some((position, number)) = positions.iter().rev().nth(usize::from(back))
                    && let Ok(record) = store.get(*position)
                {
                    assert_eq!(*record.number, *number, "a position never means another record");
                }
            }
            Call::Since { back } => {
                let bookmark = &bookmarks[usize::from(back) % bookmarks.len()];
                let news =
                    store.query().since(bookmark).collect().expect("the bookmark is this store's");
                news.iter().for_each(|record| assert!(*record.number < u64::MAX));
            }
            Call::Bookmark => bookmarks.push(store.bookmark()),
            Call::Keys => {
                assert!(store.key_counts("key").expect("there is such an index").len() <= 4)
            }
            Call::Clear => store.clear(),
            Call::Flush => _ = store.flush_timeout(Duration::from_millis(20)),
            Call::Step => _ = store.step(),
            Call::Audit => _ = store.audit().expect("the books are right"),
            Call::Stats => {
                let stats = store.stats();
                assert_eq!(
                    stats.offered,
                    stats.count + stats.evicted.total() + stats.rejected.total()
                );
            }
            Call::Subscribe { buffer } => {
                if stream.is_none() {
                    stream = store.evictions(usize::from(buffer) + 1).ok();
                }
            }
            Call::Receive => {
                let evicted = stream.as_ref().and_then(Evictions::try_recv);
                assert!(evicted.is_none_or(|evicted| evicted.record.key < 5));
            }
            Call::Leave => stream = None,
        }
    }
    (pushed, refused)
}

fuzz_target!(|input: Input| {
    let Input { shape, threads } = input;
    let capacity = usize::from(shape.capacity % 64) + 2;
    let mut builder = Store::builder()
        .capacity(capacity)
        .shards((usize::from(shape.shards % 3) + 1).min(capacity - 1));
    builder = builder.slack(usize::from(shape.slack % 16) + 1);
    if shape.rejects {
        builder = builder.on_full(OnFull::Reject);
    }
    if shape.manual {
        builder = builder.manual();
    }
    if shape.narrow {
        builder = builder.fingerprint_bits(4);
    }
    if shape.class {
        builder = builder.error_class(1);
    }
    if shape.bytes > 0 {
        builder = builder
            .max_bytes((capacity + usize::from(shape.bytes)) * (size_of::<Record>() + 8) * 4);
    }
    // Some of this can't be.
    let Ok(store) = builder.build() else { return };
    let before = ALIVE.load(SeqCst);
    if shape.hooked {
        store.on_evict(|_, record: &Record, _| assert!(record.key < 5));
    }
    let (pushed, refused) = thread::scope(|scope| {
        let running: Vec<_> =
            threads.iter().map(|calls| scope.spawn(|| work(&store, calls))).collect();
        let counts = running.into_iter().map(|thread| thread.join().expect("no thread panics"));
        counts.fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    });
    store.flush().expect("not called from inside");
    store.audit().expect("the books are right");
    let stats = store.stats();
    assert_eq!((stats.offered, stats.rejected.total(), stats.caught_panics), (pushed, refused, 0));
    assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
    assert_eq!(store.query().count().expect("it can be asked") as u64, stats.count);
    store.shutdown().expect("not called from inside");
    drop(store);
    assert_eq!(ALIVE.load(SeqCst), before, "each record is dropped once");
});
