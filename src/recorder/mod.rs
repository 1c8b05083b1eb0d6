//! A flight recorder: the last spans and events of the own process, from the `tracing` crate.

mod fields;
mod open;

use crate::error::BuildError;
use crate::otlp::{Encoding, write};
use crate::signal::{
    KeyValue, LogBuilder, LogRecord, Resource, Scope, Severity, Source, Span, SpanId, SpanKind, SpanLink, StatusCode,
    TraceId, Value,
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

/// A layer for `tracing` subscribers that keeps the last spans and events of this process in a [`Telemetry`]: spans as spans once
/// they close, events as log records at once, in the trace of the span that they happen in.
///
/// A span and an event cost some allocations each, for their fields. It never waits: where a ring is full for a moment, the record is
/// dropped, and counted as rejected. Spans that are still open are not in it, but their events are; [`open_spans`] tells them, and a dump
/// has them, too.
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

/// Ids that differ from others' and among each other.
#[derive(Debug)]
struct Ids {
    seed: RandomState,
    given: AtomicU64,
}

impl Ids {
    fn next(&self) -> u64 {
        // Hashes of different numbers are hardly ever 0.
        self.seed.hash_one(self.given.fetch_add(1, Ordering::Relaxed)).max(1)
    }
}

impl FlightRecorder {
    /// For a service of this name, with stores of the default capacities: 10,000 spans, 50,000 events.
    ///
    /// # Errors
    /// [`BuildError::Thread`] if the stores' threads can't start.
    pub fn new(service: impl Into<Box<str>>) -> Result<Self, BuildError> {
        // Nothing comes here for metrics.
        Ok(Self::keeping(service, &Telemetry::builder().metrics(1).build()?))
    }

    /// For a service of this name, into these stores.
    pub fn keeping(service: impl Into<Box<str>>, telemetry: &Telemetry) -> Self {
        let resource = Resource::new([("service.name", Value::Text(service.into()))]);
        let scope = Scope { name: "tracing".into(), ..Scope::default() };
        let ids = Ids { seed: RandomState::new(), given: AtomicU64::new(0) };
        let (telemetry, ids, open) = (telemetry.clone(), Arc::new(ids), Arc::default());
        Self { telemetry, source: Source::new(&resource, &scope), ids, open }
    }

    /// What it keeps, to be asked.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The spans that have begun and not ended, the first to begin first. Each has the end 0, which says that it is not known, and the
    /// attribute `slipring.open`. O(n log n) in their number.
    pub fn open_spans(&self) -> Vec<Span> {
        let mut open: Vec<Span> = self.open.all().into_iter().map(|one| self.span(one, 0)).collect();
        open.sort_by_key(|span| (span.start_unix_nanos(), span.span_id()));
        open
    }

    /// Writes what is kept, oldest first, and the spans that are open, as OTLP/JSON lines, for `slipring replay` or any other reader of
    /// OTLP. It may be called at any time; what comes in meanwhile may be in it or not.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn dump(&self, mut out: impl Write) -> io::Result<()> {
        /// Records in a line.
        const LINE: usize = 256;
        // Before those that have ended: one that ends meanwhile is among both.
        let mut open = self.open_spans();
        let spans = self.telemetry.traces().query().order(crate::Order::Oldest).collect().expect("it can be asked");
        let mut spans = spans.records;
        let ended: HashSet<SpanId> = spans.iter().map(Span::span_id).collect();
        open.retain(|span| !ended.contains(&span.span_id()));
        spans.append(&mut open);
        for spans in spans.chunks(LINE) {
            out.write_all(&write(spans, Encoding::Json))?;
            out.write_all(b"\n")?;
        }
        let logs = self.telemetry.logs().query().order(crate::Order::Oldest).collect().expect("it can be asked");
        for logs in logs.records.chunks(LINE) {
            out.write_all(&write(logs, Encoding::Json))?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// From now on, whenever a thread panics: records the panic as an event, in the span that it happens in, with the thread's name and a
    /// backtrace, marks that span as failed, and dumps into this file, which is written over. Then what was to be done on a panic before
    /// is done.
    ///
    /// ```no_run
    /// use slipring::FlightRecorder;
    /// use tracing_subscriber::layer::SubscriberExt;
    /// use tracing_subscriber::util::SubscriberInitExt;
    ///
    /// let recorder = FlightRecorder::new("bakery")?;
    /// tracing_subscriber::registry().with(recorder.clone()).init();
    /// recorder.dump_on_panic("last-words.jsonl");
    /// # Ok::<(), slipring::BuildError>(())
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

    /// In the span in which this thread is.
    fn record_panic(&self, panic: &PanicHookInfo<'_>) {
        /// Bytes of a backtrace that are kept.
        const TRACE: usize = 32 << 10;
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a payload that is no text");
        let mut attributes = Vec::new();
        let mut add = |key: &str, value: &str| attributes.push(KeyValue::new(key, value));
        if let Some(location) = panic.location() {
            add("panic.location", &format!("{}:{}:{}", location.file(), location.line(), location.column()));
        }
        let thread = thread::current();
        add("thread.name", thread.name().unwrap_or("unnamed"));
        // Semantic conventions have numbers for threads, Rust has none on its stable side.
        add("thread.id", &format!("{:?}", thread.id()));
        add("exception.type", "panic");
        add("exception.message", text);
        let mut backtrace = Backtrace::force_capture().to_string();
        let end = backtrace.char_indices().map(|(at, _)| at).take_while(|&at| at <= TRACE).last().unwrap_or(0);
        if backtrace.len() > TRACE {
            backtrace.truncate(end);
        }
        add("exception.stacktrace", &backtrace);
        let ids = self.open.entered();
        if let Some((_, span)) = ids {
            self.open.change(span, |open| open.failed = true);
        }
        let log = self.log(ids, Severity::FATAL).severity_text("PANIC").body(text).attributes(&attributes[..]);
        self.record(log.build());
    }

    /// A file is there whole or not at all; of several threads that panic, one after the other writes it.
    fn dump_into(&self, path: &Path) -> io::Result<()> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        self.dump(BufWriter::new(File::create(&unfinished)?))?;
        std::fs::rename(&unfinished, path)
    }

    /// Something that happens now, in this span.
    fn log<'a>(&self, ids: Option<(TraceId, SpanId)>, severity: Severity) -> LogBuilder<'a> {
        let (time, (trace, span)) = (now(), ids.unwrap_or_default());
        let log = LogRecord::builder().source(&self.source).time_unix_nanos(time).observed_unix_nanos(time);
        log.severity(severity).trace_id(trace).span_id(span)
    }

    /// A span that ended then, or, with the end 0, is open.
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
        // What finds no room is counted there.
        let _ = self.telemetry.logs().try_push(log);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// What a span's extensions hold: its ids, by which the rest is found.
#[derive(Clone, Copy)]
struct Known(TraceId, SpanId);

fn known<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Known> {
    span.extensions().get::<Known>().copied()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for FlightRecorder {
    fn on_new_span(&self, new: &NewSpan<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| known(&parent));
        let (high, low) = (self.ids.next(), self.ids.next());
        // Users' code, which may panic.
        let mut fields = Fields::default();
        new.record(&mut fields);
        fields.keep_message();
        fields.place(new.metadata());
        let new_trace = || (u128::from(high) << 64 | u128::from(low)).into();
        let trace_id = parent.map_or_else(new_trace, |Known(trace, _)| trace);
        let span_id = self.ids.next().into();
        span.extensions_mut().insert(Known(trace_id, span_id));
        self.open.add(Open {
            name: span.name(),
            trace_id,
            span_id,
            parent: parent.map(|Known(_, span)| span),
            started: now(),
            fields: fields.others,
            links: Vec::new(),
            failed: false,
        });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(Known(trace, span)) = context.span(id).and_then(|span| known(&span)) {
            self.open.enter(trace, span);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(Known(_, span)) = context.span(id).and_then(|span| known(&span)) {
            self.open.exit(span);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(Known(_, span)) = context.span(id).and_then(|span| known(&span)) else { return };
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
        let of = |id| context.span(id).and_then(|span| known(&span));
        let (Some(Known(_, span)), Some(Known(trace_id, span_id))) = (of(id), of(follows)) else { return };
        self.open.change(span, |open| open.links.push(SpanLink { trace_id, span_id, ..SpanLink::default() }));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.place(event.metadata());
        let level = *event.metadata().level();
        let ids = context.event_span(event).and_then(|span| known(&span));
        if let Some(Known(_, span)) = ids.filter(|_| level == Level::ERROR) {
            self.open.change(span, |open| open.failed = true);
        }
        let ids = ids.map(|Known(trace, span)| (trace, span));
        let log = self.log(ids, severity(level)).severity_text(level.as_str()).attributes(&fields.others[..]);
        self.record(match &fields.message {
            Some(message) => log.body(message).build(),
            None => log.build(),
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(Known(_, span)) = context.span(&id).and_then(|span| known(&span)) else { return };
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
