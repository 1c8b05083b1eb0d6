//! The log records that the services write during the spans of a trace.

use slipring::attribute::Attributes;
use slipring::log::LogBuilder;
use slipring::span::{SpanKind, StatusCode};
use slipring::{LogRecord, Severity, Span, SpanId, TraceId};

use crate::rng::Rng;
use crate::skew::Skew;

/// The number of successful spans out of ten thousand that write a record.
const CHATTY: u16 = 4_000;
/// The number of traces out of ten thousand during which a process writes a record of its own.
const BACKGROUND: u16 = 1_500;

pub(crate) struct Logs {
    rng: Rng,
    /// The levels of records that no failure causes: information, debugging, warning.
    severities: Skew,
}

impl Logs {
    pub fn new(seed: u64) -> Self {
        // Failures and retries add warnings and errors to these. The crate's documentation gives
        // the totals.
        Self {
            rng: Rng::new(seed, 0x6c6f_6773_0000),
            severities: Skew::of(&[81_300, 15_200, 3_500]),
        }
    }

    /// Generates the log records of these spans, ordered by time.
    pub fn of(&mut self, spans: &[Span]) -> Vec<LogRecord> {
        let mut lines: Vec<LogRecord> = spans.iter().filter_map(|span| self.line(span)).collect();
        if let Some(span) = spans.last().filter(|_| self.rng.chance(BACKGROUND)) {
            lines.push(self.background(span));
        }
        lines.sort_by_key(LogRecord::time_unix_nanos);
        lines
    }

    /// Generates the record of one span, if it writes one.
    fn line(&mut self, span: &Span) -> Option<LogRecord> {
        let (name, status) = (span.name(), span.status());
        if let Some(event) = span.events().iter().find(|event| event.name() == "exception") {
            let severity = if self.rng.chance(200) { Severity::FATAL } else { Severity::ERROR };
            let body = format!("{name} failed: {}", status.message);
            return Some(
                self.during(span, severity).body(&body).attributes(event.attributes()).build(),
            );
        }
        if span.kind() == SpanKind::Client && !span.links().is_empty() {
            let body = format!("{name} was tried again");
            return Some(self.during(span, Severity::WARN).body(&body).build());
        }
        match (status.code, span.kind()) {
            // The callee writes the record.
            (StatusCode::Error, SpanKind::Client) => return None,
            // A failure that was propagated from a callee.
            (StatusCode::Error, _) => {
                let body = format!("{name} could not go on: {}", status.message);
                return Some(self.during(span, Severity::ERROR).body(&body).build());
            }
            _ if !self.rng.chance(CHATTY) => return None,
            _ => {}
        }
        let micros = span.duration() / 1_000;
        Some(match self.severities.draw(&mut self.rng) {
            0 if name == "shop.Checkout/PlaceOrder" => self.order_placed(span),
            0 => {
                let body = format!("{name} done in {micros} µs");
                self.during(span, Severity::INFO)
                    .body(&body)
                    .attribute("duration_us", micros as i64)
                    .build()
            }
            1 => {
                let body = format!(
                    "{name}: {} attributes, {} events",
                    span.attributes().len(),
                    span.events().len()
                );
                let line = self.rng.between(20, 900) as i64;
                let thread = format!("worker-{}", self.rng.below(64));
                self.during(span, Severity::DEBUG)
                    .body(&body)
                    .attribute("code.function.name", "shop.internal.Handler.handle")
                    .attribute("code.line.number", line)
                    .attribute("thread.name", &thread)
                    .build()
            }
            _ => {
                let body = format!("{name} took {micros} µs, which is long");
                self.during(span, Severity::WARN).body(&body).build()
            }
        })
    }

    /// Generates an event instead of a message: a name, and a structured body.
    fn order_placed(&mut self, span: &Span) -> LogRecord {
        let of_order = span.attributes().iter().filter(|one| one.key.starts_with("app.order"));
        let body: Attributes = of_order.map(|one| (one.key, one.value.to_value())).collect();
        self.during(span, Severity::INFO).event_name("shop.order.placed").body(&body).build()
    }

    /// Generates a record about the process, which belongs to no trace.
    fn background(&mut self, span: &Span) -> LogRecord {
        let (severity, body) = match self.rng.below(4) {
            0 => (Severity::DEBUG, format!("pool: {} connections idle", self.rng.below(32))),
            1 => (Severity::INFO, format!("collected garbage in {} ms", self.rng.between(1, 60))),
            2 => (Severity::INFO, "configuration is up to date".to_owned()),
            _ => (Severity::INFO, format!("cache holds {} entries", self.rng.below(100_000))),
        };
        let line =
            self.during(span, severity).trace_id(TraceId::default()).span_id(SpanId::default());
        line.flags(0).body(&body).build()
    }

    /// Generates a record that was written during this span.
    fn during<'a>(&mut self, span: &Span, severity: Severity) -> LogBuilder<'a> {
        let time = span.start_unix_nanos() + self.rng.below(span.duration() + 1);
        LogRecord::builder()
            .source(span.source())
            .time_unix_nanos(time)
            .observed_unix_nanos(time + self.rng.between(1_000_000, 50_000_000))
            .severity(severity)
            .severity_text(severity.name().unwrap_or_default())
            .flags(span.trace_flags().into())
            .trace_id(span.trace_id())
            .span_id(span.span_id())
    }
}
