//! `slipring replay`: loads files into stores and reports their contents.

use crate::input::{Body, Item, Requests};
use crate::report::{FileReport, Problem, Replayed, Report};
use crate::stop::Stop;
use crate::text::{rate, thousands, write_json};
use crate::{End, Fallible, Keeping, memory, shown};
use clap::Args;
use crossbeam_channel::{Receiver, Sender};
use indicatif::{ProgressBar, ProgressStyle};
use slipring::Telemetry;
use slipring::otlp::{Encoding, Kind, Rejected, Request};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Loads OTLP files into memory and reports their contents
///
/// Reads JSON as the Collector's file exporter writes it (one export request per line) or as `jq`
/// writes it (over many lines). Also reads messages in protobuf, each preceded by its length (four
/// bytes or a varint), and each possibly compressed with zstd. The whole file may be compressed
/// with gzip or zstd. `-` means standard input.
///
/// A damaged line is skipped, and a malformed record is rejected. Both are reported with their
/// line, and make the exit status 1. By default, the stores are large enough for the files, up to
/// two million records each.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Reads these files, such as `traces.jsonl logs.jsonl.gz`; `-` means standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Reads with one thread, so that records arrive in the order of the files
    #[arg(long)]
    ordered: bool,
    /// Limits the rate to N records per second, such as 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Reads the files this many times, such as 3; 0 repeats until interrupted
    #[arg(long = "loop", value_name = "TIMES", default_value_t = 1)]
    times: u64,
    /// Sets the signal of protobuf messages [default: the first of traces, logs and metrics that
    /// fits]
    #[arg(long, value_enum)]
    signal: Option<Signal>,
    /// Writes the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    keeping: Keeping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl From<Signal> for Kind {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Kind::Traces,
            Signal::Logs => Kind::Logs,
            Signal::Metrics => Kind::Metrics,
        }
    }
}

/// The sizes, in bytes, of the shortest span, log record and metric point in real files.
const SHORTEST: [u64; 3] = [150, 100, 40];

/// The capacity of a store if the files' sizes are unknown (`UNKNOWN_SIZE`), and the largest
/// default capacity (`MOST`).
const UNKNOWN_SIZE: usize = 200_000;
const MOST: usize = 2_000_000;

/// The maximum number of problems that are reported one by one.
const MOST_REPORTED: usize = 20;

/// The capacity of the queue of unparsed requests. It is small because a request may be large.
const WAITING: usize = 8;

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let reads_input = arguments.files.iter().any(|file| file.as_os_str() == "-");
    if reads_input && arguments.times != 1 {
        return Err("standard input can be read once; use --loop with files".into());
    }
    let sizes = sizes(&arguments.files)?;
    let telemetry = arguments.keeping.build(capacities(&sizes))?;
    let stop = Stop::listen()?;
    let started = Instant::now();
    let replayed = replay(arguments, &telemetry, &sizes, &stop)?;
    telemetry.flush()?;
    memory::give_back();
    let report =
        Report::of(&telemetry, Some(replayed.into_report(started.elapsed(), stop.is_asked())))?;
    let out = &mut io::stdout().lock();
    if arguments.json {
        shown(write_json(out, &report))?;
    } else {
        shown(report.print(out))?;
    }
    Ok(if report.is_in_order() { End::Well } else { End::WithProblems })
}

/// Returns the bytes of each file, or `None` for one whose size is unknown. A file that does not
/// exist is an error here, before any work is done.
fn sizes(files: &[PathBuf]) -> Fallible<Vec<Option<u64>>> {
    let size = |path: &PathBuf| {
        if path.as_os_str() == "-" {
            return Ok(None);
        }
        let file =
            std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if file.is_dir() {
            return Err(format!("{} is a folder; name the files in it", path.display()).into());
        }
        // Compression reduces such text to about a tenth.
        let packed = is_packed(path);
        Ok(file.is_file().then(|| file.len().saturating_mul(if packed { 10 } else { 1 })))
    };
    files.iter().map(size).collect()
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

fn capacities(sizes: &[Option<u64>]) -> [usize; 3] {
    let all: Option<u64> = sizes.iter().copied().sum();
    SHORTEST.map(|shortest| {
        all.map_or(UNKNOWN_SIZE, |bytes| (bytes / shortest) as usize).clamp(1_000, MOST)
    })
}

/// The numbers of records that one worker thread has stored and rejected, per file.
#[derive(Default)]
struct Tally {
    files: Vec<FileReport>,
    rejected: Rejected,
    problems: Vec<Problem>,
    /// The number of all problems, including those not in `problems`.
    all_problems: u64,
}

fn replay(
    arguments: &Arguments,
    telemetry: &Telemetry,
    sizes: &[Option<u64>],
    stop: &Stop,
) -> Fallible<Tally> {
    let files = &arguments.files;
    let workers =
        if arguments.ordered { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    let bytes = Arc::new(AtomicU64::new(0));
    let taken = AtomicU64::new(0);
    let pace = Pace { rate: arguments.rate, started: Instant::now() };
    let bar = progress(arguments, sizes);
    let (sender, receiver) = crossbeam_channel::bounded::<(usize, Item)>(WAITING);
    thread::scope(|scope| {
        let work = || {
            let mut tally = Tally::new(files);
            work(arguments, telemetry, &receiver, &taken, &pace, stop, &mut tally);
            tally
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let read = read(arguments, &bytes, sender, stop, |done| {
            bar.set_position(bytes.load(Ordering::Relaxed));
            let taken = taken.load(Ordering::Relaxed);
            bar.set_message(format!(
                "{} records, {}/s",
                thousands(taken),
                thousands(rate(taken, pace.started.elapsed()))
            ));
            if done {
                bar.finish_and_clear();
            }
        });
        let mut whole = Tally::new(files);
        for worker in workers {
            whole.add(worker.join().expect("a worker does not panic"));
        }
        read.map(|()| whole)
    })
}

fn progress(arguments: &Arguments, sizes: &[Option<u64>]) -> ProgressBar {
    let all: Option<u64> = sizes.iter().copied().sum();
    let packed = arguments.files.iter().any(|file| is_packed(file));
    let all = all
        .filter(|_| !packed)
        .map(|bytes| bytes.saturating_mul(arguments.times))
        .filter(|bytes| *bytes > 0);
    let style =
        |template: &str| ProgressStyle::with_template(template).expect("the template is sound");
    match all {
        Some(bytes) => ProgressBar::new(bytes)
            .with_style(style("{bar:30} {bytes}/{total_bytes}, {msg}, {eta} left")),
        None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, {msg}, {elapsed}")),
    }
}

/// Reads the files and sends their requests to the workers.
fn read(
    arguments: &Arguments,
    bytes: &Arc<AtomicU64>,
    sender: Sender<(usize, Item)>,
    stop: &Stop,
    show: impl Fn(bool),
) -> Fallible<()> {
    let mut shown = Instant::now();
    let mut time = 0;
    'all: while (arguments.times == 0 || time < arguments.times) && !stop.is_asked() {
        time += 1;
        let mut any = false;
        for (number, path) in arguments.files.iter().enumerate() {
            let requests = match Requests::open(path, Arc::clone(bytes)) {
                Ok(requests) => requests,
                Err(error) => {
                    let damaged = Item {
                        number: 1,
                        body: Body::Damaged(format!("{error}; the file is skipped")),
                    };
                    let _ = sender.send((number, damaged));
                    continue;
                }
            };
            for item in requests {
                any = true;
                if stop.is_asked() || sender.send((number, item)).is_err() {
                    break 'all;
                }
                if shown.elapsed() > Duration::from_millis(100) {
                    show(false);
                    shown = Instant::now();
                }
            }
        }
        if !any {
            // No file holds a request, so a further pass would find none either.
            break;
        }
    }
    show(true);
    Ok(())
}

fn work(
    arguments: &Arguments,
    telemetry: &Telemetry,
    receiver: &Receiver<(usize, Item)>,
    taken: &AtomicU64,
    pace: &Pace,
    stop: &Stop,
    tally: &mut Tally,
) {
    for (file, item) in receiver {
        let request = match &item.body {
            Body::Json(line) => Request::read_json(line).map_err(|error| error.to_string()),
            Body::Protobuf(message) => read_protobuf(arguments.signal.map(Kind::from), message),
            Body::Damaged(why) => Err(why.clone()),
        };
        match request {
            Err(what) => {
                tally.files[file].damaged += 1;
                tally.report(file, item.number, what);
            }
            Ok(mut request) => {
                let read = request.rejected.records();
                let all = lengths(&request);
                let rejected = take(telemetry, &mut request, taken, pace, stop);
                let left = lengths(&request);
                let file_counts = &mut tally.files[file];
                file_counts.spans += all[0] - left[0];
                file_counts.log_records += all[1] - left[1];
                file_counts.metric_points += all[2] - left[2];
                file_counts.not_kept += rejected.records() - read;
                if !rejected.is_empty() {
                    file_counts.rejected += rejected.records();
                    tally.rejected.merge(&rejected);
                    tally.report(file, item.number, rejected.to_string());
                }
            }
        }
        if stop.is_asked() {
            // Drains the queue, so that the reader does not block on a full one.
            while receiver.recv().is_ok() {}
            return;
        }
    }
}

fn lengths(request: &Request) -> [u64; 3] {
    [request.spans.len(), request.logs.len(), request.points.len()].map(|length| length as u64)
}

/// Stores a request's records at the requested pace. If the user stops the program meanwhile, the
/// records not yet stored stay in `request`.
fn take(
    telemetry: &Telemetry,
    request: &mut Request,
    taken: &AtomicU64,
    pace: &Pace,
    stop: &Stop,
) -> Rejected {
    let Some(rate) = pace.rate else {
        taken.fetch_add(request.len() as u64, Ordering::Relaxed);
        return telemetry.ingest_request(std::mem::take(request));
    };
    let mut rejected = std::mem::take(&mut request.rejected);
    // Stores the records of a tenth of a second at a time.
    let portion = (rate / 10).clamp(1, 10_000) as usize;
    while !request.is_empty() && !stop.is_asked() {
        let mut some = Request::default();
        some.spans = request.spans.drain(..portion.min(request.spans.len())).collect();
        some.logs = request.logs.drain(..portion.min(request.logs.len())).collect();
        some.points = request.points.drain(..portion.min(request.points.len())).collect();
        let records = some.len() as u64;
        rejected.merge(&telemetry.ingest_request(some));
        let all = taken.fetch_add(records, Ordering::Relaxed) + records;
        pace.wait_for(all, stop);
    }
    rejected
}

/// Parses a message of the given kind. Where `kind` is `None`, tries traces, logs and metrics, and
/// prefers the first kind as which the whole message parses.
fn read_protobuf(kind: Option<Kind>, message: &[u8]) -> Result<Request, String> {
    let read =
        |kind| Request::read(kind, Encoding::Protobuf, message).map_err(|error| error.to_string());
    match kind {
        Some(kind) => read(kind),
        None => {
            let is_partly =
                |read: &Result<Request, _>| read.as_ref().is_ok_and(|request| !request.is_empty());
            let is_whole = |read: &Result<Request, _>| {
                is_partly(read) && read.as_ref().is_ok_and(|request| request.rejected.is_empty())
            };
            let mut fits = read(Kind::Traces);
            for kind in [Kind::Logs, Kind::Metrics] {
                if is_whole(&fits) {
                    break;
                }
                let next = read(kind);
                if is_whole(&next) || (is_partly(&next) && !is_partly(&fits)) {
                    fits = next;
                }
            }
            fits
        }
    }
}

impl Tally {
    fn new(files: &[PathBuf]) -> Self {
        Self { files: files.iter().map(FileReport::of).collect(), ..Self::default() }
    }

    fn report(&mut self, file: usize, number: u64, what: String) {
        self.all_problems += 1;
        let file = &self.files[file].file;
        // Repeated problems of a file are counted with their first occurrence.
        if let Some(known) =
            self.problems.iter_mut().find(|known| known.what == what && known.file == *file)
        {
            known.again += 1;
            known.line = known.line.min(number);
        } else if self.problems.len() < MOST_REPORTED {
            self.problems.push(Problem { file: file.clone(), line: number, what, again: 0 });
        }
    }

    fn add(&mut self, other: Self) {
        self.files.iter_mut().zip(other.files).for_each(|(file, other)| file.add(&other));
        self.rejected.merge(&other.rejected);
        self.all_problems += other.all_problems;
        for problem in other.problems {
            let alike =
                |known: &&mut Problem| known.what == problem.what && known.file == problem.file;
            match self.problems.iter_mut().find(alike) {
                Some(known) => {
                    known.again += 1 + problem.again;
                    known.line = known.line.min(problem.line);
                }
                None => self.problems.push(problem),
            }
        }
        self.problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        self.problems.truncate(MOST_REPORTED);
    }

    fn into_report(self, took: Duration, interrupted: bool) -> Replayed {
        let listed: u64 = self.problems.iter().map(|problem| 1 + problem.again).sum();
        let others = self.all_problems - listed;
        let mut replayed = Replayed::new(self.files, &self.rejected, self.problems, others, took);
        replayed.interrupted = interrupted;
        replayed
    }
}

/// Limits the rate at which records are stored.
struct Pace {
    rate: Option<u64>,
    started: Instant,
}

impl Pace {
    /// Sleeps until so many records may have come in, or the user has asked to stop.
    fn wait_for(&self, records: u64, stop: &Stop) {
        let Some(rate) = self.rate else { return };
        let due =
            Duration::try_from_secs_f64(records as f64 / rate as f64).unwrap_or(Duration::MAX);
        while !stop.is_asked() {
            let left = due.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
