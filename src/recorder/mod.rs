//! A flight recorder: the last spans and events of this process, collected from the `tracing`
//! crate.

mod fields;
mod open;

use crate::error::BuildError;
use crate::otlp::{Encoding, encode};
use crate::signal::{
    KeyValue, LogBuilder, LogRecord, Resource, Scope, Severity, Source, Span, SpanId, SpanKind,
    SpanLink, StatusCode, TraceId, Value,
};
use crate::telemetry::Telemetry;
use fields::Fields;
use open::{Open, OpenSpans};
use std::backtrace::Backtrace;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;
use tracing::span::{Attributes as NewSpan, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// A layer for `tracing` subscribers that keeps the last spans and events of this process in a
/// [`Telemetry`]. A span is stored as a span when it closes. An event is stored at once, as a log
/// record in the trace of its span.
///
/// Each span or event costs a few allocations, for its fields. The recorder never waits: if a ring
/// is full for a moment, the record is dropped and counted as rejected. Open spans are not in the
/// store, but their events are. [`open_spans`] returns them, and a dump includes them.
///
/// [`open_spans`]: FlightRecorder::open_spans
///
/// ```
/// use slipring::{FlightRecorder, Severity};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let recorder = FlightRecorder::new("bakery")?;
/// let subscriber = tracing_subscriber::registry().with(recorder.clone());
/// tracing::subscriber::with_default(subscriber, || {
///     let _span = tracing::info_span!("bake", loaf = 7).entered();
///     tracing::warn!(flour = 0.5, "nearly out of flour");
/// });
///
/// let warnings = recorder.telemetry().logs().query().severity_at_least(Severity::WARN).collect()?;
/// let trace = recorder.telemetry().trace(warnings.records[0].trace_id().expect("it happened in a span"));
/// assert_eq!(trace.trace.expect("the span has closed").spans[0].span.name(), "bake");
///
/// let mut lines = Vec::new();
/// recorder.dump(&mut lines)?;
/// assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlightRecorder {
    telemetry: Telemetry,
    source: Source,
    ids: Arc<Ids>,
    open: Arc<OpenSpans>,
}

/// A generator of unique ids, seeded at random.
#[derive(Debug)]
struct Ids {
    seed: RandomState,
    next: AtomicU64,
}

impl Ids {
    fn next(&self) -> u64 {
        // A zero id would mean none; a hash is hardly ever 0.
        self.seed.hash_one(self.next.fetch_add(1, Ordering::Relaxed)).max(1)
    }
}

impl FlightRecorder {
    /// Creates a recorder for a service of this name, with stores of the default capacities: 10,000
    /// spans, 50,000 events.
    ///
    /// # Errors
    /// [`BuildError::Thread`] if the stores' threads cannot be started.
    pub fn new(service: impl Into<Box<str>>) -> Result<Self, BuildError> {
        // The recorder stores no metrics.
        Ok(Self::keeping(service, &Telemetry::builder().metrics(1).build()?))
    }

    /// Creates a recorder for a service of this name that records into these stores.
    pub fn keeping(service: impl Into<Box<str>>, telemetry: &Telemetry) -> Self {
        let resource = Resource::new([("service.name", Value::Text(service.into()))]);
        let scope = Scope { name: "tracing".into(), ..Scope::default() };
        let ids = Ids { seed: RandomState::new(), next: AtomicU64::new(0) };
        let (telemetry, ids, open) = (telemetry.clone(), Arc::new(ids), Arc::default());
        Self { telemetry, source: Source::new(&resource, &scope), ids, open }
    }

    /// Returns the stores that hold the recorded spans and events.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Returns the spans that have begun and not ended, by start. Each has the end 0, which means
    /// that it is not known, and the attribute `slipring.open`. O(n log n) in their number.
    pub fn open_spans(&self) -> Vec<Span> {
        let mut open: Vec<Span> =
            self.open.all().into_iter().map(|one| self.span(one, 0)).collect();
        open.sort_by_key(|span| (span.start_unix_nanos(), span.span_id()));
        open
    }

    /// Writes the stored records, oldest first, and the open spans as lines of OTLP/JSON, for
    /// `slipring replay` or any other reader of OTLP. May be called at any time. Records that
    /// arrive meanwhile may or may not be included.
    ///
    /// # Errors
    /// Returns the errors of `out`.
    pub fn dump(&self, mut out: impl Write) -> io::Result<()> {
        /// The number of records in a line.
        const LINE: usize = 256;
        // List the open spans before the stored ones. A span that ends meanwhile may then be in
        // both lists, but not in neither.
        let mut open = self.open_spans();
        let spans = self
            .telemetry
            .traces()
            .query()
            .order(crate::Order::Oldest)
            .collect()
            .expect("a query without conditions is valid");
        let mut spans = spans.records;
        let ended: HashSet<SpanId> = spans.iter().map(Span::span_id).collect();
        open.retain(|span| !ended.contains(&span.span_id()));
        spans.append(&mut open);
        for spans in spans.chunks(LINE) {
            out.write_all(&encode(spans, Encoding::Json))?;
            out.write_all(b"\n")?;
        }
        let logs = self
            .telemetry
            .logs()
            .query()
            .order(crate::Order::Oldest)
            .collect()
            .expect("a query without conditions is valid");
        for logs in logs.records.chunks(LINE) {
            out.write_all(&encode(logs, Encoding::Json))?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Installs a panic hook that records and dumps. Whenever a thread panics, the hook records the
    /// panic as an event in the current span, with the thread's name and a backtrace, and marks
    /// that span as failed. Then it dumps to this file, replacing it, and calls the previous hook.
    ///
    /// ```no_run
    /// use slipring::FlightRecorder;
    /// use tracing_subscriber::layer::SubscriberExt;
    /// use tracing_subscriber::util::SubscriberInitExt;
    ///
    /// let recorder = FlightRecorder::new("bakery")?;
    /// tracing_subscriber::registry().with(recorder.clone()).init();
    /// recorder.dump_on_panic("last-words.jsonl");
    /// # Ok::<(), slipring::error::BuildError>(())
    /// ```
    pub fn dump_on_panic(&self, path: impl Into<PathBuf>) {
        let (recorder, path, before) = (self.clone(), path.into(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            recorder.record_panic(panic);
            let dumped = recorder.dump_into(&path);
            if let Err(error) = dumped {
                eprintln!("the flight recorder could not write {}: {error}", path.display());
            }
            before(panic);
        }));
    }

    /// Records a panic in this thread's current span.
    fn record_panic(&self, panic: &PanicHookInfo<'_>) {
        /// The most bytes of a backtrace that are kept.
        const MOST_BACKTRACE: usize = 32 << 10;
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a payload that is not a string");
        let mut attributes = Vec::new();
        let mut add = |key: &str, value: &str| attributes.push(KeyValue::new(key, value));
        if let Some(location) = panic.location() {
            add(
                "panic.location",
                &format!("{}:{}:{}", location.file(), location.line(), location.column()),
            );
        }
        let thread = thread::current();
        add("thread.name", thread.name().unwrap_or("unnamed"));
        // The semantic conventions use a number for `thread.id`, which stable Rust does not
        // provide.
        add("thread.id", &format!("{:?}", thread.id()));
        add("exception.type", "panic");
        add("exception.message", text);
        let mut backtrace = Backtrace::force_capture().to_string();
        let end = backtrace
            .char_indices()
            .map(|(at, _)| at)
            .take_while(|&at| at <= MOST_BACKTRACE)
            .last()
            .unwrap_or(0);
        if backtrace.len() > MOST_BACKTRACE {
            backtrace.truncate(end);
        }
        add("exception.stacktrace", &backtrace);
        let ids = self.open.entered();
        if let Some((_, span)) = ids {
            self.open.change(span, |open| open.failed = true);
        }
        let log = self
            .log(ids, Severity::FATAL)
            .severity_text("PANIC")
            .body(text)
            .attributes(&attributes[..]);
        self.record(log.build());
    }

    /// Dumps to a file, which appears complete or not at all. If several threads panic, one writes
    /// after the other.
    fn dump_into(&self, path: &Path) -> io::Result<()> {
        static LOCK: Mutex<()> = Mutex::new(());
        let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        self.dump(BufWriter::new(File::create(&unfinished)?))?;
        std::fs::rename(&unfinished, path)
    }

    /// Starts a log record of an event that happens now, in this span.
    fn log<'a>(&self, ids: Option<(TraceId, SpanId)>, severity: Severity) -> LogBuilder<'a> {
        let (time, (trace, span)) = (now(), ids.unwrap_or_default());
        let log = LogRecord::builder()
            .source(&self.source)
            .time_unix_nanos(time)
            .observed_unix_nanos(time);
        log.severity(severity).trace_id(trace).span_id(span)
    }

    /// Builds a span from its properties. With the end 0, it is marked as open.
    fn span(&self, open: Open, end_unix_nanos: u64) -> Span {
        let code = if open.failed { StatusCode::Error } else { StatusCode::Unset };
        let span = Span::builder()
            .source(&self.source)
            .trace_id(open.trace_id)
            .span_id(open.span_id)
            .parent_span_id(open.parent)
            .name(open.name)
            .kind(SpanKind::Internal)
            .start_unix_nanos(open.started)
            .end_unix_nanos(end_unix_nanos)
            .attributes(&open.fields[..])
            .links(&open.links)
            .status(code, "");
        if end_unix_nanos == 0 { span.attribute("slipring.open", true) } else { span }.build()
    }

    fn record(&self, log: LogRecord) {
        // A record that finds no room is counted as rejected.
        let _ = self.telemetry.logs().try_push(log);
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos() as u64)
}

/// The ids stored in a span's extensions, by which the recorder finds the rest.
#[derive(Clone, Copy)]
struct SpanIds(TraceId, SpanId);

fn ids_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<SpanIds> {
    span.extensions().get::<SpanIds>().copied()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for FlightRecorder {
    fn on_new_span(&self, new: &NewSpan<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| ids_of(&parent));
        let (high, low) = (self.ids.next(), self.ids.next());
        // `record` runs users' code, which may panic.
        let mut fields = Fields::default();
        new.record(&mut fields);
        fields.keep_message();
        fields.add_location(new.metadata());
        let new_trace = || (u128::from(high) << 64 | u128::from(low)).into();
        let trace_id = parent.map_or_else(new_trace, |SpanIds(trace, _)| trace);
        let span_id = self.ids.next().into();
        span.extensions_mut().insert(SpanIds(trace_id, span_id));
        self.open.add(Open {
            name: span.name(),
            trace_id,
            span_id,
            parent: parent.map(|SpanIds(_, span)| span),
            started: now(),
            fields: fields.others,
            links: Vec::new(),
            failed: false,
        });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(SpanIds(trace, span)) = context.span(id).and_then(|span| ids_of(&span)) {
            self.open.enter(trace, span);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(SpanIds(_, span)) = context.span(id).and_then(|span| ids_of(&span)) {
            self.open.exit(span);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(SpanIds(_, span)) = context.span(id).and_then(|span| ids_of(&span)) else {
            return;
        };
        let mut fields = Fields::default();
        values.record(&mut fields);
        fields.keep_message();
        self.open.change(span, |open| {
            for field in fields.others {
                match open.fields.iter_mut().find(|known| known.key == field.key) {
                    Some(known) => known.value = field.value,
                    None => open.fields.push(field),
                }
            }
        });
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let of = |id| context.span(id).and_then(|span| ids_of(&span));
        let (Some(SpanIds(_, span)), Some(SpanIds(trace_id, span_id))) = (of(id), of(follows))
        else {
            return;
        };
        self.open.change(span, |open| {
            open.links.push(SpanLink { trace_id, span_id, ..SpanLink::default() })
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.add_location(event.metadata());
        let level = *event.metadata().level();
        let ids = context.event_span(event).and_then(|span| ids_of(&span));
        if let Some(SpanIds(_, span)) = ids.filter(|_| level == Level::ERROR) {
            self.open.change(span, |open| open.failed = true);
        }
        let ids = ids.map(|SpanIds(trace, span)| (trace, span));
        let log = self
            .log(ids, severity(level))
            .severity_text(level.as_str())
            .attributes(&fields.others[..]);
        self.record(match &fields.message {
            Some(message) => log.body(message).build(),
            None => log.build(),
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(SpanIds(_, span)) = context.span(&id).and_then(|span| ids_of(&span)) else {
            return;
        };
        if let Some(open) = self.open.remove(span) {
            let closed = self.span(open, now());
            let _ = self.telemetry.traces().try_push(closed);
        }
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::TRACE,
        Level::DEBUG => Severity::DEBUG,
        Level::INFO => Severity::INFO,
        Level::WARN => Severity::WARN,
        Level::ERROR => Severity::ERROR,
    }
}
