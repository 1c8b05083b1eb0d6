//! Everything that stores hold, as export requests: some thousand records at a time, so that it
//! takes little memory however much there is.

use super::load::read_protobuf;
use crate::Fallible;
use slipring::otlp::{Encoding, Exported, Kind, encode};
use slipring::query::Cursor;
use slipring::{Bookmark, LogRecord, MetricPoint, Order, Source, Span, Store, Telemetry, TraceId};
use slipring_sampling::{KeptTrace, Record, Seen};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Records that are looked up at once.
const PAGE: usize = 2_000;

/// Bytes of the records in one request, unless a single record has more. In JSON they may take
/// sixteen times as much, which is what a reader of files accepts.
const MOST: usize = 2 << 20;

/// Iterates over the records that stores held when it was made, oldest first, as export requests.
/// Records that are evicted before it comes to them are left out and counted.
pub struct Export {
    encoding: Encoding,
    spans: Option<Pages<Span>>,
    logs: Option<Pages<LogRecord>>,
    points: Option<Pages<MetricPoint>>,
    written: [u64; 3],
    missed: u64,
}

impl Export {
    /// Exports one signal, or all three if `only` is `None`.
    pub fn new(telemetry: &Telemetry, only: Option<Kind>, encoding: Encoding) -> Self {
        let wanted = |kind| only.is_none_or(|only| only == kind);
        Self {
            encoding,
            spans: wanted(Kind::Traces).then(|| Pages::of(telemetry.traces())),
            logs: wanted(Kind::Logs).then(|| Pages::of(telemetry.logs())),
            points: wanted(Kind::Metrics).then(|| Pages::of(telemetry.metrics())),
            written: [0; 3],
            missed: 0,
        }
    }

    /// Adds the records of kept traces that the stores do not hold any more. They come after those
    /// that the stores hold, and each record once.
    #[must_use]
    pub fn and(self, kept: Vec<Arc<KeptTrace>>) -> Self {
        let by_id: HashMap<TraceId, Arc<KeptTrace>> =
            kept.iter().map(|one| (one.trace_id, Arc::clone(one))).collect();
        self.and_later(&kept, move |id| by_id.get(&id).cloned())
    }

    /// Does what [`and`](Self::and) does, and does not hold the traces meanwhile: `get` is asked for
    /// each when its turn comes. The records of those that have left by then are left out and
    /// counted. Records that came in the meantime are left out.
    #[must_use]
    pub fn and_later(
        mut self,
        kept: &[Arc<KeptTrace>],
        get: impl Fn(TraceId) -> Option<Arc<KeptTrace>> + Send + Sync + 'static,
    ) -> Self {
        let get: Get = Arc::new(get);
        add(&mut self.spans, kept, &get);
        add(&mut self.logs, kept, &get);
        add(&mut self.points, kept, &get);
        self
    }

    /// Returns the next request, as it stands in a file: in JSON on a line of its own, in protobuf
    /// behind its length in four bytes. `None` is the end.
    pub fn next(&mut self) -> Fallible<Option<Vec<u8>>> {
        if let Some(spans) = next_of(&mut self.spans, &mut self.missed)? {
            self.written[0] += spans.len() as u64;
            return Ok(Some(self.framed(&spans, |_| true)));
        }
        if let Some(logs) = next_of(&mut self.logs, &mut self.missed)? {
            self.written[1] += logs.len() as u64;
            let is_read_back = |message: &[u8]| {
                read_protobuf(None, message).is_ok_and(|read| read.logs.len() == logs.len())
            };
            return Ok(Some(self.framed(&logs, is_read_back)));
        }
        if let Some(points) = next_of(&mut self.points, &mut self.missed)? {
            self.written[2] += points.len() as u64;
            let is_read_back = |message: &[u8]| {
                read_protobuf(None, message).is_ok_and(|read| read.points.len() == points.len())
            };
            return Ok(Some(self.framed(&points, is_read_back)));
        }
        Ok(None)
    }

    /// Returns the numbers of spans, log records and metric points so far.
    pub fn written(&self) -> [u64; 3] {
        self.written
    }

    /// Returns how many records were evicted before they were written.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Encodes and frames records. A message in protobuf does not say which signal it carries. A
    /// sender can choose names so that it reads as another one; such a message is framed in JSON
    /// instead, which readers tell apart.
    fn framed<T: Exported>(&self, records: &[T], is_read_back: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        if self.encoding == Encoding::Json {
            let mut line = encode(records, Encoding::Json);
            line.push(b'\n');
            return line;
        }
        let mut message = encode(records, Encoding::Protobuf);
        if !is_read_back(&message) {
            message = encode(records, Encoding::Json);
        }
        // Not larger than a request may be, which is far below four gigabytes.
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], &message].concat()
    }
}

/// The file endings that say how a file is written, for messages and help.
pub fn encoding_of(name: &str) -> Encoding {
    let name = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".gz")).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((_, "pb" | "binpb" | "otlp" | "proto")) => Encoding::Protobuf,
        _ => Encoding::Json,
    }
}

fn next_of<T: Saved>(pages: &mut Option<Pages<T>>, missed: &mut u64) -> Fallible<Option<Vec<T>>> {
    let Some(of) = pages else { return Ok(None) };
    let next = of.next(missed)?;
    if next.is_none() {
        *pages = None;
    }
    Ok(next)
}

/// Adds kept traces, of which the newest comes first, to the records of a store.
fn add<T: Saved>(pages: &mut Option<Pages<T>>, kept: &[Arc<KeptTrace>], get: &Get) {
    if let Some(pages) = pages {
        pages.traces = kept.iter().map(|one| one.trace_id).collect();
        pages.kept = kept.iter().rev().map(|one| Later::of::<T>(one)).collect();
        pages.get = Some(Arc::clone(get));
    }
}

/// Looks a kept trace up.
type Get = Arc<dyn Fn(TraceId) -> Option<Arc<KeptTrace>> + Send + Sync>;

/// A kept trace whose records are still to come.
struct Later {
    id: TraceId,
    /// Tells it from a later one with the same id.
    number: u64,
    /// How many records it had. Others join behind them.
    records: usize,
}

impl Later {
    fn of<T: Saved>(kept: &KeptTrace) -> Self {
        Self { id: kept.trace_id, number: kept.number(), records: T::of(kept).len() }
    }
}

/// A record with its bytes, and its place in kept traces.
trait Saved: Exported + Record {
    fn size(&self) -> usize;
    fn part(&self) -> &Source;
    /// Returns whether it belongs to one of these traces.
    fn is_of(&self, traces: &HashSet<TraceId>) -> bool;
    fn of(kept: &KeptTrace) -> &[Self];
}

macro_rules! saved {
    ($record:ident, $kept:ident, |$one:ident, $fits:ident| $is_of:expr) => {
        impl Saved for $record {
            fn size(&self) -> usize {
                self.bytes().len()
            }

            fn part(&self) -> &Source {
                self.source()
            }

            fn is_of(&self, traces: &HashSet<TraceId>) -> bool {
                let ($one, $fits) = (self, |id: TraceId| traces.contains(&id));
                !traces.is_empty() && $is_of
            }

            fn of(kept: &KeptTrace) -> &[Self] {
                &kept.$kept
            }
        }
    };
}

saved!(Span, spans, |span, fits| fits(span.trace_id()));
saved!(LogRecord, logs, |log, fits| log.trace_id().is_some_and(fits));
saved!(MetricPoint, points, |point, fits| {
    point.exemplars().iter().filter_map(|one| one.trace_id()).any(fits)
});

/// The records of one store, in the order of their arrival.
struct Pages<T: slipring::Signal> {
    store: Store<T>,
    until: Bookmark,
    after: Option<Cursor>,
    ended: bool,
    /// Records that were looked up and are not handed out yet.
    waiting: VecDeque<T>,
    /// The ids of kept traces, the records of theirs that were looked up, and the traces whose other
    /// records are still to come.
    traces: HashSet<TraceId>,
    seen: Seen,
    kept: VecDeque<Later>,
    get: Option<Get>,
}

impl<T: Saved> Pages<T> {
    fn of(store: &Store<T>) -> Self {
        Self {
            until: store.bookmark(),
            store: store.clone(),
            after: None,
            ended: false,
            waiting: VecDeque::new(),
            traces: HashSet::new(),
            seen: Seen::default(),
            kept: VecDeque::new(),
            get: None,
        }
    }

    /// Looks up the next page of what the store holds.
    fn look_up(&mut self, missed: &mut u64) -> Fallible<()> {
        let query = self.store.query().until(&self.until).order(Order::Oldest).limit(PAGE);
        let query = match &self.after {
            Some(cursor) => query.after(cursor),
            None => query,
        };
        let answer = query.collect()?;
        *missed += answer.report.missed;
        self.ended = answer.report.next.is_none();
        self.after = answer.report.next;
        let of_kept = answer.records.iter().filter(|record| record.is_of(&self.traces));
        of_kept.for_each(|record| self.seen.note(record));
        self.waiting = answer.records.into();
        Ok(())
    }

    fn next(&mut self, missed: &mut u64) -> Fallible<Option<Vec<T>>> {
        while self.waiting.is_empty() {
            if !self.ended {
                self.look_up(missed)?;
            } else if let Some(Later { id, number, records }) = self.kept.pop_front() {
                let kept = self.get.as_ref().and_then(|get| get(id));
                match kept.filter(|kept| kept.number() == number) {
                    Some(kept) => {
                        let records = &T::of(&kept)[..records];
                        let others = self.seen.others(records).into_iter();
                        self.waiting = others.map(|(_, record)| record.clone()).collect();
                    }
                    None => *missed += records as u64,
                }
            } else {
                break;
            }
        }
        let (mut bytes, mut some, mut source) = (0, 0, None);
        for record in &self.waiting {
            if source.replace(record.part()) != Some(record.part()) {
                bytes += record.part().heap_bytes();
            }
            bytes += record.size();
            if some > 0 && bytes > MOST {
                break;
            }
            some += 1;
        }
        Ok((some > 0).then(|| self.waiting.drain(..some).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::otlp::Request;
    use slipring_sampling::{Kept, KeptSettings, Policy, Rule, Sampler, Settings};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    fn all(export: &mut Export) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| export.next().unwrap()).collect()
    }

    #[test]
    fn requests_are_small_and_hold_each_record_once() {
        let telemetry = Telemetry::builder().logs(20_000).build().unwrap();
        for number in 0..9_000 {
            let body = format!("{number} {}", "x".repeat(1_000));
            telemetry.logs().push(LogRecord::builder().body(&*body).build()).unwrap();
        }
        let mut export = Export::new(&telemetry, None, Encoding::Json);
        let lines = all(&mut export);
        assert_eq!((export.written(), export.missed()), ([0, 9_000, 0], 0));
        assert!(lines.len() > 4 && lines.iter().all(|line| line.len() < 4 << 20));
        let read: Vec<_> =
            lines.iter().flat_map(|line| Request::read_json(line).unwrap().logs).collect();
        for (number, log) in read.iter().enumerate() {
            let body = log.body().map(|body| body.to_string()).unwrap();
            assert!(body.starts_with(&format!("{number} ")), "{number}: {body}");
        }
        assert_eq!(read.len(), 9_000);
    }

    #[test]
    fn kept_traces_are_not_held_until_their_turn_and_those_that_left_are_counted() {
        let telemetry = Telemetry::builder().build().unwrap();
        let mut settings = Settings::default();
        settings.policies = vec![Policy::new("all", Rule::Always)];
        let mut sampler = Sampler::new(&settings).unwrap();
        let kept = Arc::new(Mutex::new(Kept::new(&KeptSettings::default(), sampler.ledger())));
        let start = Instant::now();
        let mut add = |trace: u128, id: u64, seconds: u64| {
            let span = Span::builder().trace_id(trace).span_id(id).name("GET /").build();
            let now = start + Duration::from_secs(seconds);
            let mut kept = kept.lock().unwrap();
            sampler.take([span], now, &mut |sampled| kept.add(sampled, now));
            sampler.flush(now, &mut |sampled| kept.add(sampled, now));
        };
        add(7, 1, 0);
        add(8, 1, 0);
        add(9, 1, 2_000);
        let all: Vec<_> = kept.lock().unwrap().iter().cloned().collect();
        let weak: Vec<_> = all.iter().map(Arc::downgrade).collect();
        let lookup = Arc::clone(&kept);
        let mut export = Export::new(&telemetry, None, Encoding::Json)
            .and_later(&all, move |id| lookup.lock().unwrap().get(id).cloned());
        drop(all);
        add(9, 2, 2_001);
        kept.lock().unwrap().evict(start + Duration::from_secs(3_700));
        assert!(weak.iter().all(|one| one.strong_count() == 0));
        let lines = super::tests::all(&mut export);
        assert_eq!((lines.len(), export.written(), export.missed()), (1, [1, 0, 0], 2));
    }

    #[test]
    fn records_that_come_later_are_left_out() {
        let telemetry = Telemetry::builder().build().unwrap();
        let push = || telemetry.logs().push(LogRecord::builder().body("x").build()).unwrap();
        push();
        let mut export = Export::new(&telemetry, Some(Kind::Logs), Encoding::Protobuf);
        push();
        assert_eq!(all(&mut export).len(), 1);
        assert_eq!(export.written(), [0, 1, 0]);
        let mut other = Export::new(&telemetry, Some(Kind::Traces), Encoding::Protobuf);
        assert!(all(&mut other).is_empty());
    }

    #[test]
    fn a_metric_that_reads_as_a_span_is_still_a_metric() {
        // In a span, these are the ids, and the unit is the trace state.
        let text = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"0123456789abcdef",
            "description":"01234567","unit":"1","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}"#;
        let request = Request::read_json(text.as_bytes()).unwrap();
        let plain = encode(&request.points, Encoding::Protobuf);
        assert_eq!(
            read_protobuf(None, &plain).unwrap().spans.len(),
            1,
            "it would be taken for one"
        );
        let telemetry = Telemetry::builder().build().unwrap();
        telemetry.ingest_request(request);
        let written = all(&mut Export::new(&telemetry, None, Encoding::Protobuf));
        assert_eq!(Request::read_json(&written[0][4..]).unwrap().points.len(), 1);
    }

    #[test]
    fn names_say_the_encoding() {
        let of = ["a.pb", "a.binpb.zst", "a.otlp.gz"].map(encoding_of);
        assert_eq!(of, [Encoding::Protobuf; 3]);
        assert_eq!(["a", "a.jsonl", "a.json.zst", "pb"].map(encoding_of), [Encoding::Json; 4]);
    }
}
