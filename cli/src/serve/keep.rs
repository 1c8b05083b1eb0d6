//! Kept traces: what comes in passes a sampler, and the traces that its policies keep stay whole
//! when the stores have evicted their records.

use super::api::Lists;
use super::app::App;
use crate::Fallible;
use crate::receive::labels;
use crate::text::in_one_line;
use bytes::Bytes;
use serde_json::{Value, json};
use slipring::otlp::{Encoding, Kind, Reader, encode};
use slipring::{LogRecord, MetricPoint, Signal, Span, Telemetry, TraceId};
use slipring_sampling::{
    Amount, Follower, Kept, KeptSettings, KeptStats, KeptTrace, Records, Sampler, Settings, Stats,
    config,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often decisions are looked for, and log records and metric points of kept traces.
const TICK: Duration = Duration::from_millis(250);

/// A sampler, and the traces that it kept.
pub struct Keep {
    file: PathBuf,
    /// Reads requests a second time. So kept spans share nothing with the stores, and what they
    /// share with each other is limited by their own ledger.
    reader: Reader,
    /// Reads JSON. What it finds equal it shares, so it is another one than that which encoded
    /// spans are read with.
    of_json: Reader,
    sampler: Mutex<Sampler>,
    kept: Mutex<Kept>,
    follower: Mutex<Follower>,
    /// What the follower has missed, for those who must not wait for it.
    missed: AtomicU64,
    /// What lists that are read page by page have shown.
    pub lists: Lists,
}

/// What was decided, and what is kept.
pub struct Figures {
    pub sampler: Stats,
    pub kept: KeptStats,
    pub missed: u64,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is intact after a panic.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(file: &Path) -> Fallible<(Settings, KeptSettings)> {
    let told = |error: &dyn std::fmt::Display| {
        format!("--keep {}: {}", file.display(), in_one_line(&error.to_string()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    Ok(config::read_with_kept(&text).map_err(|error| told(&error))?)
}

impl Keep {
    /// Begins with the settings of this file.
    pub fn by(file: &Path, max_record_bytes: usize, telemetry: &Telemetry) -> Fallible<Self> {
        let (settings, limits) = read(file)?;
        let sampler = Sampler::new(&settings)?;
        let kept = Mutex::new(Kept::new(&limits, sampler.ledger()));
        let reader = || Reader::default().in_place().max_record_bytes(max_record_bytes);
        Ok(Self {
            file: file.to_owned(),
            reader: reader(),
            of_json: reader(),
            sampler: Mutex::new(sampler),
            kept,
            follower: Mutex::new(Follower::new(telemetry)),
            missed: AtomicU64::new(0),
            lists: Lists::default(),
        })
    }

    /// Reads the file again. What can't be read stays as it is.
    pub fn reload(&self) -> Fallible<()> {
        let (settings, limits) = read(&self.file)?;
        lock(&self.sampler).reload(&settings)?;
        lock(&self.kept).set_limits(&limits);
        Ok(())
    }

    /// Passes the spans of a request that the store has taken to the sampler.
    pub fn take(&self, encoding: Encoding, body: Bytes) {
        let now = Instant::now();
        let take = |spans: Vec<Span>| {
            let mut keep = |sampled| lock(&self.kept).add(sampled, now);
            lock(&self.sampler).take(spans, now, &mut keep);
        };
        let read = match encoding {
            Encoding::Json => self.of_json.read(Kind::Traces, encoding, body, |part| {
                // What is read of JSON goes into the thread's chunk, where the store's records are.
                // These would hold what the sampler charges to its own ledger.
                let own = encode(&part.spans, Encoding::Protobuf);
                let read = self.reader.read(Kind::Traces, Encoding::Protobuf, own, |part| {
                    take(part.spans);
                });
                read.expect("what was encoded can be read");
            }),
            _ => self.reader.read(Kind::Traces, encoding, body, |part| take(part.spans)),
        };
        if let Err(error) = read {
            tracing::error!("a request that the store took can't be read for --keep: {error}");
        }
    }

    /// Decides what is due, and brings log records and metric points to kept traces.
    fn advance(&self) {
        let now = Instant::now();
        lock(&self.sampler).advance(now, &mut |sampled| lock(&self.kept).add(sampled, now));
        self.follow(now);
    }

    /// Decides about everything, before the end. Returns all kept traces, the newest first.
    pub fn finish(&self) -> Vec<Arc<KeptTrace>> {
        let now = Instant::now();
        lock(&self.sampler).flush(now, &mut |sampled| lock(&self.kept).add(sampled, now));
        self.follow(now);
        self.all()
    }

    fn follow(&self, now: Instant) {
        let mut follower = lock(&self.follower);
        if let Err(error) = follower.follow(&self.kept, now) {
            tracing::error!("the records of kept traces can't be followed: {error}");
        }
        // Relaxed: a figure, which orders nothing.
        self.missed.store(follower.missed(), Ordering::Relaxed);
    }

    /// Returns a trace, if it is kept.
    pub fn get(&self, id: TraceId) -> Option<Arc<KeptTrace>> {
        lock(&self.kept).get(id).cloned()
    }

    /// Returns the ids of all kept traces, the newest first.
    pub fn ids(&self) -> Vec<TraceId> {
        lock(&self.kept).iter().map(|one| one.trace_id).collect()
    }

    /// Returns all kept traces, the newest first.
    pub fn all(&self) -> Vec<Arc<KeptTrace>> {
        lock(&self.kept).iter().cloned().collect()
    }

    pub fn figures(&self) -> Figures {
        // One lock at a time, and never the follower's: it may be held for long, and its holder
        // locks the kept traces.
        let sampler = lock(&self.sampler).stats();
        let kept = lock(&self.kept).stats();
        Figures { sampler, kept, missed: self.missed.load(Ordering::Relaxed) }
    }
}

impl Figures {
    /// Shows the figures, for the statistics.
    pub fn shown(&self) -> Value {
        let Self { sampler, kept, missed } = self;
        let records = |records: Records| json!({ "spans": records.spans, "logs": records.logs, "points": records.points });
        let amount = |amount: Amount| json!({ "traces": amount.traces, "spans": amount.spans });
        let policies: Vec<Value> = sampler
            .policies
            .iter()
            .map(|one| {
                json!({ "name": &*one.name, "kept": amount(one.kept), "sampled_out": amount(one.sampled_out) })
            })
            .collect();
        json!({
            "traces": kept.traces,
            "records": records(kept.held),
            "bytes": kept.bytes,
            "evicted_traces": kept.evicted_traces,
            "evicted": records(kept.evicted),
            "refused": records(kept.refused),
            "missed": missed,
            "undecided": amount(sampler.undecided),
            "undecided_bytes": sampler.bytes,
            "sampled_out": amount(sampler.sampled_out()),
            "evicted_undecided": amount(sampler.evicted),
            "rejected_spans": {
                "no_trace_id": sampler.rejected_without_trace,
                "too_large": sampler.rejected_too_large,
            },
            "early_decisions": sampler.early(),
            "policies": policies,
        })
    }

    /// Passes the figures to `family`, for Prometheus: name, type, help, and figures by labels.
    pub fn metrics(&self, family: &mut impl FnMut(&str, &str, &str, &[(String, u64)])) {
        let Self { sampler, kept, missed } = self;
        let one = |figure| [(String::new(), figure)];
        let each = |records: Records| {
            let labels = |name| format!("{{signal=\"{name}\"}}");
            [
                (labels(Span::NAME), records.spans),
                (labels(LogRecord::NAME), records.logs),
                (labels(MetricPoint::NAME), records.points),
            ]
        };
        family("kept_traces", "gauge", "Traces that are kept.", &one(kept.traces));
        family("kept_records", "gauge", "Records of kept traces.", &each(kept.held));
        family("kept_bytes", "gauge", "All bytes of kept traces.", &one(kept.bytes as u64));
        family(
            "kept_evicted_traces_total",
            "counter",
            "Kept traces that have left.",
            &one(kept.evicted_traces),
        );
        family(
            "kept_evicted_records_total",
            "counter",
            "Records that have left with their kept traces.",
            &each(kept.evicted),
        );
        family(
            "kept_refused_records_total",
            "counter",
            "Records whose kept traces had become too large.",
            &each(kept.refused),
        );
        family(
            "kept_missed_records_total",
            "counter",
            "Records that left the stores before it was known whether they belong to kept traces.",
            &one(*missed),
        );
        let undecided = sampler.undecided;
        family("undecided_traces", "gauge", "Undecided traces.", &one(undecided.traces));
        family("undecided_spans", "gauge", "Spans of undecided traces.", &one(undecided.spans));
        family("undecided_bytes", "gauge", "All bytes of these.", &one(sampler.bytes as u64));
        family(
            "evicted_undecided_spans_total",
            "counter",
            "Spans that left undecided, for lack of room.",
            &one(sampler.evicted.spans),
        );
        let rejected = [
            ("{reason=\"no_trace_id\"}".to_owned(), sampler.rejected_without_trace),
            ("{reason=\"too_large\"}".to_owned(), sampler.rejected_too_large),
        ];
        family(
            "undecidable_spans_total",
            "counter",
            "Spans that no trace can have, and that are not kept.",
            &rejected,
        );
        let policies = sampler.policies.iter().flat_map(|policy| {
            let labels = |outcome| labels(&[("policy", &policy.name), ("outcome", outcome)]);
            [
                (labels("kept"), policy.kept.traces),
                (labels("sampled_out"), policy.sampled_out.traces),
            ]
        });
        let decided: Vec<_> = policies.collect();
        family("decided_traces_total", "counter", "Traces, by policy and decision.", &decided);
        family(
            "unmatched_traces_total",
            "counter",
            "Traces that no policy matched, so that they are not kept.",
            &one(sampler.unmatched.traces),
        );
        family(
            "early_decisions_total",
            "counter",
            "Decisions before their time, for lack of room.",
            &one(sampler.early()),
        );
    }
}

/// Decides and follows every so often, for as long as the server runs.
pub async fn advance(app: Arc<App>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let app = Arc::clone(&app);
        let turn = tokio::task::spawn_blocking(move || {
            if let Some(keep) = &app.keep {
                keep.advance();
            }
        });
        if let Err(error) = turn.await {
            tracing::error!("decisions about traces failed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::{Resource, Scope, Source};
    use std::sync::mpsc;

    fn keep(name: &str, telemetry: &Telemetry) -> Keep {
        let name = format!("slipring-keep-{name}-{}.toml", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, "policy = [{ name = \"errors\", rule = \"error\" }]\n").unwrap();
        let keep = Keep::by(&file, 1 << 20, telemetry).unwrap();
        std::fs::remove_file(&file).unwrap();
        keep
    }

    /// It would count against the sampler's room for as long as the store holds its records.
    #[test]
    fn the_stores_records_hold_nothing_that_the_sampler_charges() {
        let telemetry = Telemetry::builder().build().unwrap();
        let keep = keep("json", &telemetry);
        for (encoding, traces) in [(Encoding::Json, 1..51_u128), (Encoding::Protobuf, 51..101)] {
            for number in traces {
                let host = format!("{number}{}", "x".repeat(10_000));
                let resource = Resource::new([("host.name", host)]);
                let source = Source::new(&resource, &Scope::default());
                let span = Span::builder().source(&source).trace_id(number).span_id(1).build();
                let body = Bytes::from(encode(&[span], encoding));
                telemetry.ingest(Kind::Traces, encoding, body.clone()).unwrap();
                keep.take(encoding, body);
            }
            assert!(keep.figures().sampler.shared_bytes > 500_000, "undecided ones are charged");
            keep.finish();
            let figures = keep.figures().sampler;
            assert_eq!((figures.undecided.spans, figures.shared_bytes), (0, 0), "{encoding:?}");
        }
        assert_eq!(telemetry.traces().len(), 100);
    }

    /// They are asked for by the runtime's threads, and by whoever looks at the page.
    #[test]
    fn figures_do_not_wait_for_a_follower_at_work() {
        let telemetry = Telemetry::builder().build().unwrap();
        let keep = Arc::new(keep("figures", &telemetry));
        let following = lock(&keep.follower);
        let (told, figures) = mpsc::channel();
        let asked = Arc::clone(&keep);
        std::thread::spawn(move || told.send(asked.figures().missed));
        assert_eq!(figures.recv_timeout(Duration::from_secs(60)), Ok(0));
        // The holder of the follower's lock gets the others.
        drop(lock(&keep.kept));
        drop(following);
    }
}
