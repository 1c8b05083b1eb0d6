//! Traces in a line each: the newest, the slowest, the failing.

use super::Trace;
use super::assembly::names_a_parent;
use super::parents::Side;
use super::path;
use crate::error::QueryError;
use crate::query::{Query, Report};
use crate::signal::{Span, SpanId, TraceId};
use std::collections::{HashMap, HashSet};

/// A trace in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// The service of its root, or, without a root, of its first orphan.
    pub root_service: Box<str>,
    /// That span's name.
    pub root_name: Box<str>,
    /// Whether that span is a root.
    pub has_root: bool,
    /// When its first span began, in nanoseconds since the Unix epoch; see [`Trace::times`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::nanos"))]
    pub start_unix_nanos: u64,
    /// From there to the last span's end, in nanoseconds; 0 if no time of it is known.
    pub duration: u64,
    /// Its spans, redelivered ones once.
    pub spans: u64,
    /// Those that failed.
    pub errors: u64,
    /// The services that took part, in order.
    pub services: Vec<Box<str>>,
    /// See [`Trace::partial`].
    pub partial: bool,
}

impl Trace {
    /// The trace in a line.
    pub fn summary(&self) -> TraceSummary {
        let root = self.root();
        let times = self.times();
        TraceSummary {
            trace_id: self.trace_id,
            root_service: root.map_or("", |root| root.span.service()).into(),
            root_name: root.map(|root| root.span.name().into()).unwrap_or_default(),
            has_root: root.is_some_and(|root| !root.orphan),
            start_unix_nanos: times.start,
            duration: times.end - times.start,
            spans: self.spans.len() as u64,
            errors: self.errors().count() as u64,
            services: self.services().into_keys().map(Box::from).collect(),
            partial: self.partial,
        }
    }
}

/// In which order traces are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum TraceOrder {
    /// The one that began last first.
    #[default]
    Newest,
    /// The one that took longest first.
    Slowest,
}

/// A question for whole traces, made by [`Query::traces`]: those that have a span which the query finds.
///
/// ```
/// use slipring::{Span, StatusCode, Store, TraceOrder};
///
/// let traces: Store<Span> = Store::builder().build()?;
/// let slowest_failing =
///     traces.query().status(StatusCode::Error).traces().root_service("frontend").order(TraceOrder::Slowest).limit(10).collect()?;
/// assert!(slowest_failing.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: the query's, then a look at every span of the store, without copies; the traces that are told are assembled.
#[derive(Debug)]
#[must_use]
pub struct TraceQuery<'a> {
    query: Query<'a, Span>,
    order: TraceOrder,
    limit: usize,
    root_service: Option<Box<str>>,
    root_name: Option<Box<str>>,
    least_duration: u64,
}

/// What one look at every span tells of a trace.
#[derive(Default)]
struct Sketch {
    /// The least of the starts that are known, and the least and the greatest of all times that are.
    start: Option<u64>,
    times: Option<(u64, u64)>,
    /// Its root, if there is one: service, name, id. Of several, or of one that came twice, only assembly can tell.
    root: Option<(Box<str>, Box<str>, SpanId)>,
    several: bool,
    /// A bit for each id that a caller's span has, by the id's last bits: a root that shares one may hang under it.
    callers: u64,
}

impl<'a> Query<'a, Span> {
    /// The traces that have a span which the query finds, in a line each or whole.
    pub fn traces(self) -> TraceQuery<'a> {
        TraceQuery {
            query: self,
            order: TraceOrder::default(),
            limit: usize::MAX,
            root_service: None,
            root_name: None,
            least_duration: 0,
        }
    }
}

impl TraceQuery<'_> {
    /// In this order; [`Newest`](TraceOrder::Newest) unless told otherwise.
    pub fn order(mut self, order: TraceOrder) -> Self {
        self.order = order;
        self
    }

    /// At most this many.
    pub fn limit(mut self, traces: usize) -> Self {
        self.limit = traces;
        self
    }

    /// Only traces whose root is this service's.
    pub fn root_service(mut self, service: impl Into<Box<str>>) -> Self {
        self.root_service = Some(service.into());
        self
    }

    /// Only traces whose root has this name.
    pub fn root_name(mut self, name: impl Into<Box<str>>) -> Self {
        self.root_name = Some(name.into());
        self
    }

    /// Only traces that took at least so long in all, in nanoseconds.
    pub fn at_least(mut self, nanoseconds: u64) -> Self {
        self.least_duration = nanoseconds;
        self
    }

    /// The traces' summaries.
    ///
    /// # Errors
    /// As [`Query::collect`].
    pub fn collect(self) -> Result<Vec<TraceSummary>, QueryError> {
        Ok(self.collect_with_report()?.0)
    }

    /// The traces' summaries, and how the search for spans that the query finds went. Its `shown` counts these spans.
    ///
    /// ```
    /// use slipring::{Span, Store};
    ///
    /// let traces: Store<Span> = Store::builder().build()?;
    /// traces.push(Span::builder().trace_id(7).name("GET /").build())?;
    ///
    /// let (summaries, report) = traces.query().key("name", "GET /").traces().collect_with_report()?;
    /// assert_eq!((summaries.len(), report.led_by), (1, Some("name")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Query::collect`].
    pub fn collect_with_report(self) -> Result<(Vec<TraceSummary>, Report), QueryError> {
        let (traces, report) = self.search()?;
        Ok((traces.iter().map(Trace::summary).collect(), report))
    }

    /// The traces themselves, assembled.
    ///
    /// # Errors
    /// As [`Query::collect`].
    pub fn assemble(self) -> Result<Vec<Trace>, QueryError> {
        Ok(self.search()?.0)
    }

    fn search(self) -> Result<(Vec<Trace>, Report), QueryError> {
        let Self { query, order, limit, root_service, root_name, least_duration } = self;
        let engine = query.engine();
        let mut wanted: HashSet<TraceId> = HashSet::new();
        let report = query.for_each_unordered(|_, span| {
            wanted.insert(span.trace_id());
        })?;
        wanted.remove(&TraceId::default());
        let mut found: Vec<(TraceId, Sketch)> = sketch(Query::new(engine), &wanted)?.into_iter().collect();
        match order {
            TraceOrder::Newest => found.sort_unstable_by_key(|(id, one)| (std::cmp::Reverse(one.start()), *id)),
            TraceOrder::Slowest => found.sort_unstable_by_key(|(id, one)| (std::cmp::Reverse(one.duration()), *id)),
        }
        let is_root = move |service: &str, name: &str| {
            root_service.as_deref().is_none_or(|wanted| wanted == service)
                && root_name.as_deref().is_none_or(|wanted| wanted == name)
        };
        let may_be_root = is_root.clone();
        let wanted = move |(_, one): &(TraceId, Sketch)| {
            one.duration() >= least_duration && one.root().is_none_or(|(service, name)| may_be_root(service, name))
        };
        let is_told = move |trace: &Trace| {
            let root = trace.root().is_some_and(|root| is_root(root.span.service(), root.span.name()));
            root && trace.duration() >= least_duration
        };
        let mut told: Vec<Trace> = Vec::new();
        for (id, sketch) in found.into_iter().filter(wanted) {
            // A span that was redelivered with other times makes a sketch longer than its trace, never shorter: nothing that
            // comes is slower than this.
            let enough = match order {
                _ if limit == 0 => true,
                TraceOrder::Newest => told.len() >= limit,
                TraceOrder::Slowest => told.get(limit - 1).is_some_and(|last| last.duration() >= sketch.duration()),
            };
            if enough {
                break;
            }
            let Some(trace) = super::assembly::trace_of(engine, id).filter(&is_told) else { continue };
            told.push(trace);
            if order == TraceOrder::Slowest {
                told.sort_by_key(|trace| std::cmp::Reverse(trace.duration()));
                told.truncate(limit);
            }
        }
        Ok((told, report))
    }
}

fn sketch(all: Query<'_, Span>, wanted: &HashSet<TraceId>) -> Result<HashMap<TraceId, Sketch>, QueryError> {
    let mut found: HashMap<TraceId, Sketch> = HashMap::new();
    all.for_each_unordered(|_, span| {
        if !wanted.contains(&span.trace_id()) {
            return;
        }
        let one = found.entry(span.trace_id()).or_default();
        let times = path::times(span);
        if span.start_unix_nanos() > 0 {
            one.start = Some(one.start.map_or(times.start, |start| start.min(times.start)));
        }
        if times != (0..0) {
            let (least, most) = one.times.unwrap_or((times.start, times.end));
            one.times = Some((least.min(times.start), most.max(times.end)));
        }
        if Side::of(span.kind()) == Side::Caller {
            one.callers |= bit(span.span_id());
        }
        if !names_a_parent(span) {
            one.several |= one.root.is_some();
            one.root = Some((span.service().into(), span.name().into(), span.span_id()));
        }
    })?;
    Ok(found)
}

fn bit(id: SpanId) -> u64 {
    1 << (u64::from(id) % 64)
}

impl Sketch {
    fn start(&self) -> u64 {
        self.start.or(self.times.map(|(least, _)| least)).unwrap_or(0)
    }

    fn duration(&self) -> u64 {
        self.times.map_or(0, |(_, most)| most.saturating_sub(self.start()))
    }

    /// Its root's service and name, if that can be told without assembling it.
    fn root(&self) -> Option<(&str, &str)> {
        let (service, name, _) =
            self.root.as_ref().filter(|(_, _, id)| !self.several && self.callers & bit(*id) == 0)?;
        Some((service, name))
    }
}
