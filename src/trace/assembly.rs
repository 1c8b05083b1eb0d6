//! One trace from its spans, in whatever order they came.

use super::parents::{self, Kin};
use super::path::{self, PathSegment};
use crate::engine::Engine;
use crate::query::Query;
use crate::signal::{Signal, Span, SpanId, SpanKind, TraceId};
use crate::store::Store;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// A trace: its spans in the order of a waterfall, each after its parent, siblings by their start.
///
/// Nothing is asked of the spans, and in which order they came makes no difference. One whose parent is not here (an orphan), and one
/// of several roots, stands at the top like the root; parents that lead in a circle are cut where the first of the circle began.
///
/// At-least-once delivery brings a span more than once. Spans with the same id, service, kind, name and start are one; the one that
/// ended last is shown. Spans that have only the id in common are not: in some systems, such as Zipkin's, the client's span and the
/// server's share one. The server's then stands under the client's, and what names the id as its parent under the one of its own service.
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
    /// Its id.
    pub trace_id: TraceId,
    /// Its spans, each after its parent.
    pub spans: Vec<TraceSpan>,
    /// Spans that were left out because they were delivered before: with the id, service, kind, name and start of another.
    pub duplicates: u64,
    /// Whether spans of it are known to have been evicted. Of those that lie in one shard with some that are left, that is always
    /// known; a shard that has let all of its spans of the trace go remembers that for about as long as it keeps other
    /// records.
    pub partial: bool,
}

/// A span in its place in a [`Trace`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceSpan {
    /// The span.
    pub span: Span,
    /// Where in the list its parent is.
    pub parent: Option<usize>,
    /// How many ancestors it has here.
    pub depth: u32,
    /// Whether it names a parent that is not here.
    pub orphan: bool,
    /// How long it did what no child of its did meanwhile, in nanoseconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::count"))]
    pub self_time: u64,
}

impl Store<Span> {
    /// A trace, assembled from the spans that the store holds of it; `None` if there are none. Copies them. O(n log n) in
    /// their number, beside the query.
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

/// How spans of one trace hang together: indices into the list that was given.
struct Shape {
    /// Each after its parent.
    order: Vec<usize>,
    /// By index in `order`.
    parents: Vec<Option<usize>>,
    depths: Vec<u32>,
}

impl Shape {
    /// From each one's parent, in a list that is in the order of their starts. O(n), however deep they nest.
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
        let tops_known = tops.len();
        for (turn, top) in tops.into_iter().chain(0..parents.len()).enumerate() {
            if placed[top] {
                continue;
            }
            // What no top leads to hangs on a circle.
            let top = if turn < tops_known { top } else { first_of_circle(top, parents) };
            let mut open = vec![(top, None, 0)];
            while let Some((number, parent, depth)) = open.pop() {
                if std::mem::replace(&mut placed[number], true) {
                    continue;
                }
                let place = shape.order.len();
                shape.order.push(number);
                shape.parents.push(parent);
                shape.depths.push(depth);
                open.extend(children[number].iter().rev().map(|&child| (child, Some(place), depth + 1)));
            }
        }
        shape
    }
}

/// The first to begin of the circle into which a span's ancestors lead.
fn first_of_circle(from: usize, parents: &[Option<usize>]) -> usize {
    let above = |number: usize| parents[number].expect("it would be a top otherwise");
    // One goes twice as fast as the other: where they meet is on the circle (Floyd).
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
    /// Puts spans of one trace together, in whatever order they come: for spans from elsewhere than a store. They are not
    /// asked for their trace ids.
    pub fn assemble(trace_id: TraceId, spans: Vec<Span>) -> Self {
        let before = spans.len();
        let spans = in_order_and_once(spans);
        let duplicates = (before - spans.len()) as u64;
        let mut services = HashMap::new();
        let kin: Vec<Kin> = spans
            .iter()
            .map(|span| {
                let next = services.len() as u32;
                Kin {
                    trace: TraceId::from(ONE_TRACE),
                    id: span.span_id(),
                    parent: span.parent_span_id(),
                    service: *services.entry(service_identity(span)).or_insert(next),
                    kind: span.kind(),
                    start: path::times(span).start,
                }
            })
            .collect();
        let shape = Shape::of(&parents::of(&kin, |one| *one));
        let mut given: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
        let mut placed: Vec<TraceSpan> = Vec::with_capacity(given.len());
        for (place, &number) in shape.order.iter().enumerate() {
            let span = given[number].take().expect("each span has one place");
            let parent = shape.parents[place];
            let orphan = parent.is_none() && names_a_parent(&span);
            placed.push(TraceSpan { span, parent, depth: shape.depths[place], orphan, self_time: 0 });
        }
        let mut trace = Self { trace_id, spans: placed, duplicates, partial: false };
        path::self_times(&mut trace.spans);
        trace
    }

    /// The span at the top: the first root to begin, or, without a root, the first orphan. A trace has spans, so there is
    /// one, unless it was assembled from none.
    pub fn root(&self) -> Option<&TraceSpan> {
        self.root_place().map(|place| &self.spans[place])
    }

    fn root_place(&self) -> Option<usize> {
        let tops = || self.spans.iter().enumerate().filter(|(_, one)| one.parent.is_none());
        let root = tops().find(|(_, one)| !one.orphan).or_else(|| tops().next());
        root.map(|(place, _)| place)
    }

    /// From its first span's start to the last one's end, in nanoseconds since the Unix epoch. A time that is not known (0) takes no
    /// part; if no start is known, it is the first end.
    pub fn times(&self) -> Range<u64> {
        let known = |times: Range<u64>| (times != (0..0)).then_some(times);
        let starts = self.spans.iter().map(|one| one.span.start_unix_nanos()).filter(|&start| start > 0);
        let times = || self.spans.iter().filter_map(|one| known(path::times(&one.span)));
        let start = starts.min().or_else(|| times().map(|times| times.start).min()).unwrap_or(0);
        let end = times().map(|times| times.end).max().unwrap_or(0);
        start..end.max(start)
    }

    /// How long it took in all, in nanoseconds: the length of its [`times`](Trace::times).
    pub fn duration(&self) -> u64 {
        let times = self.times();
        times.end - times.start
    }

    /// Its spans that failed.
    pub fn errors(&self) -> impl Iterator<Item = &TraceSpan> {
        self.spans.iter().filter(|one| one.span.is_error())
    }

    /// The services that took part, with their numbers of spans.
    pub fn services(&self) -> BTreeMap<&str, u64> {
        let mut services = BTreeMap::new();
        for one in &self.spans {
            *services.entry(one.span.service()).or_default() += 1;
        }
        services
    }

    /// The chain of spans that the root's duration is made of: shorten one of these segments, and the whole becomes shorter, as far
    /// as its times tell. In order of time; together they are as long as the root.
    ///
    /// It goes back from the root's end: whichever child ended last before that moment was waited for; what lies between is the
    /// span's own. (The way in which Jaeger finds it.) O(n log n).
    pub fn critical_path(&self) -> Vec<PathSegment> {
        self.root_place().map(|root| path::critical(&self.spans, root)).unwrap_or_default()
    }
}

/// For spans that are all of one trace, whatever they say.
const ONE_TRACE: u128 = 1;

pub(super) fn names_a_parent(span: &Span) -> bool {
    span.parent_span_id().is_some_and(|parent| !parent.is_zero())
}

/// What tells a service from others: its namespace, empty if it has none, and its name.
pub(super) fn service_identity(span: &Span) -> (&str, &str) {
    (span.service_namespace(), span.service())
}

/// What a span is known by: two that agree are one, which was delivered twice.
fn identity(span: &Span) -> (u64, SpanId, SpanKind, (&str, &str), &str) {
    (path::times(span).start, span.span_id(), span.kind(), service_identity(span), span.name())
}

/// Which of two that are one is told: the one that knows more. Equal only if they are the same in all.
fn fuller(a: &Span, b: &Span) -> Ordering {
    let known = |span: &Span| {
        let lists = span.attributes().len() + span.events().len() + span.links().len();
        (span.end_unix_nanos(), span.status_code(), lists, span.parent_span_id())
    };
    let in_all = || if a == b { Ordering::Equal } else { format!("{a:?}").cmp(&format!("{b:?}")) };
    known(a).cmp(&known(b)).then_with(in_all)
}

/// Spans in the order of their starts, and each once, whatever order they came in.
fn in_order_and_once(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| identity(a).cmp(&identity(b)).then_with(|| fuller(b, a)));
    spans.dedup_by(|one, before| !one.span_id().is_zero() && identity(one) == identity(before));
    spans
}
