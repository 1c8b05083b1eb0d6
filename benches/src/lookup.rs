//! Times lookups while a producer pushes.

use crate::clock::{Quantiles, Ticks};
use crate::ingest::filling;
use crate::peers::{Peer, Producer, Record};
use crate::recent::{Draws, Recent};
use crate::workload::Workload;
use slipring::{Key, Severity};
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a lookup asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The 8 spans of a trace.
    Trace,
    /// The newest 100 errors.
    Errors,
    /// The list of services.
    Services,
}

/// The rate at which one producer pushes during the lookups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// The producer pushes nothing.
    None,
    /// This many records per second, in bursts. The producer sleeps about 100 µs between bursts, so
    /// that it uses no more of a core than its pushes need.
    PerSecond(f64),
    /// As fast as the producer can.
    FlatOut,
}

/// The result of a run of lookups.
#[derive(Clone, Copy, Debug)]
pub struct Lookups {
    /// Quantiles of the lookups' times.
    pub times: Quantiles,
    /// Records per second that the producer pushed during the lookups.
    pub ingest: f64,
    /// The share of answers with fewer records than were asked for.
    pub short: f64,
}

/// The producer's pause between two bursts.
const NAP: Duration = Duration::from_micros(100);

/// The same if it pushes nothing. A short pause would interrupt more than one in a hundred of the
/// lookups of some microseconds, on a core that the two threads share, and so be their p99.
const REST: Duration = Duration::from_millis(20);

/// Repeats one kind of lookup while a producer pushes, and times each lookup.
pub fn lookups<W: Workload, P: Peer<W::Record>>(
    ticks: &Ticks,
    question: Question,
    rate: Rate,
    length: Duration,
) -> Lookups {
    let store = P::new(W::CAPACITY, 1);
    let mut records = W::records(1);
    let recent = Recent::like(&records.next().expect("records never end"));
    let (ready, over) = (Barrier::new(2), AtomicBool::new(false));
    let (times, asked, short, ingest) = std::thread::scope(|scope| {
        let (store, recent, ready, over) = (&store, &recent, &ready, &over);
        let pushing = scope.spawn(move || {
            let mut producer = store.producer(0);
            let mut push = |record: W::Record| {
                recent.note(&record);
                producer.push(record);
            };
            records.by_ref().take(filling::<W::Record, P>(W::CAPACITY)).for_each(&mut push);
            store.settle();
            ready.wait();
            pace(rate, records, push, over)
        });
        ready.wait();
        let (mut times, mut short) = (ticks.times(), 0_u64);
        let started = Instant::now();
        for draw in Draws(1) {
            let key = key(question, recent, draw);
            let begun = ticks.now();
            let found = ask(store, question, key);
            times.note(begun, ticks.now());
            short += u64::from(found < wanted(question));
            if started.elapsed() >= length {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        let ingest = pushing.join().expect("producers end well");
        (times.quantiles(), times.count(), short, ingest)
    });
    store.settle();
    store.audit();
    Lookups { times, ingest, short: short as f64 / asked as f64 }
}

fn key(question: Question, recent: &Recent, draw: u64) -> Key<'static> {
    match question {
        Question::Trace => recent.pick(draw),
        Question::Errors | Question::Services => Severity::ERROR.into(),
    }
}

#[inline]
fn ask<T: Record>(store: &impl Peer<T>, question: Question, key: Key<'_>) -> usize {
    match question {
        Question::Trace => black_box(store.lookup(0, key, usize::MAX)).len(),
        Question::Errors => black_box(store.lookup(2, key, wanted(question))).len(),
        Question::Services => black_box(store.list(1)).len(),
    }
}

/// Returns the number of records, or of keys, in a complete answer.
fn wanted(question: Question) -> usize {
    match question {
        Question::Trace => shop::fixed::SPANS_PER_TRACE as usize,
        Question::Errors => 100,
        Question::Services => usize::from(shop::fixed::SERVICES),
    }
}

/// Pushes at this rate until `over` is set. Returns the number of records per second.
fn pace<T>(
    rate: Rate,
    mut records: impl Iterator<Item = T>,
    mut push: impl FnMut(T),
    over: &AtomicBool,
) -> f64 {
    let (started, mut pushed) = (Instant::now(), 0_u64);
    while !over.load(Ordering::Relaxed) {
        let due = match rate {
            Rate::None => pushed,
            Rate::PerSecond(rate) => (started.elapsed().as_secs_f64() * rate) as u64,
            Rate::FlatOut => pushed + 64,
        };
        // A producer that is late catches up, at most 1,024 records at a time.
        let burst = due.saturating_sub(pushed).min(1024);
        records.by_ref().take(burst as usize).for_each(&mut push);
        pushed += burst;
        if pushed >= due && rate != Rate::FlatOut {
            std::thread::sleep(if rate == Rate::None { REST } else { NAP });
        }
    }
    pushed as f64 / started.elapsed().as_secs_f64()
}
