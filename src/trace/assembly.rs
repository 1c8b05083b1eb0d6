//! One trace from its spans, in whatever order they came.

use super::path::{self, PathSegment};
use crate::engine::Engine;
use crate::query::Query;
use crate::signal::{Signal, Span, SpanId, TraceId};
use crate::store::Store;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// A trace: its spans in the order of a waterfall, each after its parent, siblings by their start.
///
/// Nothing is asked of the spans. One whose parent is not here (an orphan), and one of several roots, stands at the top like
/// the root; of spans with one id, which at-least-once delivery brings, the one that came last is shown; parents that lead in a
/// circle are cut where the first of the circle began.
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
    /// Spans that were left out because another one with their id came later.
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
    let mut spans = answer.records;
    // Oldest first.
    spans.reverse();
    (!spans.is_empty()).then(|| Trace { partial, ..Trace::assemble(id, spans) })
}

/// How spans of one trace hang together: indices into the list that was given.
pub(super) struct Shape {
    /// Each after its parent.
    pub(super) order: Vec<usize>,
    /// By index in `order`.
    pub(super) parents: Vec<Option<usize>>,
    pub(super) depths: Vec<u32>,
    pub(super) orphans: Vec<bool>,
}

/// What the shape depends on.
pub(super) struct Link {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) start: u64,
}

impl Shape {
    /// O(n log n), however deep they nest.
    pub(super) fn of(spans: &[Link]) -> Self {
        let mut by_id: HashMap<SpanId, usize> = HashMap::new();
        let named = spans.iter().enumerate().filter(|(_, span)| !span.id.is_zero());
        // The last one with an id is the one that counts; others are left out by the caller.
        by_id.extend(named.map(|(number, span)| (span.id, number)));
        let mut by_start: Vec<usize> = (0..spans.len()).collect();
        by_start.sort_by_key(|&number| spans[number].start);
        let parent = |number: usize| by_id.get(&spans[number].parent?).copied();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
        let mut tops = Vec::new();
        for &number in &by_start {
            match parent(number) {
                Some(parent) => children[parent].push(number),
                None => tops.push(number),
            }
        }
        let mut shape = Self { order: Vec::new(), parents: Vec::new(), depths: Vec::new(), orphans: Vec::new() };
        let mut placed = vec![false; spans.len()];
        let tops_known = tops.len();
        for (turn, top) in tops.into_iter().chain(by_start).enumerate() {
            if placed[top] {
                continue;
            }
            // What no top leads to hangs on a circle.
            let top = if turn < tops_known { top } else { first_of_circle(spans, top, parent) };
            let mut open = vec![(top, None, 0)];
            while let Some((number, parent, depth)) = open.pop() {
                if std::mem::replace(&mut placed[number], true) {
                    continue;
                }
                let place = shape.order.len();
                shape.order.push(number);
                shape.parents.push(parent);
                shape.depths.push(depth);
                shape.orphans.push(parent.is_none() && spans[number].parent.is_some());
                open.extend(children[number].iter().rev().map(|&child| (child, Some(place), depth + 1)));
            }
        }
        shape
    }
}

/// The first to begin of the circle into which a span's ancestors lead.
fn first_of_circle(spans: &[Link], from: usize, parent: impl Fn(usize) -> Option<usize>) -> usize {
    let above = |number| parent(number).expect("it would be a top otherwise");
    // One goes twice as fast as the other: where they meet is on the circle (Floyd).
    let (mut slow, mut fast) = (above(from), above(above(from)));
    while slow != fast {
        (slow, fast) = (above(slow), above(above(fast)));
    }
    let mut first = slow;
    let mut at = above(slow);
    while at != slow {
        if spans[at].start < spans[first].start {
            first = at;
        }
        at = above(at);
    }
    first
}

impl Trace {
    /// Puts spans of one trace together, the oldest arrival first: for spans from elsewhere than a store. They are not
    /// asked for their trace ids.
    pub fn assemble(trace_id: TraceId, spans: Vec<Span>) -> Self {
        let before = spans.len();
        let spans = without_duplicates(spans);
        let duplicates = (before - spans.len()) as u64;
        let links: Vec<Link> = spans
            .iter()
            .map(|span| Link { id: span.span_id(), parent: span.parent_span_id(), start: span.start_unix_nanos() })
            .collect();
        let shape = Shape::of(&links);
        let mut given: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
        let mut placed: Vec<TraceSpan> = Vec::with_capacity(given.len());
        for (place, &number) in shape.order.iter().enumerate() {
            placed.push(TraceSpan {
                span: given[number].take().expect("each span has one place"),
                parent: shape.parents[place],
                depth: shape.depths[place],
                orphan: shape.orphans[place],
                self_time: 0,
            });
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

    /// From its first span's start to the last one's end, in nanoseconds since the Unix epoch.
    pub fn times(&self) -> Range<u64> {
        let start = self.spans.iter().map(|one| one.span.start_unix_nanos()).min().unwrap_or(0);
        let end = self.spans.iter().map(|one| one.span.end_unix_nanos()).max().unwrap_or(0);
        start..end.max(start)
    }

    /// How long it took in all, in nanoseconds.
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

/// Of spans with one id the last; in their order.
fn without_duplicates(spans: Vec<Span>) -> Vec<Span> {
    let mut last: HashMap<SpanId, usize> = HashMap::new();
    last.extend(spans.iter().enumerate().map(|(number, span)| (span.span_id(), number)));
    let numbered = spans.into_iter().enumerate();
    let kept = numbered.filter(|(number, span)| span.span_id().is_zero() || last[&span.span_id()] == *number);
    kept.map(|(_, span)| span).collect()
}
