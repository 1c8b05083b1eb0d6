//! A flight recorder: the last spans and events of the own process, from the `tracing` crate.

use crate::error::BuildError;
use crate::otlp::{Encoding, write};
use crate::signal::{
    KeyValue, LogBuilder, LogRecord, Resource, Scope, Severity, Source, Span, SpanId, SpanKind, SpanLink, StatusCode,
    TraceId, Value,
};
use crate::telemetry::Telemetry;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes as NewSpan, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A layer for `tracing` subscribers that keeps the last spans and events of this process in a [`Telemetry`]: spans as spans once
/// they close, events as log records at once, in the trace of the span that they happen in.
///
/// A span and an event cost some allocations each, for their fields. It never waits: where a ring is full for a moment, the record is dropped, and counted as rejected. Spans that are still open are not
/// in it; their events are.
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

/// What is known of a span that is open.
struct Open {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    started: u64,
    fields: Vec<KeyValue>,
    links: Vec<SpanLink>,
    failed: bool,
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
        Self { telemetry: telemetry.clone(), source: Source::new(&resource, &scope), ids: Arc::new(ids) }
    }

    /// What it keeps, to be asked.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Writes what is kept, oldest first, as OTLP/JSON lines, for `slipring replay` or any other reader of OTLP. It may be called at any
    /// time; what comes in meanwhile may be in it or not.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn dump(&self, mut out: impl Write) -> io::Result<()> {
        /// Records in a line.
        const LINE: usize = 256;
        let spans = self.telemetry.traces().query().order(crate::Order::Oldest).collect().expect("it can be asked");
        for spans in spans.records.chunks(LINE) {
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

    /// From now on, whenever a thread panics: records the panic as an event, and dumps into this file, which is written over. Then
    /// what was to be done on a panic before is done.
    pub fn dump_on_panic(&self, path: impl Into<PathBuf>) {
        let (recorder, path, before) = (self.clone(), path.into(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            let location = panic.location();
            let location = location.map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
            let payload = panic.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let text = text.unwrap_or("a payload that is no text");
            let log = recorder.log().time_unix_nanos(now()).severity(Severity::FATAL).severity_text("PANIC").body(text);
            recorder.record(match &location {
                Some(location) => log.attribute("panic.location", location).build(),
                None => log.build(),
            });
            let dumped = recorder.dump_into(&path);
            if let Err(error) = dumped {
                eprintln!("the flight recorder could not write {}: {error}", path.display());
            }
            before(panic);
        }));
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

    fn log<'a>(&self) -> LogBuilder<'a> {
        LogRecord::builder().source(&self.source)
    }

    fn record(&self, log: LogRecord) {
        // What finds no room is counted there.
        let _ = self.telemetry.logs().try_push(log);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for FlightRecorder {
    fn on_new_span(&self, new: &NewSpan<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<Open>().map(|open| (open.trace_id, open.span_id))
        });
        let (high, low) = (self.ids.next(), self.ids.next());
        let mut fields = Fields::default();
        new.record(&mut fields);
        fields.keep_message();
        fields.place(new.metadata());
        span.extensions_mut().insert(Open {
            trace_id: parent.map_or_else(|| (u128::from(high) << 64 | u128::from(low)).into(), |(trace, _)| trace),
            span_id: self.ids.next().into(),
            parent: parent.map(|(_, span)| span),
            started: now(),
            fields: fields.others,
            links: Vec::new(),
            failed: false,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        fields.keep_message();
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            for field in fields.others {
                match open.fields.iter_mut().find(|known| known.key == field.key) {
                    Some(known) => known.value = field.value,
                    None => open.fields.push(field),
                }
            }
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let (Some(span), Some(before)) = (context.span(id), context.span(follows)) else { return };
        let ids = before.extensions().get::<Open>().map(|open| (open.trace_id, open.span_id));
        if let (Some((trace_id, span_id)), Some(open)) = (ids, span.extensions_mut().get_mut::<Open>()) {
            open.links.push(SpanLink { trace_id, span_id, ..SpanLink::default() });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.place(event.metadata());
        let level = *event.metadata().level();
        let ids = context.event_span(event).and_then(|span| {
            let mut extensions = span.extensions_mut();
            let open = extensions.get_mut::<Open>()?;
            open.failed |= level == Level::ERROR;
            Some((open.trace_id, open.span_id))
        });
        let time = now();
        let mut log = self.log().time_unix_nanos(time).observed_unix_nanos(time).severity(severity(level));
        log = log.severity_text(level.as_str()).attributes(&fields.others[..]);
        if let Some(message) = &fields.message {
            log = log.body(message);
        }
        if let Some((trace, span)) = ids {
            log = log.trace_id(trace).span_id(span);
        }
        self.record(log.build());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let code = if open.failed { StatusCode::Error } else { StatusCode::Unset };
        let closed = Span::builder()
            .source(&self.source)
            .trace_id(open.trace_id)
            .span_id(open.span_id)
            .parent_span_id(open.parent)
            .name(span.name())
            .kind(SpanKind::Internal)
            .start_unix_nanos(open.started)
            .end_unix_nanos(now())
            .attributes(&open.fields[..])
            .links(&open.links)
            .status(code, "")
            .build();
        let _ = self.telemetry.traces().try_push(closed);
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

/// What a span or an event says.
#[derive(Default)]
struct Fields {
    message: Option<Value>,
    others: Vec<KeyValue>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = Some(value);
        } else {
            self.others.push(KeyValue { key: field.name().into(), value });
        }
    }

    /// A span has no body: what is called a message is a field like others.
    fn keep_message(&mut self) {
        let message = self.message.take().map(|value| KeyValue { key: "message".into(), value });
        self.others.extend(message);
    }

    /// Where in the code it is.
    fn place(&mut self, metadata: &Metadata<'_>) {
        let mut add = |key: &str, value: Value| self.others.push(KeyValue { key: key.into(), value });
        add("code.namespace", Value::Text(metadata.target().into()));
        if let Some(file) = metadata.file() {
            add("code.file.path", Value::Text(file.into()));
        }
        if let Some(line) = metadata.line() {
            add("code.line.number", Value::Int(line.into()));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Double(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, i64::try_from(value).map_or_else(|_| Value::Text(value.to_string().into()), Value::Int));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}").into()));
    }
}
