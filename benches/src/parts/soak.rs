//! Measures a long run at full speed: whether memory, lag and the cost of a push stay what they
//! were at the beginning.

use super::Options;
use crate::clock::{Ticks, Times};
use crate::peers::Peer;
use crate::process;
use crate::recent::{Draws, Recent};
use crate::report::{Better, Part, Shown, Table, median};
use crate::workload::{Traces, Workload};
use slipring::Store;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

const OURS: &str = "slipring";
const MIB: f64 = 1_048_576.0;
/// The maximum number of points in a plot.
const POINTS: u32 = 600;
/// The interval at which the lag is read.
const LOOK: Duration = Duration::from_millis(50);
/// One in this many pushes is timed.
const TIMED: u64 = 8;
/// The reader's pause between two lookups.
const PAUSE: Duration = Duration::from_millis(1);
/// The first and the last of these are compared.
const MINUTE: Duration = Duration::from_secs(60);

/// The measured figures, in this order.
const PANELS: [&str; 4] =
    ["resident, MiB", "indexes, MiB", "lag at the most, records", "push p99, ns"];

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let tables = soak::<Traces>(options.long_run);
    options.part("soak", "A long run at full speed", tables.into())
}

/// Runs a producer for each core, and a reader that looks up traces.
fn soak<W: Workload>(length: Duration) -> [Table; 2] {
    let producers = available_parallelism().map_or(1, usize::from);
    let store: &Store<W::Record> = &Peer::new(W::CAPACITY, producers);
    let interval = (length / POINTS).max(Duration::from_secs(1));
    let (over, number, ticks) = (&AtomicBool::new(false), &AtomicU64::new(0), &Ticks::new());
    let (sender, times) = channel();
    let recent = &Recent::like(&W::records(1).next().expect("records never end"));
    let begun = Instant::now();
    let samples = thread::scope(|scope| {
        for producer in 0..producers {
            let sender = sender.clone();
            let recent = (producer == 0).then_some(recent);
            scope.spawn(move || {
                push::<W>(store, ticks, producer as u64 + 1, recent, number, over, &sender)
            });
        }
        scope.spawn(move || {
            for draw in Draws(1) {
                black_box(store.lookup(0, recent.pick(draw), usize::MAX));
                if over.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(PAUSE);
            }
        });
        let mut samples = Vec::new();
        while begun.elapsed() < length {
            samples.push(watch(store, ticks, interval, producers, number, &times));
            let elapsed = begun.elapsed().as_secs();
            if samples.len().is_multiple_of(30) {
                eprintln!("soak: {elapsed} of {} s at full speed", length.as_secs());
            }
        }
        over.store(true, Ordering::Relaxed);
        samples
    });
    Peer::settle(store);
    store.audit().expect("the audit finds no breach");
    let pushed = store.stats().offered as f64;
    report::<W>(&samples, interval, begun.elapsed(), producers, pushed)
}

/// Pushes until `over` is set. Whenever the number of the interval changes, sends the times of the
/// previous interval.
fn push<W: Workload>(
    store: &Store<W::Record>,
    ticks: &Ticks,
    seed: u64,
    recent: Option<&Recent>,
    number: &AtomicU64,
    over: &AtomicBool,
    sender: &Sender<(u64, Times)>,
) {
    let (mut records, mut times, mut current) =
        (W::records(seed), ticks.times(), number.load(Ordering::Relaxed));
    while !over.load(Ordering::Relaxed) {
        for (count, record) in (0_u64..).zip(records.by_ref().take(256)) {
            recent.iter().for_each(|recent| recent.note(&record));
            if count.is_multiple_of(TIMED) {
                let started = ticks.now();
                let _ = store.push(record);
                times.note(started, ticks.now());
            } else {
                let _ = store.push(record);
            }
        }
        let now = number.load(Ordering::Relaxed);
        if now != current {
            // The receiver ignores what is sent after the end of the run.
            let _ = sender.send((current, std::mem::replace(&mut times, ticks.times())));
            current = now;
        }
    }
}

/// Measures one interval. The figures are in the order of [`PANELS`].
fn watch<T: slipring::Signal>(
    store: &Store<T>,
    ticks: &Ticks,
    interval: Duration,
    producers: usize,
    number: &AtomicU64,
    times: &Receiver<(u64, Times)>,
) -> [f64; 4] {
    let until = Instant::now() + interval;
    let mut lag = 0;
    while Instant::now() < until {
        thread::sleep(LOOK);
        lag = lag.max(store.stats().indexer_lag);
    }
    let ended = number.fetch_add(1, Ordering::Relaxed);
    let mut all = ticks.times();
    let each = times.iter().filter(|(of, _)| *of == ended).take(producers);
    each.for_each(|(_, times)| all.add(&times));
    let indexes = store.stats().index_memory_bytes as f64 / MIB;
    [process::resident() as f64 / MIB, indexes, lag as f64, all.quantiles().p99]
}

fn report<W: Workload>(
    samples: &[[f64; 4]],
    interval: Duration,
    took: Duration,
    producers: usize,
    pushed: f64,
) -> [Table; 2] {
    let length = match took.as_secs() {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    };
    let title = format!("{length} at full speed ({}, {producers} producers)", W::NAME);
    let mut series = Table::new("soak", title, "units of their own", Better::Less)
        .along("seconds")
        .shown(Shown::Plotted);
    let mut ends = Table::new(
        "soak-ends",
        "From the first minute to the last",
        "units of their own",
        Better::Less,
    )
    .shown(Shown::Listed)
    .noting(
        "Medians of the seconds of each minute; of a run of less than two minutes, of its halves.",
    );
    let minute = (MINUTE.as_secs_f64() / interval.as_secs_f64()) as usize;
    let minute = minute.clamp(1, samples.len().div_ceil(2).max(1));
    for (column, panel) in PANELS.into_iter().enumerate() {
        for (number, sample) in samples.iter().enumerate() {
            let second = (interval.as_secs_f64() * (number + 1) as f64).round();
            series.add(panel, &second.to_string(), OURS, sample[column]);
        }
        let of =
            |samples: &[[f64; 4]]| median(samples.iter().map(|sample| sample[column]).collect());
        let (first, last) = (
            &samples[..minute.min(samples.len())],
            &samples[samples.len().saturating_sub(minute)..],
        );
        for (case, minute) in [("the first minute", first), ("the last minute", last)] {
            ends.add(panel, case, OURS, of(minute).unwrap_or(f64::NAN));
        }
    }
    ends.add("in all", "million records", OURS, pushed / 1e6);
    ends.add("in all", "million records/s", OURS, pushed / took.as_secs_f64() / 1e6);
    [series, ends]
}
