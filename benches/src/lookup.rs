//! Lookups beside ingest.

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

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A trace, whole: 8 spans.
    Trace,
    /// The last 100 errors.
    Errors,
    /// Every service.
    Services,
}

/// How many records come in meanwhile, by one producer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// None.
    None,
    /// So many a second, in bursts: the producer sleeps some 100 µs between them, so that it takes
    /// no more of a core than its pushes do.
    PerSecond(f64),
    /// As many as it can.
    FlatOut,
}

/// What a run of lookups showed.
#[derive(Clone, Copy, Debug)]
pub struct Lookups {
    /// How long they took.
    pub times: Quantiles,
    /// Records that came in meanwhile, a second.
    pub ingest: f64,
    /// The share of answers that had fewer records than were asked for, or none.
    pub short: f64,
}

/// Between two bursts.
const NAP: Duration = Duration::from_micros(100);

/// Asks the same kind of question again and again while a producer pushes.
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

/// Records, or keys, in a whole answer.
fn wanted(question: Question) -> usize {
    match question {
        Question::Trace => shop::fixed::SPANS_PER_TRACE as usize,
        Question::Errors => 100,
        Question::Services => usize::from(shop::fixed::SERVICES),
    }
}

/// Pushes at this rate until it is over; how many a second there were.
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
        // What it is late with it makes up for, some at a time.
        let burst = due.saturating_sub(pushed).min(1024);
        records.by_ref().take(burst as usize).for_each(&mut push);
        pushed += burst;
        if pushed >= due && rate != Rate::FlatOut {
            std::thread::sleep(NAP);
        }
    }
    pushed as f64 / started.elapsed().as_secs_f64()
}
