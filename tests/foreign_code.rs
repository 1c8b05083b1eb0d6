//! User code (keys, clones, drops, predicates, hooks and wakers) that pushes, queries, polls,
//! panics and drops handles at any moment. Nothing hangs, no record is lost, and no memory is
//! leaked.
#![cfg(feature = "async")]

mod support;

use futures::Stream;
use slipring::store::Follower;
use slipring::{Index, Key, OnFull, Signal, Store};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::task::Context;
use std::time::Duration;
use support::foreign::Foreign;

/// A piece of user code does something one in this many times; the user code that this calls does
/// the same, down to this depth.
const SELDOM: u64 = 8;
const DEPTH: u32 = 3;

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(1) };
    static WITHIN: Cell<u32> = const { Cell::new(0) };
}

fn random(below: u64) -> u64 {
    RANDOM.with(|random| {
        let mut x = random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        random.set(x);
        (x >> 16) % below
    })
}

/// The objects that user code can use. Records and hooks reach them without keeping them alive.
struct World {
    store: Store<Wild>,
    /// Handles and followers for user code to drop.
    handles: Mutex<Vec<(Store<Wild>, Follower<Wild>)>>,
    calm: Arc<AtomicBool>,
    alive: Arc<AtomicI64>,
}

impl World {
    /// Drops all handles, after it has released the lock: their drops call user code, which locks.
    fn drop_handles(&self) {
        let handles = std::mem::take(&mut *self.handles.lock().unwrap());
        drop(handles);
    }
}

struct Wild {
    number: u64,
    world: Weak<World>,
    alive: Arc<AtomicI64>,
}

impl Wild {
    fn new(world: &Arc<World>) -> Self {
        world.alive.fetch_add(1, Ordering::SeqCst);
        Self { number: random(5), world: Arc::downgrade(world), alive: Arc::clone(&world.alive) }
    }
}

impl Clone for Wild {
    fn clone(&self) -> Self {
        act_sometimes(&self.world, false);
        self.alive.fetch_add(1, Ordering::SeqCst);
        Self {
            number: self.number,
            world: Weak::clone(&self.world),
            alive: Arc::clone(&self.alive),
        }
    }
}

impl Drop for Wild {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
        act_sometimes(&self.world, false);
    }
}

impl Signal for Wild {
    const NAME: &'static str = "wild";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("number", |wild| {
        act_sometimes(&wild.world, true);
        Some(Key::Int(wild.number))
    })];

    fn timestamp(&self) -> u64 {
        act_sometimes(&self.world, true);
        self.number
    }
}

fn act_sometimes(world: &Weak<World>, may_panic: bool) {
    let within = WITHIN.get();
    if within < DEPTH
        && random(SELDOM) == 0
        && let Some(world) = world.upgrade()
        && !world.calm.load(Ordering::SeqCst)
    {
        WITHIN.set(within + 1);
        act(&world);
        // This may be the last handle.
        drop(world);
        WITHIN.set(within);
        if may_panic && random(4) == 0 {
            resume_unwind(Box::new("foreign code panics"));
        }
    }
}

fn waker_of(world: &Arc<World>) -> Foreign {
    let call = |may_panic| {
        let world = Arc::downgrade(world);
        move || act_sometimes(&world, may_panic)
    };
    Foreign::new().on_clone(call(false)).on_wake(call(true)).on_drop(call(true))
}

/// Performs one of the actions that are allowed anywhere.
fn act(world: &Arc<World>) {
    let store = &world.store;
    let within = Arc::downgrade(world);
    match random(12) {
        0..3 => drop(store.push(Wild::new(world))),
        3 => drop(store.push_batch((0..random(6)).map(|_| Wild::new(world)).collect())),
        4 => {
            let query = store.query().key("number", random(5)).filter(|_| {
                act_sometimes(&within, false);
                true
            });
            drop(query.limit(5).collect().unwrap());
        }
        5 => {
            let follower = store.follow(|query| query).unwrap();
            let (store, mut handles) = (store.clone(), world.handles.lock().unwrap());
            handles.push((store, follower));
            let last = handles.len() > 8;
            let dropped = last.then(|| handles.remove(0));
            drop(handles);
            drop(dropped);
        }
        6 => {
            let taken = world.handles.lock().unwrap().pop();
            if let Some((store, mut follower)) = taken {
                let waker = waker_of(world).waker();
                let _ = Pin::new(&mut follower).poll_next(&mut Context::from_waker(&waker));
                world.handles.lock().unwrap().push((store, follower));
            }
        }
        7 => {
            let waker = waker_of(world).waker();
            let mut push = store.push_async(Wild::new(world));
            let _ = Pin::new(&mut push).poll(&mut Context::from_waker(&waker));
        }
        8 => drop(store.flush_timeout(Duration::from_millis(1))),
        9 => drop(store.step()),
        10 => drop(store.stats()),
        _ => {
            if random(8) == 0 {
                store.clear();
            } else if let Ok(stream) = store.evictions(2) {
                drop(stream.recv_timeout(Duration::from_millis(1)));
            }
        }
    }
}

/// Runs three threads, and the user code that they call, with random actions. Then checks the
/// store, and shuts it down.
fn run_wild(seed: u64) {
    let builder = Store::<Wild>::builder().capacity(16).shards(1 + seed as usize % 2).slack(4);
    let builder = if seed % 4 < 2 { builder.manual() } else { builder };
    let builder = if seed % 8 < 4 { builder.on_full(OnFull::Reject) } else { builder };
    let builder = if seed.is_multiple_of(3) { builder.max_bytes(4_096) } else { builder };
    let (calm, alive) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let world = Arc::new(World {
        store: builder.build().unwrap(),
        handles: Mutex::default(),
        calm: Arc::clone(&calm),
        alive: Arc::clone(&alive),
    });
    if seed % 5 < 3 {
        let within = Arc::downgrade(&world);
        world.store.on_evict(move |_, _, _| act_sometimes(&within, true));
    }
    let threads: Vec<_> = (1..=3)
        .map(|number| {
            let world = Arc::clone(&world);
            std::thread::spawn(move || {
                RANDOM.set((seed * 31 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
                for _ in 0..400 {
                    // A panic in a predicate or a clone unwinds into its caller.
                    let _ = catch_unwind(AssertUnwindSafe(|| act(&world)));
                    WITHIN.set(0);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    if seed.is_multiple_of(2) {
        calm.store(true, Ordering::SeqCst);
        let store = world.store.clone();
        store.flush().unwrap();
        store.audit().unwrap();
        let stats = store.stats();
        assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
        world.drop_handles();
        store.shutdown().unwrap();
    }
    // Otherwise the store ends during random actions as well, and its last handle may be dropped
    // anywhere but on the indexer's thread.
    world.drop_handles();
    drop(world);
    let mut left = 2_000;
    while alive.load(Ordering::SeqCst) != 0 && left > 0 {
        std::thread::sleep(Duration::from_millis(5));
        left -= 1;
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0, "some records were not dropped exactly once");
}

#[test]
fn user_code_may_call_the_store_panic_and_drop_handles_anywhere() {
    let seeds =
        std::env::var("SLIPRING_SEEDS").map_or(48, |seeds| seeds.parse().expect("it is a number"));
    static SEED: AtomicU64 = AtomicU64::new(0);
    let (done, came) = mpsc::channel();
    std::thread::spawn(move || {
        for seed in 0..seeds {
            SEED.store(seed, Ordering::SeqCst);
            run_wild(seed);
            done.send(()).unwrap();
        }
    });
    for _ in 0..seeds {
        let came = came.recv_timeout(Duration::from_secs(60));
        assert!(came.is_ok(), "seed {} hangs or fails", SEED.load(Ordering::SeqCst));
    }
}
