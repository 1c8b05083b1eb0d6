//! Shared by the models: a small record, bounds on the exploration, and the check that a planted
//! fault is caught.
//!
//! Each file in `tests/models/` models one property of the shipped code. A model runs its closure
//! once for every interleaving and every stale read that the memory model allows, up to a number of
//! preemptions. The environment variable `SLIPRING_PREEMPTIONS` overrides that number for the deep
//! runs.

use loom::sync::atomic::AtomicBool;
use loom::thread;
use slipring::{Index, Key, Signal, Store, StoreBuilder};
use std::panic::Location;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// A record with one key (none for 0), and a body that must never be another record's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: u64,
    pub body: Box<u64>,
}

impl Record {
    /// Creates a record whose body is determined by its key and number.
    pub fn new(key: u64, number: u64) -> Self {
        Self { key, body: Box::new(key * 100 + number) }
    }

    /// Panics unless key and body belong together.
    pub fn check(&self) {
        assert_eq!(*self.body / 100, self.key, "a torn record, or another record's body");
    }
}

impl Signal for Record {
    const NAME: &'static str = "record";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes =
        [Index::new("key", |record| (record.key != 0).then_some(Key::Int(record.key)))];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// Returns a builder for a store with one shard and without a thread, as small as the model allows.
pub fn small<T: Signal>(capacity: usize, slack: usize) -> StoreBuilder<T> {
    Store::builder().capacity(capacity).shards(1).slack(slack).manual()
}

/// A record that counts its drops.
#[derive(Debug)]
pub struct Dropped(pub Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Signal for Dropped {
    const NAME: &'static str = "dropped";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |_| Some(Key::Int(1)))];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// Looks up a key and returns the numbers in the records' bodies, newest first. Checks each record.
pub fn lookup(store: &Store<Record>, key: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    let query = store.query().key("key", key);
    query
        .for_each(|_, record| {
            record.check();
            assert_eq!(record.key, key, "a record with another key");
            numbers.push(*record.body % 100);
        })
        .unwrap();
    numbers
}

/// Pushes records with the keys 1 and 2, and starts a thread that pushes one with the key 3 and
/// steps. If the store has no room for three, the first one is evicted.
pub fn push_a_third_record(store: &Store<Record>) -> thread::JoinHandle<()> {
    (1..3).for_each(|key| store.push(Record::new(key, 0)).map(drop).unwrap());
    store.flush().unwrap();
    push_and_step_once(store, 3, 0)
}

/// Starts a thread that pushes a record and takes one step.
pub fn push_and_step_once(store: &Store<Record>, key: u64, number: u64) -> thread::JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || {
        store.push(Record::new(key, number)).unwrap();
        store.step();
    })
}

/// Starts a thread that pushes two records, and steps until it is done. The thread finds no room
/// for the second one before another thread reclaims: this thread holds a pin until the pushes have
/// started.
pub fn push_without_room(
    store: &Store<Record>,
    push: impl Fn(&Store<Record>, Record) + Send + 'static,
) {
    let first = store.push(Record::new(1, 0)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let started = store.visit(first, |_| {
        let (store, done) = (store.clone(), Arc::clone(&done));
        thread::spawn(move || {
            (1..3).for_each(|number| push(&store, Record::new(1, number)));
            done.store(true, Ordering::Release);
        })
    });
    let producer = started.unwrap();
    // Yield also after a refused step: the producer held the indexer lock, and may have seen the
    // pin.
    while !done.load(Ordering::Acquire) {
        store.step();
        thread::yield_now();
    }
    producer.join().unwrap();
    store.flush().unwrap();
    store.audit().unwrap();
    assert_eq!(store.len(), 1);
}

/// Explores a model and prints the number of executions. A single execution proves nothing, so
/// there must be more.
pub fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    // Counts this model's executions only: others run at the same time.
    let executions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&executions);
    let started = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound(preemptions));
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let executions = executions.load(Ordering::Relaxed);
    println!(
        "{name}: {executions} executions at {} preemptions in {:.1?}",
        bound(preemptions),
        started.elapsed()
    );
    assert!(executions > 1, "{name} explored a single execution");
}

/// Returns the number of preemptions to explore. A model that asks for none gets none: it takes too
/// many steps for more.
fn bound(preemptions: usize) -> usize {
    if preemptions == 0 {
        return 0;
    }
    std::env::var("SLIPRING_PREEMPTIONS")
        .map_or(preemptions, |n| n.parse().expect("SLIPRING_PREEMPTIONS is a number"))
}

/// What loom says when a wake-up is lost.
pub const DEADLOCK: &str = "deadlock";
/// What loom says when nothing orders two accesses to a record.
pub const RACE: &str = "Causality violation";
/// What loom says when threads wait for each other without sleeping.
pub const LIVELOCK: &str = "Model exceeded maximum number of branches";

/// Runs a model of the caller's file again, in a process with the fault planted. Panics unless the
/// model fails there with a message that contains `how`.
#[track_caller]
pub fn assert_caught(fault: &str, model: &str, how: &str) {
    assert_caught_at(None, fault, model, how);
}

/// Like `assert_caught`, for a fault that shows only at this number of preemptions, not at the
/// model's usual number.
#[track_caller]
pub fn assert_caught_at(
    preemptions: impl Into<Option<usize>>,
    fault: &str,
    model: &str,
    how: &str,
) {
    let preemptions =
        preemptions.into().map(|preemptions| ("SLIPRING_PREEMPTIONS", preemptions.to_string()));
    let file = Path::new(Location::caller().file()).file_stem().expect("a file has a name");
    let model = format!("{}::{model}", file.display());
    let run = Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", &model, "--nocapture", "--test-threads=1"])
        .env("SLIPRING_FAULT", fault)
        .envs(preemptions)
        .output()
        .expect("a test can run itself");
    let said =
        format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(!said.contains("running 0 tests"), "there is no model {model}");
    assert!(!said.contains("there is no fault of this name"), "{said}");
    assert!(!run.status.success(), "{model} did not notice the planted fault {fault}:\n{said}");
    assert!(said.contains(how), "{model} failed for another reason than {how:?}:\n{said}");
    let why = said
        .lines()
        .skip_while(|line| !line.contains("panicked at"))
        .nth(1)
        .unwrap_or("it was killed");
    println!("{fault}: caught by {model} ({why})");
}
