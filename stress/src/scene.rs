//! The parts that all phases share: a store, the threads that use it, and the final accounting.

use crate::sample::{Sample, alive};
use crate::stop::Stop;
use serde::{Serialize, Serializer};
use slipring::error::BuildError;
use slipring::store::{EvictedCounts, RejectedCounts, Stats};
use slipring::{Store, StoreBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The time after which a phase gives up waiting for a condition, longer than any machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The number of distinct keys, in phases that do not depend on it.
pub const KEYS: u64 = 61;

/// The size and the length of a phase.
pub struct Plan {
    pub length: Duration,
    pub capacity: usize,
    pub producers: u64,
    pub readers: u64,
    /// Whether an emulator runs the program, so that the resident memory is not the program's alone.
    pub emulated: bool,
    pub stop: Stop,
}

impl Plan {
    /// Lets the threads run for the phase's length.
    pub fn rest(&self, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until && !self.stop.is_asked() && !has_failed() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the condition holds, even after the user has asked to stop: phases then end
    /// early, but with all checks.
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so() && !has_failed() {
            assert!(Instant::now() < until, "this did not happen in time: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The message of the first panic that was not injected.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);
static FAILED: AtomicBool = AtomicBool::new(false);

/// Installs a hook that keeps the first panic's message for the report and ends the phase.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut failure = FAILURE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        failure.get_or_insert_with(|| panic.to_string().replace('\n', " "));
        FAILED.store(true, Relaxed);
    }));
}

pub fn has_failed() -> bool {
    FAILED.load(Relaxed)
}

/// Returns the failure of the phase that has just ended.
pub fn take_failure() -> Option<String> {
    FAILED.store(false, Relaxed);
    FAILURE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
}

/// The accounting of a phase's records, and further counts for the report.
#[derive(Default, Serialize)]
pub struct Outcome {
    pub stores: u64,
    pub offered: u64,
    pub held: u64,
    pub evicted: EvictedCounts,
    pub rejected: RejectedCounts,
    pub lookups: u64,
    #[serde(serialize_with = "as_map")]
    pub notes: Vec<(&'static str, u64)>,
}

fn as_map<S: Serializer>(notes: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(notes.iter().copied())
}

impl Outcome {
    /// Creates the outcome of one store.
    pub fn of(stats: &Stats) -> Self {
        let &Stats { offered, count: held, evicted, rejected, .. } = stats;
        Self { stores: 1, offered, held, evicted, rejected, ..Self::default() }
    }

    pub fn noting(mut self, what: &'static str, number: u64) -> Self {
        self.notes.push((what, number));
        self
    }

    /// Adds the outcome of another store in the same phase.
    pub fn and(mut self, other: Self) -> Self {
        self.stores += other.stores;
        self.offered += other.offered;
        self.held += other.held;
        self.evicted += other.evicted;
        self.rejected += other.rejected;
        self.lookups += other.lookups;
        for (what, number) in other.notes {
            match self.notes.iter_mut().find(|(known, _)| *known == what) {
                Some((_, sum)) => *sum += number,
                None => self.notes.push((what, number)),
            }
        }
        self
    }
}

/// Drops a rejected record, whose drop may panic.
fn drop_returned<R>(returned: R) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(returned)));
}

/// A store under attack.
pub struct Scene<const BODY: usize = 0> {
    pub store: Store<Sample<BODY>>,
    over: AtomicBool,
    pushed: AtomicU64,
    /// Records that the store rejected and returned.
    refused: AtomicU64,
    lookups: AtomicU64,
    alive_before: u64,
}

impl<const BODY: usize> Scene<BODY> {
    pub fn new(builder: StoreBuilder<Sample<BODY>>) -> Result<Self, BuildError> {
        Ok(Self {
            store: builder.build()?,
            over: AtomicBool::new(false),
            pushed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            alive_before: alive(),
        })
    }

    pub fn is_running(&self) -> bool {
        !self.over.load(Relaxed) && !has_failed()
    }

    pub fn stop(&self) {
        self.over.store(true, Relaxed);
    }

    /// Returns the number of records that the store has rejected and returned so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub fn looked_up(&self) {
        self.lookups.fetch_add(1, Relaxed);
    }

    pub fn push(&self, sample: Sample<BODY>) {
        let pushed = self.store.push(sample);
        self.count(1, pushed.is_err().into());
        drop_returned(pushed);
    }

    pub fn count(&self, pushed: u64, refused: u64) {
        self.pushed.fetch_add(pushed, Relaxed);
        self.refused.fetch_add(refused, Relaxed);
    }

    /// Pushes through every push method until the phase is over.
    pub fn produce(&self, producer: u64, make: impl Fn(u64) -> Sample<BODY>) {
        let mut count = 0;
        let mut next = || {
            count += 1;
            make(Sample::<BODY>::numbered(producer, count))
        };
        for turn in 0.. {
            if !self.is_running() {
                break;
            }
            match turn % 64 {
                0 => {
                    let batch: Vec<_> = (0..20).map(|_| next()).collect();
                    let pushed = self.store.push_batch(batch);
                    self.count(
                        20,
                        pushed.as_ref().map_or_else(|error| error.rejected.len() as u64, |_| 0),
                    );
                    drop_returned(pushed);
                }
                1 => {
                    let pushed = self.store.try_push(next());
                    self.count(1, pushed.is_err().into());
                    drop_returned(pushed);
                }
                _ => self.push(next()),
            }
        }
    }

    /// Creates a sample without special properties.
    pub fn ordinary(number: u64) -> Sample<BODY> {
        const NAMES: [&str; 5] = ["GET /", "GET /cart", "POST /cart", "checkout", "search"];
        Sample::new(number, number % KEYS, NAMES[number as usize % NAMES.len()], number)
    }

    /// Queries the samples of one key, and checks them.
    pub fn look_up(&self, key: u64) {
        let answer =
            self.store.query().key("key", key).limit(50).collect().expect("the index exists");
        let mut last = vec![u64::MAX; self.store.shards()];
        for (position, sample) in answer.positions.iter().zip(&answer.records) {
            let before = std::mem::replace(&mut last[position.shard()], position.sequence());
            assert!(
                position.sequence() < before,
                "{position} was returned twice, or after {before}"
            );
            assert!(sample.key == key && sample.is_whole(), "asked for key {key}, got {sample:?}");
            if let Ok(again) = self.store.get(*position) {
                assert_eq!(again.number, sample.number, "a position identifies another record");
            }
        }
        self.looked_up();
    }

    /// Pushes a sample with a unique name, and checks that a query finds it at once unless it has
    /// been evicted.
    pub fn push_and_find(&self, number: u64) {
        let name = format!("own {number}");
        let Ok(position) =
            self.store.push(Sample::new(number, number % KEYS, name.clone(), number))
        else {
            return self.count(1, 1);
        };
        self.count(1, 0);
        let found = self.store.query().key("name", &*name).count().expect("the index exists");
        // A record that is held now was held during the query.
        assert!(
            found == 1 || self.store.get(position).is_err(),
            "{position} is held, but the query did not find it"
        );
        self.looked_up();
    }

    pub fn check_audit(&self) {
        if let Err(breach) = self.store.audit() {
            panic!("the audit found a breach: {breach}");
        }
    }

    /// Lets the threads run for the phase's length, and until the store has evicted records.
    pub fn rest(&self, plan: &Plan) {
        plan.rest(plan.length);
        plan.until("the store is full", || self.store.stats().evicted.total() > 0);
    }

    /// Waits until all records are indexed and evicted ones are dropped, which may happen some
    /// milliseconds later.
    pub fn settle(&self, plan: &Plan) {
        self.store.flush().expect("not called inside a hook");
        plan.until("evicted records are dropped", || {
            self.store.step();
            alive() - self.alive_before == self.store.stats().count
        });
    }

    /// Checks the accounting after the last push: everything pushed is held, was evicted or was
    /// returned; everything held is found; every record that was created is held or was dropped;
    /// and all records are dropped with the store.
    pub fn end(self, plan: &Plan) -> Outcome {
        let before = self.alive_before;
        self.end_by(plan, |store| {
            store.shutdown().expect("not called inside a hook");
            assert_eq!(alive(), before, "records outlive their store, or were dropped twice");
        })
    }

    /// As [`end`](Scene::end), but without a shutdown: the last handle is dropped, and the store's
    /// thread ends a moment later.
    pub fn end_by_drop(self, plan: &Plan) -> Outcome {
        let before = self.alive_before;
        self.end_by(plan, |store| {
            drop(store);
            plan.until("all records are dropped once, with their store", || alive() == before);
        })
    }

    fn end_by(self, plan: &Plan, end: impl FnOnce(Store<Sample<BODY>>)) -> Outcome {
        self.settle(plan);
        let Self { store, pushed, refused, lookups, alive_before, .. } = self;
        if let Err(breach) = store.audit() {
            panic!("the audit found a breach: {breach}");
        }
        let stats = store.stats();
        let (pushed, refused) = (pushed.into_inner(), refused.into_inner());
        assert_eq!(stats.offered, pushed, "`offered` is not the number of pushes");
        assert_eq!(
            stats.rejected.total(),
            refused,
            "`rejected` is not the number of returned records"
        );
        assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
        assert!(stats.count <= stats.capacity);
        assert_eq!(
            store.query().count().expect("the query is valid") as u64,
            stats.count,
            "a query does not find every held record"
        );
        assert_eq!(
            alive() - alive_before,
            stats.count,
            "the number of live records is not the number of held ones"
        );
        end(store);
        Outcome { lookups: lookups.into_inner(), ..Outcome::of(&stats) }
    }
}
