//! A search for traces, by Jaeger's meaning of its conditions: a trace fits if one of its spans
//! meets all of them.

use super::golang;
use crate::serve::api::{Listed, Problem, Wanted};
use crate::serve::ask::MOST;
use crate::serve::keep::Keep;
use slipring::query::{Attributed, Condition, Level, Report};
use slipring::span::{SpanKind, StatusCode};
use slipring::trace::{Trace, TraceOrder};
use slipring::{Match, Query, Span, Telemetry};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Traces in an answer, unless told otherwise.
pub const USUAL_DEPTH: i64 = 100;

/// What traces are asked for.
#[derive(Debug, Default)]
pub struct Search {
    /// Any, if it is empty.
    pub service: String,
    pub operation: String,
    /// When a span has to begin; `None` if no span can begin then.
    pub times: Option<RangeInclusive<u64>>,
    /// Nanoseconds; 0 is no condition.
    pub least: i64,
    pub most: i64,
    pub tags: BTreeMap<String, String>,
    /// How many traces at most.
    pub depth: usize,
}

/// Returns the moments of a range that spans can have. Both ends are nanoseconds since the Unix
/// epoch and may lie before it.
pub fn moments(from: i128, until: i128) -> Option<RangeInclusive<u64>> {
    let until = u64::try_from(until.min(u64::MAX.into())).ok()?;
    let from = u64::try_from(from.max(0)).ok()?;
    (from <= until).then_some(from..=until)
}

/// Checks how many traces are asked for.
pub fn depth(traces: i64) -> Result<usize, Problem> {
    let depth = usize::try_from(traces).ok().filter(|depth| (1..=MOST).contains(depth));
    depth.ok_or_else(|| {
        Problem::Bad(format!(
            "search depth must be greater than 0 and less than max traces: {traces} is not from 1 to {MOST}"
        ))
    })
}

/// Reads a map of names to texts in JSON. A null is an empty text, as Go reads it.
pub fn tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let read: Option<BTreeMap<String, Option<String>>> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let named = |(name, value): (String, Option<String>)| (name, value.unwrap_or_default());
    Ok(read.unwrap_or_default().into_iter().map(named).collect())
}

impl Search {
    /// Finds the traces, newest first, of the store and of those that are kept beyond it. Tells how
    /// that went.
    pub fn find(
        &self,
        keep: Option<&Keep>,
        telemetry: &Telemetry,
    ) -> Result<(Vec<Trace>, Report), Problem> {
        if self.query(telemetry).is_none() {
            return Ok(Default::default());
        }
        let conditions = || self.query(telemetry).expect("what it is made of has not changed");
        let kept = keep.map(|keep| (keep, keep.ids()));
        let newest =
            Wanted { order: TraceOrder::Newest, root_service: None, root_name: None, at_least: 0 };
        let (found, report) = newest.find(telemetry.traces(), conditions, kept, self.depth)?;
        Ok((found.into_iter().map(Listed::into_trace).collect(), report))
    }

    /// Returns the query for the spans that fit; `None` if none can.
    fn query<'q>(&self, telemetry: &'q Telemetry) -> Option<Query<'q, Span>> {
        let mut query = telemetry.traces().query().between(self.times.clone()?);
        if !self.service.is_empty() {
            query = query.key("service", &*self.service);
        }
        if !self.operation.is_empty() {
            query = query.key("name", &*self.operation);
        }
        if self.least > 0 {
            query = query.duration(self.least.unsigned_abs()..);
        }
        match self.most {
            0 => {}
            most => query = query.duration(..=u64::try_from(most).ok()?),
        }
        self.tags.iter().try_fold(query, |query, (name, value)| tagged(query, name, value))
    }
}

/// Adds the condition that a tag stands for; `None` if no span can meet it.
fn tagged<'q>(query: Query<'q, Span>, name: &str, value: &str) -> Option<Query<'q, Span>> {
    let owned = value.to_owned();
    Some(match name {
        "error" if golang::truth(value).ok()? => query.status(StatusCode::Error),
        "error" => query.filter(|span| span.status_code() != StatusCode::Error),
        "span.status" => query.status(match value.to_ascii_uppercase().as_str() {
            "OK" => StatusCode::Ok,
            "ERROR" => StatusCode::Error,
            _ => StatusCode::Unset,
        }),
        "span.kind" => {
            let kind = kind(value).unwrap_or_default();
            query.filter(move |span| span.kind() == kind)
        }
        "scope.name" => query.filter(move |span| span.scope().name() == owned),
        "scope.version" => query.filter(move |span| span.scope().version() == owned),
        _ => {
            let (level, name) = match name.strip_prefix("resource.") {
                Some(name) => (Some(Level::Resource), name.to_owned()),
                None => (None, name.to_owned()),
            };
            let reads = Condition::new(Match::reads(value)).expect("any text is a condition");
            query.filter(move |span| {
                reads.accepts(span, level, &name)
                    || span.any_value(level, &name, &mut |value| {
                        golang::text(value).is_some_and(|text| text == owned)
                    })
            })
        }
    })
}

/// Reads a kind of span, in either case.
fn kind(name: &str) -> Option<SpanKind> {
    let all = [
        SpanKind::Client,
        SpanKind::Server,
        SpanKind::Producer,
        SpanKind::Consumer,
        SpanKind::Internal,
    ];
    all.into_iter().find(|kind| name.eq_ignore_ascii_case(kind_name(*kind)))
}

/// Returns a kind's name; none for one that was not said.
pub fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        _ => "",
    }
}
