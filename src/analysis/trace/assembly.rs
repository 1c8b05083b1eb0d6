//! Assembles a trace from its spans, in whatever order they arrived.

use super::parents::{self, SpanKey};
use super::path::{self, PathSegment};
use super::span::TraceSpan;
use crate::engine::state::Engine;
use crate::query::Query;
use crate::signal::{Signal, Span, SpanId, SpanKind, TraceId};
use crate::store::Store;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// A trace: its spans in the order of a waterfall chart, each after its parent, siblings by start.
///
/// Any spans can be assembled, and their order of arrival makes no difference. An orphan (a span
/// whose parent is not in the store) and each of several roots stand at the top level like the
/// root. A cycle of parents is cut at the span that began first.
///
/// At-least-once delivery can bring a span more than once. Spans with the same id, service, kind,
/// name and start are taken as one, and the one that ended last is kept. Spans that share only the
/// id are different spans: in some systems, such as Zipkin's, the client's span and the server's
/// share one. The server's span then becomes a child of the client's. A span that names the id as
/// its parent becomes a child of the one of its own service.
///
/// ```
/// use slipring::{Span, SpanId, Store, TraceId};
///
/// let traces: Store<Span> = Store::builder().build()?;
/// let span = |id: u64, parent: Option<u64>, start, end| {
///     let span = Span::builder().trace_id(7).span_id(id).parent_span_id(parent.map(SpanId::from));
///     span.start_unix_nanos(start).end_unix_nanos(end).build()
/// };
/// // A child ends, and arrives, before its parent.
/// traces.push_batch(vec![span(2, Some(1), 20, 60), span(1, None, 10, 100)])?;
///
/// let trace = traces.trace(TraceId::from(7)).expect("there are spans of it");
/// let depths: Vec<(u32, u64)> = trace.spans.iter().map(|one| (one.depth, one.self_time)).collect();
/// assert_eq!(depths, [(0, 50), (1, 40)]);
/// assert_eq!(trace.duration(), 90);
/// assert!(!trace.partial);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Trace {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The trace's spans, each after its parent.
    pub spans: Vec<TraceSpan>,
    /// The number of spans left out as redelivered: another span has the same id, service, kind,
    /// name and start.
    pub duplicates: u64,
    /// Whether spans of the trace are known to have been evicted. This is always known if a shard
    /// still holds other spans of the trace. A shard that evicted all of them remembers that for
    /// about as long as it keeps other records.
    pub partial: bool,
}

impl Store<Span> {
    /// Returns a trace, assembled from the spans that the store holds of it; `None` if it holds
    /// none. Copies the spans. O(n log n) in their number, plus the query.
    pub fn trace(&self, id: impl Into<TraceId>) -> Option<Trace> {
        trace_of(self.engine(), id.into())
    }
}

pub(super) fn trace_of(engine: &Engine<Span>, id: TraceId) -> Option<Trace> {
    let answer = Query::new(engine).key("trace", id).collect().expect("spans have this index");
    let partial = answer.report.partial || answer.report.cut;
    let spans = answer.records;
    (!spans.is_empty()).then(|| Trace { partial, ..Trace::assemble(id, spans) })
}

/// The tree of one trace's spans, as indices into a list of spans.
struct Shape {
    /// The spans, each after its parent.
    order: Vec<usize>,
    /// Each span's parent, as an index into `order`.
    parents: Vec<Option<usize>>,
    depths: Vec<u32>,
}

impl Shape {
    /// Builds the tree from each span's parent. The list must be sorted by start. O(n), however
    /// deep the spans nest.
    fn of(parents: &[Option<usize>]) -> Self {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
        let mut tops = Vec::new();
        for (number, parent) in parents.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(number),
                None => tops.push(number),
            }
        }
        let mut shape = Self { order: Vec::new(), parents: Vec::new(), depths: Vec::new() };
        let mut placed = vec![false; parents.len()];
        let top_count = tops.len();
        for (turn, top) in tops.into_iter().chain(0..parents.len()).enumerate() {
            if placed[top] {
                continue;
            }
            // A span that no top-level span leads to hangs on a cycle.
            let top = if turn < top_count { top } else { first_of_cycle(top, parents) };
            let mut open = vec![(top, None, 0)];
            while let Some((number, parent, depth)) = open.pop() {
                if std::mem::replace(&mut placed[number], true) {
                    continue;
                }
                let place = shape.order.len();
                shape.order.push(number);
                shape.parents.push(parent);
                shape.depths.push(depth);
                open.extend(
                    children[number].iter().rev().map(|&child| (child, Some(place), depth + 1)),
                );
            }
        }
        shape
    }
}

/// Returns the span that began first on the cycle that a span's ancestors form.
fn first_of_cycle(from: usize, parents: &[Option<usize>]) -> usize {
    let above =
        |number: usize| parents[number].expect("a span without a parent is a top-level span");
    // Floyd's cycle detection: the place where the slow and the fast pointer meet is on the cycle.
    let (mut slow, mut fast) = (above(from), above(above(from)));
    while slow != fast {
        (slow, fast) = (above(slow), above(above(fast)));
    }
    let (mut first, mut at) = (slow, above(slow));
    while at != slow {
        first = first.min(at);
        at = above(at);
    }
    first
}

impl Trace {
    /// Assembles spans that do not come from a store, in whatever order. All of them are taken as
    /// spans of this trace; their own trace ids are ignored.
    pub fn assemble(trace_id: TraceId, spans: Vec<Span>) -> Self {
        let before = spans.len();
        let spans = sorted_without_duplicates(spans);
        let duplicates = (before - spans.len()) as u64;
        let mut services = HashMap::new();
        let keys: Vec<SpanKey> = spans
            .iter()
            .map(|span| {
                let next = services.len() as u32;
                SpanKey {
                    trace: TraceId::from(ONE_TRACE),
                    id: span.span_id(),
                    parent: span.parent_span_id(),
                    service: *services.entry(service_identity(span)).or_insert(next),
                    kind: span.kind(),
                    start: path::times(span).start,
                }
            })
            .collect();
        let shape = Shape::of(&parents::of(&keys, |one| *one));
        let mut remaining: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
        let mut placed: Vec<TraceSpan> = Vec::with_capacity(remaining.len());
        for (place, &number) in shape.order.iter().enumerate() {
            let span = remaining[number].take().expect("each span is placed once");
            let parent = shape.parents[place];
            let orphan = parent.is_none() && has_parent_id(&span);
            placed.push(TraceSpan {
                span,
                parent,
                depth: shape.depths[place],
                orphan,
                self_time: 0,
            });
        }
        let mut trace = Self { trace_id, spans: placed, duplicates, partial: false };
        path::self_times(&mut trace.spans);
        trace
    }

    /// Returns the first root to begin or, without a root, the first orphan. `None` only if the
    /// trace was assembled from no spans.
    pub fn root(&self) -> Option<&TraceSpan> {
        self.root_place().map(|place| &self.spans[place])
    }

    fn root_place(&self) -> Option<usize> {
        let tops = || self.spans.iter().enumerate().filter(|(_, one)| one.parent.is_none());
        let root = tops().find(|(_, one)| !one.orphan).or_else(|| tops().next());
        root.map(|(place, _)| place)
    }

    /// Returns the time from the first span's start to the last span's end, in nanoseconds since
    /// the Unix epoch. Unknown times (0) are ignored. If no start is known, the range begins at the
    /// first end.
    pub fn times(&self) -> Range<u64> {
        let known = |times: Range<u64>| (times != (0..0)).then_some(times);
        let starts =
            self.spans.iter().map(|one| one.span.start_unix_nanos()).filter(|&start| start > 0);
        let times = || self.spans.iter().filter_map(|one| known(path::times(&one.span)));
        let start = starts.min().or_else(|| times().map(|times| times.start).min()).unwrap_or(0);
        let end = times().map(|times| times.end).max().unwrap_or(0);
        start..end.max(start)
    }

    /// Returns the trace's duration in nanoseconds: the length of its [`times`](Trace::times).
    pub fn duration(&self) -> u64 {
        let times = self.times();
        times.end - times.start
    }

    /// Iterates over the spans that failed.
    pub fn errors(&self) -> impl Iterator<Item = &TraceSpan> {
        self.spans.iter().filter(|one| one.span.is_error())
    }

    /// Returns the services that took part, with their numbers of spans.
    pub fn services(&self) -> BTreeMap<&str, u64> {
        let mut services = BTreeMap::new();
        for one in &self.spans {
            *services.entry(one.span.service()).or_default() += 1;
        }
        services
    }

    /// Returns the segments that make up the root's duration, in order of time. As far as the
    /// spans' times tell, shortening one of them shortens the trace. Together they are as long as
    /// the root.
    ///
    /// Goes back from the root's end. The child that ended last before the current moment was
    /// waited for, and the time after its end is the span's own. Jaeger finds critical paths the
    /// same way. O(n log n).
    pub fn critical_path(&self) -> Vec<PathSegment> {
        self.root_place().map(|root| path::critical(&self.spans, root)).unwrap_or_default()
    }
}

/// The trace id used while assembling, since the spans' own are ignored.
const ONE_TRACE: u128 = 1;

pub(super) fn has_parent_id(span: &Span) -> bool {
    span.parent_span_id().is_some_and(|parent| !parent.is_zero())
}

/// Returns what identifies a service: its namespace, empty if it has none, and its name.
pub(super) fn service_identity(span: &Span) -> (&str, &str) {
    (span.service_namespace(), span.service())
}

/// Returns what identifies a span. Two spans with equal identities are one span that was delivered
/// twice.
fn identity(span: &Span) -> (u64, SpanId, SpanKind, (&str, &str), &str) {
    (path::times(span).start, span.span_id(), span.kind(), service_identity(span), span.name())
}

/// Orders duplicates of a span by how much they know; the greatest is kept. Equal only if the spans
/// are equal.
fn more_complete(a: &Span, b: &Span) -> Ordering {
    let known = |span: &Span| {
        let lists = span.attributes().len() + span.events().len() + span.links().len();
        (span.end_unix_nanos(), span.status_code(), lists, span.parent_span_id())
    };
    let by_everything =
        || if a == b { Ordering::Equal } else { format!("{a:?}").cmp(&format!("{b:?}")) };
    known(a).cmp(&known(b)).then_with(by_everything)
}

/// Sorts spans by start and removes duplicates. The result does not depend on the order of the
/// input.
fn sorted_without_duplicates(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| identity(a).cmp(&identity(b)).then_with(|| more_complete(b, a)));
    spans.dedup_by(|one, before| !one.span_id().is_zero() && identity(one) == identity(before));
    spans
}
