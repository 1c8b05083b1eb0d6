//! Measures what a push costs its producer.

use crate::clock::{Quantiles, Ticks, Times};
use crate::ingest::filling;
use crate::peers::{Peer, Producer};
use crate::recent::{Draws, Recent};
use crate::workload::Workload;
use slipring::Indexes as _;
use slipring::{Key, Signal};
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// When the producer begins its next push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// When the previous push has ended (closed loop). Each push is timed from its beginning.
    Closed,
    /// This many times per second, whatever the previous pushes took (open loop). Each push is
    /// timed from when it was due, so that a push delayed by another one counts its delay.
    Open(f64),
}

/// The threads that run beside the timed producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// No other thread.
    None,
    /// Another producer with the same pace.
    Producer,
    /// Two threads that look traces up, with [`PAUSE`] between two lookups.
    Readers,
    /// A reader that sleeps for [`STALL`] in the middle of a query, then leaves the query for as
    /// long, and repeats this.
    Sleeper,
}

/// A reader's pause between two lookups. On few cores, the scheduler alone would determine the
/// times if readers never paused.
pub const PAUSE: Duration = Duration::from_micros(50);
/// The time that a sleeping reader sleeps inside a query.
pub const STALL: Duration = Duration::from_millis(20);

/// The setting of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// When pushes begin.
    pub pace: Pace,
    /// The threads beside the timed producer.
    pub background: Background,
    /// The time for which pushes are timed.
    pub length: Duration,
}

/// Times pushes into a full store. Creating the record is not part of a push's time.
pub fn latency<W: Workload, P: Peer<W::Record>>(ticks: &Ticks, setting: Setting) -> Quantiles {
    let Setting { pace, background, length } = setting;
    let producers = if background == Background::Producer { 2 } else { 1 };
    let store = P::new(W::CAPACITY, producers);
    let mut records = W::records(1);
    let first = records.next().expect("records never end");
    let recent = Recent::like(&first);
    let over = AtomicBool::new(false);
    let others = if background == Background::Readers {
        2
    } else {
        usize::from(background != Background::None)
    };
    let ready = Barrier::new(others + 1);
    let times = std::thread::scope(|scope| {
        let (store, recent, over, ready, first) = (&store, &recent, &over, &ready, &first);
        for number in 1..=others {
            scope.spawn(move || match background {
                Background::None => {}
                Background::Producer => {
                    let (mut records, mut producer) = (W::records(2), store.producer(1));
                    ready.wait();
                    push(
                        ticks,
                        pace,
                        &mut records,
                        &mut producer,
                        |_| (),
                        || over.load(Ordering::Relaxed),
                    );
                }
                Background::Readers => {
                    ready.wait();
                    read_traces(store, recent, number as u64, over);
                }
                Background::Sleeper => {
                    let key = <W::Record as Signal>::INDEXES.as_slice()[1]
                        .key(first)
                        .expect("all records have a service");
                    ready.wait();
                    sleep_inside(store, key, over);
                }
            });
        }
        let mut producer = store.producer(0);
        for record in records.by_ref().take(filling::<W::Record, P>(W::CAPACITY)) {
            recent.note(&record);
            producer.push(record);
        }
        store.settle();
        ready.wait();
        let started = ticks.now();
        let end = started + (ticks.apart(1.0) * length.as_secs_f64()) as u64;
        let times = push(
            ticks,
            pace,
            &mut records,
            &mut producer,
            |record| recent.note(record),
            || ticks.now() >= end,
        );
        over.store(true, Ordering::Relaxed);
        times
    });
    store.settle();
    store.audit();
    times.quantiles()
}

/// Pushes until `over` returns true, and times each push.
fn push<T>(
    ticks: &Ticks,
    pace: Pace,
    records: &mut impl Iterator<Item = T>,
    producer: &mut impl Producer<T>,
    note: impl Fn(&T),
    over: impl Fn() -> bool,
) -> Times {
    let mut times = ticks.times();
    let begun = ticks.now();
    let gap = if let Pace::Open(rate) = pace { ticks.apart(rate) } else { 0.0 };
    for (number, record) in (0_u64..).zip(records) {
        note(&record);
        let started = match pace {
            Pace::Closed => ticks.now(),
            Pace::Open(_) => {
                let due = begun + (number as f64 * gap) as u64;
                // Spin instead of sleeping, because waking up takes longer than what is measured.
                while ticks.now() < due {}
                due
            }
        };
        producer.push(record);
        times.note(started, ticks.now());
        if number % 64 == 0 && over() {
            break;
        }
    }
    times
}

/// The number of pushes that [`typical`] times together.
const TOGETHER: usize = 16;

/// Returns the typical time of a push in nanoseconds, with a finer resolution than the clock's: the
/// median over groups of pushes that are timed together, divided by the size of a group. One
/// producer pushes, alone. Creating the records is not timed.
pub fn typical<W: Workload, P: Peer<W::Record>>(ticks: &Ticks, length: Duration) -> f64 {
    let store = P::new(W::CAPACITY, 1);
    let mut producer = store.producer(0);
    let mut records = W::records(1);
    records
        .by_ref()
        .take(filling::<W::Record, P>(W::CAPACITY))
        .for_each(|record| producer.push(record));
    store.settle();
    let mut times = ticks.times();
    let end = ticks.now() + (ticks.apart(1.0) * length.as_secs_f64()) as u64;
    let mut group = Vec::with_capacity(TOGETHER);
    while ticks.now() < end {
        group.extend(records.by_ref().take(TOGETHER));
        let started = ticks.now();
        group.drain(..).for_each(|record| producer.push(record));
        times.note(started, ticks.now());
    }
    drop(producer);
    store.settle();
    store.audit();
    times.quantiles().p50 / TOGETHER as f64
}

fn read_traces<T: Signal + Clone>(
    store: &impl Peer<T>,
    recent: &Recent,
    seed: u64,
    over: &AtomicBool,
) {
    for draw in Draws(seed) {
        black_box(store.lookup(0, recent.pick(draw), usize::MAX));
        if over.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
}

fn sleep_inside<T: Signal + Clone>(store: &impl Peer<T>, key: Key<'_>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        store.stall(1, key, STALL);
        std::thread::sleep(STALL);
    }
}
