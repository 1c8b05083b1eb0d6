//! Where a trace's time went.

use super::span::TraceSpan;
use crate::signal::Span;
use std::ops::Range;

/// A part of a trace's critical path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PathSegment {
    /// Where in the trace's list the span is that was at work.
    pub span: usize,
    /// When, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::range"))]
    pub times: Range<u64>,
}

/// From when to when a span is known to have been at work: at its end only, if its start is not known, and the other way round.
pub(super) fn times(span: &Span) -> Range<u64> {
    let start = if span.start_unix_nanos() > 0 { span.start_unix_nanos() } else { span.end_unix_nanos() };
    start..span.end_unix_nanos().max(start)
}

fn children_of(spans: &[TraceSpan]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); spans.len()];
    for (place, one) in spans.iter().enumerate() {
        if let Some(parent) = one.parent {
            children[parent].push(place);
        }
    }
    children
}

/// Each span's duration less what its children cover of it.
pub(super) fn self_times(spans: &mut [TraceSpan]) {
    // Siblings come in the order of their starts, so what they cover grows at its end only.
    let mut covered: Vec<(u64, u64)> = spans.iter().map(|one| (times(&one.span).start, 0)).collect();
    for place in 0..spans.len() {
        let Some(parent) = spans[place].parent else { continue };
        let (whole, child) = (times(&spans[parent].span), times(&spans[place].span));
        let (until, sum) = &mut covered[parent];
        let (start, end) = (child.start.max(*until), child.end.min(whole.end));
        if start < end {
            (*until, *sum) = (end, *sum + (end - start));
        }
    }
    for (one, (_, covered)) in spans.iter_mut().zip(covered) {
        one.self_time = one.span.duration() - covered;
    }
}

/// The critical path of a span.
pub(super) fn critical(spans: &[TraceSpan], root: usize) -> Vec<PathSegment> {
    let mut children = children_of(spans);
    // The one that ended last is looked at first.
    children.iter_mut().for_each(|children| children.sort_by_key(|&child| times(&spans[child].span).end));
    let mut path = Vec::new();
    let mut add = |span, times: Range<u64>| {
        if !times.is_empty() {
            path.push(PathSegment { span, times });
        }
    };
    // Spans that are under way: when those above waited for them, and what of that is not told yet.
    let mut open = vec![(root, times(&spans[root].span), times(&spans[root].span))];
    while let Some((span, waited, left)) = open.last_mut() {
        let span = *span;
        match children[span].pop() {
            Some(child) => {
                let whole = times(&spans[child].span);
                // A child that ends after its parent was waited for counts up to there.
                let one = whole.start.max(waited.start)..whole.end.min(waited.end);
                // One that ended while a later one was waited for was not.
                if !one.is_empty() && one.end <= left.end {
                    add(span, one.end..left.end);
                    left.end = one.start;
                    open.push((child, one.clone(), one));
                }
            }
            None => {
                add(span, left.clone());
                open.pop();
            }
        }
    }
    path.reverse();
    path
}
