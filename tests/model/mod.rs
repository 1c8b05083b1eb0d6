//! Operations on a store, and a plain reference model that computes the answers by brute force. The
//! property test and the fuzzer share them.

mod compare;

use slipring::store::EvictReason;
use slipring::{Bookmark, Index, Key, KeyBuf, Order, Position, Query, Signal, Store};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The settings of a store.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub struct Shape {
    pub capacity: u8,
    pub shards: u8,
    pub slack: u8,
    pub narrow: bool,
    pub retention: Retention,
}

/// The settings of a store's retention other than the number of records.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub struct Retention {
    /// The byte limit, in records of the largest size. 0 means no limit.
    pub bytes: u8,
    /// The maximum age in hours. 0 means no maximum.
    pub hours: u8,
    /// The capacity of a class of its own, if this leaves some for the other records.
    pub class: u8,
}

/// A call. Keys are small numbers, so that records share them. 0 means no key.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Operation {
    Push {
        trace: u8,
        service: u8,
        name: u8,
    },
    Batch {
        records: u8,
        trace: u8,
    },
    /// Steps the store this many quarters of an hour later.
    Step {
        quarters: u8,
    },
    Flush,
    Clear,
    Lookup {
        index: u8,
        key: u8,
        limit: u8,
    },
    Ask(Ask),
    Bookmark,
    Get {
        back: u8,
    },
    Visit {
        back: u8,
        pushes: u8,
    },
}

/// A query. The bits of `conditions` select its conditions.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub struct Ask {
    pub conditions: u8,
    /// The keys to query, by index, as bits.
    pub keys: [u8; 3],
    /// The start of the time range, as a distance back, and its length.
    pub time: (u8, u8),
    pub order: u8,
    pub limit: u8,
    /// The bookmarks that bound the query, counted back from the last one.
    pub since: u8,
    pub until: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    number: u64,
    trace: u8,
    service: u8,
    name: String,
}

impl Signal for Record {
    const NAME: &'static str = "record";
    type Indexes = [Index<Self>; 3];
    const INDEXES: Self::Indexes = [
        Index::new("trace", |record| (record.trace != 0).then(|| Key::Id(record.trace.into()))),
        Index::new("service", |record| {
            (record.service != 0).then(|| Key::Int(record.service.into()))
        }),
        Index::new("name", |record| (!record.name.is_empty()).then_some(Key::Text(&record.name))),
    ];

    /// Timestamps are roughly in order, and not unique.
    fn timestamp(&self) -> u64 {
        (self.number ^ 5) / 2
    }

    fn heap_bytes(&self) -> usize {
        self.name.len()
    }
}

impl Record {
    /// Returns whether the record belongs to the class of its own.
    fn is_picked(&self) -> bool {
        self.trace % 4 == 1
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }
}

const INDEXES: [&str; 3] = ["trace", "service", "name"];

/// The bytes of a name.
const NAME: usize = "name 0".len();

const QUARTER: Duration = Duration::from_secs(15 * 60);

type Hooked = Arc<Mutex<Vec<(Position, Record, EvictReason)>>>;

/// A store and its reference model.
pub struct Pair {
    store: Store<Record>,
    hooked: Hooked,
    narrow: bool,
    /// Every record ever pushed, in order.
    pushed: Vec<(Position, Record)>,
    /// The capacities of the shards. The shards of the class come last.
    capacities: Vec<u64>,
    claimed: Vec<u64>,
    /// The low watermark of each shard: records below were cleared, or evicted by age or by bytes.
    low_watermarks: Vec<u64>,
    cleared_below: Vec<u64>,
    cleared: u64,
    /// The byte budget of each shard.
    byte_budgets: Option<Vec<usize>>,
    /// The maximum age of a record.
    age: Option<Duration>,
    now: Instant,
    /// The number of records that each shard had received, by time.
    notes: Vec<(Instant, Vec<u64>)>,
    /// Bookmarks, each with the number of records that had been pushed by then.
    bookmarks: Vec<(Bookmark, usize)>,
}

impl Pair {
    pub fn new(shape: Shape) -> Self {
        let capacity = usize::from(shape.capacity % 64) + 1;
        let shards = (usize::from(shape.shards % 4) + 1).min(capacity);
        let mut builder = Store::builder().capacity(capacity).shards(shards).manual();
        builder = builder.slack(usize::from(shape.slack % 8) + 1);
        if shape.narrow {
            builder = builder.fingerprint_bits(4);
        }
        let Retention { bytes, hours, class } = shape.retention;
        let class = usize::from(class % 16);
        let class = (class > 0 && class + shards <= capacity).then_some(class);
        let mut capacities = split(capacity - class.unwrap_or(0), shards);
        if let Some(records) = class {
            builder = builder.class(records, Record::is_picked);
            capacities.push(records as u64);
        }
        let bytes = (bytes > 0).then(|| {
            // At least one record fits into the smallest shard.
            let least = capacity.div_ceil(*capacities.iter().min().unwrap() as usize);
            (least + usize::from(bytes) % capacity) * (size_of::<Record>() + NAME)
        });
        let share = |bytes: usize| {
            capacities.iter().map(|shard| bytes * *shard as usize / capacity).collect()
        };
        let age = (hours > 0).then(|| QUARTER * 4 * u32::from(hours % 4 + 1));
        if let Some(bytes) = bytes {
            builder = builder.max_bytes(bytes);
        }
        if let Some(age) = age {
            builder = builder.max_age(age);
        }
        let store: Store<Record> = builder.build().unwrap();
        let hooked = Hooked::default();
        let seen = Arc::clone(&hooked);
        store.on_evict(move |position, record, reason| {
            seen.lock().unwrap().push((position, record.clone(), reason));
        });
        Self {
            store,
            hooked,
            narrow: shape.narrow,
            pushed: Vec::new(),
            claimed: vec![0; capacities.len()],
            low_watermarks: vec![0; capacities.len()],
            cleared_below: vec![0; capacities.len()],
            cleared: 0,
            byte_budgets: bytes.map(share),
            age,
            now: Instant::now(),
            notes: Vec::new(),
            capacities,
            bookmarks: Vec::new(),
        }
    }

    pub fn capacity(&self) -> usize {
        self.store.capacity()
    }

    pub fn pushes(&self) -> usize {
        self.pushed.len()
    }

    /// Applies the operation to the store and to the model, and compares them.
    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Push { trace, service, name } => self.push(trace, service, name),
            Operation::Batch { records, trace } => self.batch(records % 40, trace),
            Operation::Step { quarters } => self.step(u32::from(quarters % 8)),
            Operation::Flush => self.store.flush().unwrap(),
            Operation::Clear => {
                self.cleared += self.visible().count() as u64;
                self.low_watermarks.clone_from(&self.claimed);
                self.cleared_below.clone_from(&self.claimed);
                self.store.clear();
            }
            Operation::Lookup { index, key, limit } => {
                self.compare_lookup(usize::from(index % 3), key % 8, usize::from(limit % 5));
            }
            Operation::Ask(ask) => self.compare_ask(ask),
            Operation::Bookmark => self.bookmarks.push((self.store.bookmark(), self.pushed.len())),
            Operation::Get { back } => self.compare_get(back),
            Operation::Visit { back, pushes } => self.push_while_visiting(back, pushes % 8),
        }
        if self.byte_budgets.is_some() {
            // The store counts bytes as it indexes records.
            self.store.flush().unwrap();
            self.enforce_byte_budgets();
        }
    }

    fn step(&mut self, quarters: u32) {
        self.now += QUARTER * quarters;
        self.store.step_at(|| self.now);
        let Some(age) = self.age else { return };
        let is_due = self
            .notes
            .last()
            .is_none_or(|(at, claimed)| self.now - *at >= age / 64 && *claimed != self.claimed);
        // An empty store has no record to begin with.
        if is_due && (!self.notes.is_empty() || self.visible().next().is_some()) {
            self.notes.push((self.now, self.claimed.clone()));
        }
        let is_old = |(at, _): &(Instant, Vec<u64>)| self.now - *at >= age;
        let old = self.notes.iter().take_while(|note| is_old(note)).count();
        for (_, claimed) in self.notes.drain(..old) {
            self.low_watermarks
                .iter_mut()
                .zip(claimed)
                .for_each(|(floor, claimed)| *floor = (*floor).max(claimed));
        }
    }

    /// Evicts the oldest records for as long as the rest exceed the byte budget.
    fn enforce_byte_budgets(&mut self) {
        let Some(byte_budgets) = &self.byte_budgets else { return };
        for (shard, share) in byte_budgets.iter().enumerate() {
            let kept: Vec<&(Position, Record)> =
                self.visible().filter(|(at, _)| at.shard() == shard).collect();
            let mut bytes: usize = kept.iter().map(|(_, record)| record.bytes()).sum();
            let mut floor = self.low_watermarks[shard];
            for (at, record) in kept {
                if bytes <= *share {
                    break;
                }
                bytes -= record.bytes();
                floor = at.sequence() + 1;
            }
            self.low_watermarks[shard] = floor;
        }
    }

    fn record(&self, trace: u8, service: u8, name: u8) -> Record {
        let name =
            if name.is_multiple_of(8) { String::new() } else { format!("name {}", name % 8) };
        Record { number: self.pushed.len() as u64, trace: trace % 8, service: service % 4, name }
    }

    fn push(&mut self, trace: u8, service: u8, name: u8) {
        let record = self.record(trace, service, name);
        let position =
            self.store.push(record.clone()).expect("a store that anyone may step has room");
        self.accept(position, record);
    }

    fn accept(&mut self, position: Position, record: Record) {
        let claimed = &mut self.claimed[position.shard()];
        assert_eq!(position.sequence(), *claimed, "sequences are handed out in order");
        *claimed += 1;
        self.pushed.push((position, record));
    }

    fn batch(&mut self, records: u8, trace: u8) {
        let first = self.pushed.len() as u64;
        let records: Vec<Record> = (0..records)
            .map(|n| Record { number: first + u64::from(n), ..self.record(trace, n, n / 3) })
            .collect();
        let picked = self.claimed.len() - 1;
        let has_class = self.store.stats().class.is_some();
        if self.store.shards() > 1 + usize::from(has_class) {
            // A batch does not return its records' shards, which is unambiguous with one shard for
            // each class.
            records.into_iter().for_each(|record| {
                let position = self.store.try_push(record.clone()).unwrap();
                self.accept(position, record);
            });
            return;
        }
        assert_eq!(self.store.push_batch(records.clone()).unwrap(), records.len());
        for record in records {
            let shard = if has_class && record.is_picked() { picked } else { 0 };
            let position = position(shard, self.claimed[shard]);
            self.accept(position, record);
        }
    }

    /// Pushes inside a visit never wait: the store accepts the record or returns it as full.
    fn push_while_visiting(&mut self, back: u8, pushes: u8) {
        let Some((position, record)) = self.recent(back) else { return };
        let store = self.store.clone();
        let mut taken = Vec::new();
        let visited = self.store.visit(position, |visited| {
            assert_eq!(*visited, record);
            for _ in 0..pushes {
                let number = (self.pushed.len() + taken.len()) as u64;
                let pushed = Record { number, ..self.record(1, 1, 1) };
                match store.push(pushed.clone()) {
                    Ok(position) => taken.push((position, pushed)),
                    Err(error) => assert_eq!(error.reason, slipring::error::Rejection::Full),
                }
                assert_eq!(*visited, record, "a visited record changed");
            }
        });
        assert_eq!(visited.is_ok(), self.is_visible(position), "{visited:?}");
        taken.into_iter().for_each(|(position, record)| self.accept(position, record));
    }

    fn recent(&self, back: u8) -> Option<(Position, Record)> {
        self.pushed.iter().rev().nth(usize::from(back)).cloned()
    }

    fn is_visible(&self, position: Position) -> bool {
        let shard = position.shard();
        let low = self.claimed[shard]
            .saturating_sub(self.capacities[shard])
            .max(self.low_watermarks[shard]);
        position.sequence() >= low
    }

    /// Iterates over the records that the store holds, oldest first.
    fn visible(&self) -> impl DoubleEndedIterator<Item = &(Position, Record)> {
        self.pushed.iter().filter(|(position, _)| self.is_visible(*position))
    }
}

/// Returns the key with this number in an index.
fn number_key(index: usize, number: u8) -> KeyBuf {
    match index {
        0 => KeyBuf::Id(u128::from(number)),
        1 => KeyBuf::Int(u64::from(number)),
        _ => KeyBuf::Text(format!("name {number}").into()),
    }
}

/// Splits a capacity over shards.
fn split(capacity: usize, shards: usize) -> Vec<u64> {
    (0..shards)
        .map(|shard| (capacity / shards + usize::from(shard < capacity % shards)) as u64)
        .collect()
}

/// Positions cannot be created outside of a store, but they can be deserialized.
fn position(shard: usize, sequence: u64) -> Position {
    serde_json::from_value(serde_json::json!({ "shard": shard, "sequence": sequence })).unwrap()
}
