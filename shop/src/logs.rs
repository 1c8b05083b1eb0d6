//! What the services write to their logs while they make the spans of a trace.

use slipring::{Attributes, LogRecord, Severity, Span, SpanKind, StatusCode, Value};

use crate::rng::Rng;
use crate::skew::Skew;

/// In ten thousand spans that ended well, how many wrote a line.
const CHATTY: u16 = 4_000;
/// In ten thousand traces, how many lines come from a process on its own account.
const BACKGROUND: u16 = 1_500;

pub(crate) struct Logs {
    rng: Rng,
    /// Of lines that no failure sets off: information, debugging, a warning.
    severities: Skew,
}

impl Logs {
    pub fn new(seed: u64) -> Self {
        // Failures and retries add their warnings and errors to these; see the crate's docs for the sum.
        Self { rng: Rng::new(seed, 0x6c6f_6773_0000), severities: Skew::of(&[81_300, 15_200, 3_500]) }
    }

    /// The lines, by time.
    pub fn of(&mut self, spans: &[Span]) -> Vec<LogRecord> {
        let mut lines: Vec<LogRecord> = spans.iter().filter_map(|span| self.line(span)).collect();
        if let Some(span) = spans.last().filter(|_| self.rng.chance(BACKGROUND)) {
            lines.push(self.background(span));
        }
        lines.sort_by_key(|line| line.time_unix_nanos);
        lines
    }

    /// What one span wrote, if anything.
    fn line(&mut self, span: &Span) -> Option<LogRecord> {
        let exception = span.events.iter().find(|event| &*event.name == "exception");
        if let Some(event) = exception {
            let severity = if self.rng.chance(200) { Severity::FATAL } else { Severity::ERROR };
            let body = format!("{} failed: {}", span.name, span.status.message);
            let line = LogRecord { attributes: event.attributes.clone(), ..self.during(span, severity, body.into()) };
            return Some(line);
        }
        if span.kind == SpanKind::Client && !span.links.is_empty() {
            let body = format!("{} was tried again", span.name);
            return Some(self.during(span, Severity::WARN, body.into()));
        }
        match (span.status.code, span.kind) {
            // The callee writes about it.
            (StatusCode::Error, SpanKind::Client) => return None,
            // A failure handed on from further down.
            (StatusCode::Error, _) => {
                let body = format!("{} could not go on: {}", span.name, span.status.message);
                return Some(self.during(span, Severity::ERROR, body.into()));
            }
            _ if !self.rng.chance(CHATTY) => return None,
            _ => {}
        }
        let micros = span.duration() / 1_000;
        Some(match self.severities.draw(&mut self.rng) {
            0 if &*span.name == "shop.Checkout/PlaceOrder" => self.order_placed(span),
            0 => {
                let body = format!("{} done in {micros} µs", span.name);
                let attributes = Attributes::from([("duration_us", micros as i64)]);
                LogRecord { attributes, ..self.during(span, Severity::INFO, body.into()) }
            }
            1 => {
                let body = format!("{}: {} attributes, {} events", span.name, span.attributes.len(), span.events.len());
                let attributes = Attributes::from([
                    ("code.function.name", Value::from("shop.internal.Handler.handle")),
                    ("code.line.number", (self.rng.between(20, 900) as i64).into()),
                    ("thread.name", format!("worker-{}", self.rng.below(64)).into()),
                ]);
                LogRecord { attributes, ..self.during(span, Severity::DEBUG, body.into()) }
            }
            _ => {
                let body = format!("{} took {micros} µs, which is long", span.name);
                self.during(span, Severity::WARN, body.into())
            }
        })
    }

    /// An event rather than a message: a name, and a body with a structure.
    fn order_placed(&mut self, span: &Span) -> LogRecord {
        let body: Attributes = span.attributes.iter().filter(|one| one.key.starts_with("app.order")).cloned().collect();
        let event_name = "shop.order.placed".into();
        LogRecord { event_name, ..self.during(span, Severity::INFO, body.into()) }
    }

    /// A line about the process, which belongs to no trace.
    fn background(&mut self, span: &Span) -> LogRecord {
        let (severity, body) = match self.rng.below(4) {
            0 => (Severity::DEBUG, format!("pool: {} connections idle", self.rng.below(32))),
            1 => (Severity::INFO, format!("collected garbage in {} ms", self.rng.between(1, 60))),
            2 => (Severity::INFO, "configuration is up to date".to_owned()),
            _ => (Severity::INFO, format!("cache holds {} entries", self.rng.below(100_000))),
        };
        LogRecord { trace_id: None, span_id: None, flags: 0, ..self.during(span, severity, body.into()) }
    }

    /// A line that was written during this span.
    fn during(&mut self, span: &Span, severity: Severity, body: Value) -> LogRecord {
        let time = span.start_unix_nanos + self.rng.below(span.duration() + 1);
        LogRecord {
            time_unix_nanos: time,
            observed_unix_nanos: time + self.rng.between(1_000_000, 50_000_000),
            severity,
            severity_text: severity.name().unwrap_or_default().into(),
            body: Some(body),
            flags: u32::from(span.trace_flags()),
            trace_id: Some(span.trace_id),
            span_id: Some(span.span_id),
            ..LogRecord::new(span.resource.clone(), span.scope.clone())
        }
    }
}
