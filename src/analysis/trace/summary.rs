//! Trace summaries: the newest, the slowest, the failing traces.

use super::Trace;
use super::assembly::has_parent_id;
use super::parents::Side;
use super::path;
use crate::error::QueryError;
use crate::query::{Query, Report};
use crate::signal::{Span, SpanId, TraceId};
use std::collections::{HashMap, HashSet};

/// A summary of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceSummary {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The service of the root or, without a root, of the first orphan.
    pub root_service: Box<str>,
    /// The name of that span.
    pub root_name: Box<str>,
    /// Whether that span is a root.
    pub has_root: bool,
    /// The start of the first span, in nanoseconds since the Unix epoch; see [`Trace::times`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::nanos"))]
    pub start_unix_nanos: u64,
    /// The time from there to the last span's end, in nanoseconds; 0 if no time is known.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::count"))]
    pub duration: u64,
    /// The number of spans. Redelivered spans count once.
    pub spans: u64,
    /// The number of spans that failed.
    pub errors: u64,
    /// The services that took part, sorted.
    pub services: Vec<Box<str>>,
    /// See [`Trace::partial`].
    pub partial: bool,
}

impl Trace {
    /// Returns a summary of the trace.
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

/// The order in which traces are returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum TraceOrder {
    /// By start, latest first.
    #[default]
    Newest,
    /// By duration, longest first.
    Slowest,
}

/// A query for whole traces, created by [`Query::traces`]: those with at least one span that the
/// query finds.
///
/// ```
/// use slipring::{Span, Store};
/// use slipring::span::StatusCode;
/// use slipring::trace::TraceOrder;
///
/// let traces: Store<Span> = Store::builder().build()?;
/// let slowest_failing =
///     traces.query().status(StatusCode::Error).traces().root_service("frontend").order(TraceOrder::Slowest).limit(10).collect()?;
/// assert!(slowest_failing.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It costs as much as the query, plus a look at every span of the store, without copies. The
/// traces that are returned are then assembled.
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

/// What one pass over all spans tells about a trace, without assembling it.
#[derive(Default)]
struct Preview {
    /// The least known start, and the least and greatest of all known times.
    start: Option<u64>,
    times: Option<(u64, u64)>,
    /// The root, if there is one: service, name, id. With several roots, or a root that was
    /// delivered twice, only assembly can tell which one counts.
    root: Option<(Box<str>, Box<str>, SpanId)>,
    several_roots: bool,
    /// A 64-bit set of the ids of callers' spans, by the ids' low bits. A root that shares an id
    /// with a caller's span may become its child.
    callers: u64,
}

impl<'a> Query<'a, Span> {
    /// Selects the traces with at least one span that the query finds, as summaries or whole.
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
    /// Sets the order. The default is [`Newest`](TraceOrder::Newest).
    pub fn order(mut self, order: TraceOrder) -> Self {
        self.order = order;
        self
    }

    /// Sets the most traces to return.
    pub fn limit(mut self, traces: usize) -> Self {
        self.limit = traces;
        self
    }

    /// Keeps traces whose root belongs to this service.
    pub fn root_service(mut self, service: impl Into<Box<str>>) -> Self {
        self.root_service = Some(service.into());
        self
    }

    /// Keeps traces whose root has this name.
    pub fn root_name(mut self, name: impl Into<Box<str>>) -> Self {
        self.root_name = Some(name.into());
        self
    }

    /// Keeps traces that took at least this long, in nanoseconds.
    pub fn at_least(mut self, nanoseconds: u64) -> Self {
        self.least_duration = nanoseconds;
        self
    }

    /// Runs the query and returns the traces' summaries.
    ///
    /// # Errors
    /// As [`Query::collect`].
    pub fn collect(self) -> Result<Vec<TraceSummary>, QueryError> {
        Ok(self.collect_with_report()?.0)
    }

    /// Returns the traces' summaries, and how the search for the query's spans went. Its `shown`
    /// counts these spans.
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
        let (traces, report) = self.assemble_with_report()?;
        Ok((traces.iter().map(Trace::summary).collect(), report))
    }

    /// Runs the query and returns the traces, assembled.
    ///
    /// # Errors
    /// As [`Query::collect`].
    pub fn assemble(self) -> Result<Vec<Trace>, QueryError> {
        Ok(self.assemble_with_report()?.0)
    }

    /// Returns the traces, assembled, and how the search for the query's spans went, as
    /// [`collect_with_report`](TraceQuery::collect_with_report) does.
    ///
    /// # Errors
    /// As [`Query::collect`].
    pub fn assemble_with_report(self) -> Result<(Vec<Trace>, Report), QueryError> {
        let Self { query, order, limit, root_service, root_name, least_duration } = self;
        let engine = query.engine();
        let mut wanted: HashSet<TraceId> = HashSet::new();
        let report = query.for_each_unordered(|_, span| {
            wanted.insert(span.trace_id());
        })?;
        wanted.remove(&TraceId::default());
        let mut found: Vec<(TraceId, Preview)> =
            previews(Query::new(engine), &wanted)?.into_iter().collect();
        match order {
            TraceOrder::Newest => {
                found.sort_unstable_by_key(|(id, one)| (std::cmp::Reverse(one.start()), *id))
            }
            TraceOrder::Slowest => {
                found.sort_unstable_by_key(|(id, one)| (std::cmp::Reverse(one.duration()), *id))
            }
        }
        let is_root = move |service: &str, name: &str| {
            root_service.as_deref().is_none_or(|wanted| wanted == service)
                && root_name.as_deref().is_none_or(|wanted| wanted == name)
        };
        let may_be_root = is_root.clone();
        let wanted = move |(_, one): &(TraceId, Preview)| {
            one.duration() >= least_duration
                && one.root().is_none_or(|(service, name)| may_be_root(service, name))
        };
        let matches = move |trace: &Trace| {
            let root =
                trace.root().is_some_and(|root| is_root(root.span.service(), root.span.name()));
            root && trace.duration() >= least_duration
        };
        let mut traces: Vec<Trace> = Vec::new();
        for (id, preview) in found.into_iter().filter(wanted) {
            // A span that was redelivered with other times can make a preview longer than its
            // trace, but not shorter. So no later trace is slower than this preview.
            let enough = match order {
                _ if limit == 0 => true,
                TraceOrder::Newest => traces.len() >= limit,
                TraceOrder::Slowest => {
                    traces.get(limit - 1).is_some_and(|last| last.duration() >= preview.duration())
                }
            };
            if enough {
                break;
            }
            let Some(trace) = super::assembly::trace_of(engine, id).filter(&matches) else {
                continue;
            };
            traces.push(trace);
            if order == TraceOrder::Slowest {
                traces.sort_by_key(|trace| std::cmp::Reverse(trace.duration()));
                traces.truncate(limit);
            }
        }
        Ok((traces, report))
    }
}

fn previews(
    all: Query<'_, Span>,
    wanted: &HashSet<TraceId>,
) -> Result<HashMap<TraceId, Preview>, QueryError> {
    let mut found: HashMap<TraceId, Preview> = HashMap::new();
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
        if !has_parent_id(span) {
            one.several_roots |= one.root.is_some();
            one.root = Some((span.service().into(), span.name().into(), span.span_id()));
        }
    })?;
    Ok(found)
}

fn bit(id: SpanId) -> u64 {
    1 << (u64::from(id) % 64)
}

impl Preview {
    fn start(&self) -> u64 {
        self.start.or(self.times.map(|(least, _)| least)).unwrap_or(0)
    }

    fn duration(&self) -> u64 {
        self.times.map_or(0, |(_, most)| most.saturating_sub(self.start()))
    }

    /// Returns the root's service and name, if they are certain without assembling the trace.
    fn root(&self) -> Option<(&str, &str)> {
        let (service, name, _) = self
            .root
            .as_ref()
            .filter(|(_, _, id)| !self.several_roots && self.callers & bit(*id) == 0)?;
        Some((service, name))
    }
}
