//! `kill -9` at random moments, again and again, on the same folders: what the log had synced is in a file
//! once, nothing is there twice, and nothing is there that was not pushed.
//!
//! `SLIPRING_CRASHES` says how often; `ci/crashes` does it a hundred times.

mod support;

use slipring::{LogRecord, Span};
use slipring_archive::{Archive, Files, LogSettings, LogSync, Merge, Place, Settings};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{manual, patient, push};

/// What the process that is killed may push, at most.
const IDS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000_000_000;
const FOLDER: &str = "SLIPRING_CRASHES_FOLDER";
const FIRST: &str = "SLIPRING_CRASHES_FIRST";

/// The records that the stores hold.
const HELD: u64 = 100;

fn settings(folder: &Path, first: u64) -> Settings {
    let mut settings = patient();
    let mut log = LogSettings::new(folder.join("log"));
    log.segment_bytes = 30_000;
    if !syncs_each_write(first) {
        log.sync = LogSync::Every(Duration::from_millis(10));
    } else {
        log.sync = LogSync::EachWrite;
    }
    settings.log = Some(log);
    settings.file_bytes = 60_000;
    settings.file_age = Duration::from_millis(40);
    settings.tidy_every = Duration::from_millis(30);
    (settings.merge, settings.merge_files) = (Merge::All, 3);
    settings.merge_below = 100_000;
    settings.answer_records = usize::MAX;
    settings.answer_bytes = usize::MAX;
    settings.answer_files = usize::MAX;
    settings
}

fn syncs_each_write(first: u64) -> bool {
    (first / IDS).is_multiple_of(2)
}

fn place(folder: &Path) -> Place {
    Place::open(folder.join("files").to_str().unwrap()).unwrap()
}

/// Pushes spans and log records of three hours, and says how far it is, until it is killed.
#[test]
#[ignore = "the process that is killed"]
fn the_process_that_is_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("another test starts this"));
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let telemetry = manual(HELD as usize);
    let archive = Archive::start(&telemetry, place(&folder), &settings(&folder, first)).unwrap();
    let mut out = std::io::stdout();
    let mut durable = 0;
    for id in first..first + IDS {
        let hour = (id / 7 % 3 + 1) * HOUR;
        let span = Span::builder().trace_id(u128::from(id)).span_id(id).name("GET /");
        push(telemetry.traces(), [span.start_unix_nanos(hour + id).build()]);
        if id % 5 == 0 {
            let log = LogRecord::builder().time_unix_nanos(hour + id).trace_id(u128::from(id));
            push(telemetry.logs(), [log.build()]);
        }
        if id % 20 == 0 {
            // Records are logged in the order in which they left, but for those that were taken from
            // the queue together.
            let stats = archive.stats();
            assert_eq!((stats.log.failed, stats.log.full), (0, 0), "{stats:?}");
            let behind = if syncs_each_write(first) { 0 } else { 1_024 };
            durable = durable.max(stats.log.synced.saturating_sub(behind));
            writeln!(out, "at {id} {durable}").unwrap();
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// A generator of numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// What a process did before it was killed.
struct Run {
    first: u64,
    /// The last id that it is known to have pushed.
    pushed: u64,
    /// How many records were synced, of both kinds together, in the order in which they left.
    durable: u64,
}

/// Starts a process and kills it after some time.
fn run(folder: &Path, first: u64, random: &mut Random) -> Run {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut run = Run { first, pushed: first, durable: 0 };
    let mut see = |line: String| {
        // The harness has begun the first line with the test's name.
        if let Some((_, numbers)) = line.split_once("at ")
            && let Some((id, durable)) = numbers.split_once(' ')
            && let (Ok(id), Ok(durable)) = (id.parse(), durable.parse())
        {
            (run.pushed, run.durable) = (id, durable);
        }
    };
    // Every fourth is killed while it starts, when it reads the log.
    if random.below(4) > 0 {
        for line in lines.by_ref() {
            let line = line.unwrap();
            let is_first = line.contains("at ");
            see(line);
            if is_first {
                break;
            }
        }
        let until = Instant::now() + Duration::from_millis(random.below(900));
        while Instant::now() < until {
            see(lines.next().expect("it runs until it is killed").unwrap());
        }
    } else {
        std::thread::sleep(Duration::from_millis(random.below(150)));
    }
    child.kill().unwrap();
    lines.map_while(Result::ok).for_each(see);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "it was killed, and did not end");
    run
}

/// Adds to the end of the log what a machine that fails may leave there.
fn tear(folder: &Path, random: &mut Random) {
    let Ok(entries) = std::fs::read_dir(folder.join("log")) else { return };
    let paths = entries.map(|entry| entry.unwrap().path());
    let last = paths.filter(|path| path.extension().is_some_and(|end| end == "log")).max();
    if let Some(path) = last {
        let mut bytes = vec![0; random.below(60) as usize];
        if random.below(2) == 0 {
            bytes.iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        }
        std::fs::File::options().append(true).open(path).unwrap().write_all(&bytes).unwrap();
    }
}

/// The ids of all spans and log records in the files, each as often as it is there.
fn in_files(folder: &Path) -> [BTreeMap<u64, u32>; 2] {
    let files = Files::new(place(folder), &settings(folder, 0));
    let all: Range<u64> = 0..u64::MAX;
    let (spans, logs) = (files.spans(all.clone()).unwrap(), files.logs(all).unwrap());
    assert!(spans.report.complete && logs.report.complete, "{:?}", spans.report);
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    for span in &spans.spans {
        *found[0].entry(span.span_id().into()).or_default() += 1;
    }
    for log in &logs.logs {
        *found[1].entry(u128::from(log.trace_id().unwrap()) as u64).or_default() += 1;
    }
    found
}

/// Returns how many of a run's records are in files, and checks that they are those that have to be.
fn check(run: &Run, [spans, logs]: &[BTreeMap<u64, u32>; 2]) -> u64 {
    let ids = run.first..run.first + IDS;
    let (spans, logs) = (spans.range(ids.clone()), logs.range(ids));
    let (spans, logs): (Vec<_>, Vec<_>) = (spans.collect(), logs.collect());
    for (id, count) in spans.iter().chain(&logs) {
        assert_eq!(**count, 1, "{id} is there more than once");
        // What it pushed after it last said so, and what it said and was not read.
        assert!(**id <= run.pushed + 20, "{id} of {}", run.pushed);
    }
    let count = (spans.len() + logs.len()) as u64;
    assert!(count >= run.durable, "{count} of {} that were synced", run.durable);
    // Those that left first are there: of each kind, no gap among what was synced.
    for (kind, of_kind) in [(&spans, 5), (&logs, 1)] {
        let sure = (run.durable * of_kind / 6).saturating_sub(HELD * 2) as usize;
        let step = if of_kind == 5 { 1 } else { 5 };
        let expected = (run.first..).step_by(step).take(sure);
        assert!(
            kind.iter().take(sure).map(|(id, _)| **id).eq(expected),
            "a gap after {}",
            run.first
        );
    }
    count
}

#[test]
fn what_was_synced_is_in_a_file_once_whenever_the_process_is_killed() {
    let crashes = std::env::var("SLIPRING_CRASHES").map_or(5, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seed = std::env::var("SLIPRING_SEED").map_or(7, |text| text.parse().unwrap());
    let mut random = Random(std::cmp::max(seed, 1));
    let mut runs = Vec::new();
    for number in 1..=crashes {
        runs.push(run(folder.path(), number * IDS, &mut random));
        if random.below(2) == 0 {
            tear(folder.path(), &mut random);
        }
    }
    let last = settings(folder.path(), 0);
    let archive = Archive::start(&manual(1), place(folder.path()), &last).unwrap();
    let stats = archive.finish().unwrap();
    assert_eq!((stats.written, stats.lost.total()), (stats.recovered, 0), "{stats:?}");
    assert_eq!((stats.left, stats.log.bytes), (0, 0), "{stats:?}");
    let found = in_files(folder.path());
    let (mut pushed, mut durable, mut there) = (0, 0, 0);
    for run in &runs {
        there += check(run, &found);
        pushed += (run.pushed - run.first) * 6 / 5;
        durable += run.durable;
    }
    let all: usize = found.iter().map(BTreeMap::len).sum();
    assert_eq!(there as usize, all, "and none that nobody has pushed");
    assert!(there > 0);
    println!(
        "{crashes} crashes: of {pushed} records pushed {there} are in files once, of which \
         {durable} were known to be synced; the last start found {} in the log, {} bytes torn, {} damaged",
        stats.recovered, stats.log.torn_bytes, stats.log.damaged_bytes
    );
}
