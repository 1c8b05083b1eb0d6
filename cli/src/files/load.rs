//! Reads files on several threads, and hands their requests on.

use super::Tally;
use super::size;
use crate::Fallible;
use crate::input::{Body, Item, Requests};
use crate::stop::Stop;
use crate::text::{rate, thousands};
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

/// Capacity of the queue of unparsed requests. It is small since each request may be large.
const WAITING: usize = 8;

/// Takes a request's records, and returns those that it rejects, besides the ones that were
/// rejected before.
type Deliver<'a> = dyn Fn(Request) -> Rejected + Sync + 'a;

/// Opens an input, and counts the bytes that are read of it.
type Open<'a> = dyn Fn(&Path, Arc<AtomicU64>) -> io::Result<Requests> + Sync + 'a;

/// Which files to read, and how.
pub struct Load<'a> {
    pub files: &'a [PathBuf],
    /// The bytes of each, where they are known, for the progress bar.
    pub sizes: &'a [Option<u64>],
    /// Reads with one thread, so that records arrive in the order of the files.
    pub ordered: bool,
    /// The most records a second.
    pub rate: Option<u64>,
    /// How often the files are read; 0 is until `stop` is asked for.
    pub times: u64,
    /// What protobuf messages carry. If it is `None`, what fits.
    pub signal: Option<Kind>,
    pub stop: &'a Stop,
}

impl<'a> Load<'a> {
    /// Reads each file once, in order.
    pub fn in_order(files: &'a [PathBuf], sizes: &'a [Option<u64>], stop: &'a Stop) -> Self {
        Self { files, sizes, ordered: true, rate: None, times: 1, signal: None, stop }
    }

    /// Reads the files into stores.
    pub fn fill(&self, telemetry: &Telemetry) -> Fallible<Tally> {
        self.read(&Requests::open, &|request| telemetry.ingest_request(request))
    }

    /// Reads the files, and passes each request to `deliver`.
    pub fn read(&self, open: &Open<'_>, deliver: &Deliver<'_>) -> Fallible<Tally> {
        let workers =
            if self.ordered { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
        let bytes = Arc::new(AtomicU64::new(0));
        let pace = Pace { rate: self.rate, started: Instant::now(), taken: AtomicU64::new(0) };
        let bar = self.progress();
        let (sender, receiver) = crossbeam_channel::bounded::<(usize, Item)>(WAITING);
        thread::scope(|scope| {
            let work = || {
                let mut tally = Tally::new(self.files);
                self.work(deliver, &receiver, &pace, &mut tally);
                tally
            };
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let read = self.send(open, &bytes, sender, |done| {
                bar.set_position(bytes.load(Ordering::Relaxed));
                let taken = pace.taken.load(Ordering::Relaxed);
                bar.set_message(format!(
                    "{} records, {}/s",
                    thousands(taken),
                    thousands(rate(taken, pace.started.elapsed()))
                ));
                if done {
                    bar.finish_and_clear();
                }
            });
            let mut whole = Tally::new(self.files);
            for worker in workers {
                whole.add(worker.join().expect("a worker does not panic"));
            }
            read.map(|()| whole)
        })
    }

    fn progress(&self) -> ProgressBar {
        let all: Option<u64> = self.sizes.iter().copied().sum();
        let packed = self.files.iter().any(|file| size::is_packed(file));
        let all = all
            .filter(|_| !packed)
            .map(|bytes| bytes.saturating_mul(self.times))
            .filter(|bytes| *bytes > 0);
        let style =
            |template: &str| ProgressStyle::with_template(template).expect("the template is sound");
        match all {
            Some(bytes) => ProgressBar::new(bytes)
                .with_style(style("{bar:30} {bytes}/{total_bytes}, {msg}, {eta} left")),
            None => {
                ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, {msg}, {elapsed}"))
            }
        }
    }

    /// Reads the files and sends their requests to the workers.
    fn send(
        &self,
        open: &Open<'_>,
        bytes: &Arc<AtomicU64>,
        sender: Sender<(usize, Item)>,
        show: impl Fn(bool),
    ) -> Fallible<()> {
        let mut shown = Instant::now();
        let mut time = 0;
        'all: while (self.times == 0 || time < self.times) && !self.stop.is_asked() {
            time += 1;
            let mut any = false;
            for (number, path) in self.files.iter().enumerate() {
                let requests = match open(path, Arc::clone(bytes)) {
                    Ok(requests) => requests,
                    Err(error) => {
                        let damaged = Item {
                            number: 1,
                            body: Body::Damaged(format!("{error}; the file is left out")),
                        };
                        let _ = sender.send((number, damaged));
                        continue;
                    }
                };
                for item in requests {
                    any = true;
                    if self.stop.is_asked() || sender.send((number, item)).is_err() {
                        break 'all;
                    }
                    if shown.elapsed() > Duration::from_millis(100) {
                        show(false);
                        shown = Instant::now();
                    }
                }
            }
            if !any {
                // No file holds a request, so that a further pass would find none either.
                break;
            }
        }
        show(true);
        Ok(())
    }

    fn work(
        &self,
        deliver: &Deliver<'_>,
        receiver: &Receiver<(usize, Item)>,
        pace: &Pace,
        tally: &mut Tally,
    ) {
        for (file, item) in receiver {
            let request = match &item.body {
                Body::Json(line) => Request::read_json(line).map_err(|error| error.to_string()),
                Body::Protobuf(message) => read_protobuf(self.signal, message),
                Body::Damaged(why) => Err(why.clone()),
            };
            match request {
                Err(what) => tally.damaged(file, item.number, what),
                Ok(mut request) => {
                    let read = request.rejected.records();
                    let all = lengths(&request);
                    let rejected = pace.take(deliver, &mut request, self.stop);
                    let left = lengths(&request);
                    let taken = [0, 1, 2].map(|signal| all[signal] - left[signal]);
                    tally.taken(file, item.number, taken, rejected.records() - read, &rejected);
                }
            }
            if self.stop.is_asked() {
                // Drains the queue, so that the reader does not block on a full one.
                while receiver.recv().is_ok() {}
                return;
            }
        }
    }
}

fn lengths(request: &Request) -> [u64; 3] {
    [request.spans.len(), request.logs.len(), request.points.len()].map(|length| length as u64)
}

/// Parses a message of the given kind. Where `kind` is `None`, tries traces, logs and metrics, and
/// prefers the first kind as which the whole message parses.
pub fn read_protobuf(kind: Option<Kind>, message: &[u8]) -> Result<Request, String> {
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

/// Limits the rate at which records are stored.
struct Pace {
    rate: Option<u64>,
    started: Instant,
    /// The records stored so far.
    taken: AtomicU64,
}

impl Pace {
    /// Stores a request's records at the requested pace. If the user stops the program meanwhile,
    /// the records not yet stored stay in `request`.
    fn take(&self, deliver: &Deliver<'_>, request: &mut Request, stop: &Stop) -> Rejected {
        let Some(rate) = self.rate else {
            self.taken.fetch_add(request.len() as u64, Ordering::Relaxed);
            return deliver(std::mem::take(request));
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
            rejected.merge(&deliver(some));
            let all = self.taken.fetch_add(records, Ordering::Relaxed) + records;
            self.wait_for(all, rate, stop);
        }
        rejected
    }

    /// Sleeps until so many records may have come in, or the user has asked to stop.
    fn wait_for(&self, records: u64, rate: u64, stop: &Stop) {
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
