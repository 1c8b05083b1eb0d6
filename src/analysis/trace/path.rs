//! Self times and critical paths.

use super::span::TraceSpan;
use crate::signal::Span;
use std::ops::Range;

/// A segment of a trace's critical path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PathSegment {
    /// The index in [`Trace::spans`](crate::trace::Trace::spans) of the span that was at work.
    pub span: usize,
    /// The segment's times, in nanoseconds since the Unix epoch.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::signal::plain::range"))]
    pub times: Range<u64>,
}

/// Returns the times during which a span is known to have been at work. If its start is not known,
/// that is its end only, and the other way round.
pub(super) fn times(span: &Span) -> Range<u64> {
    let start =
        if span.start_unix_nanos() > 0 { span.start_unix_nanos() } else { span.end_unix_nanos() };
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

/// Sets each span's self time: its duration minus the time that its children cover.
pub(super) fn self_times(spans: &mut [TraceSpan]) {
    // Siblings are sorted by start, so the time that they cover grows only at its end.
    let mut covered: Vec<(u64, u64)> =
        spans.iter().map(|one| (times(&one.span).start, 0)).collect();
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

/// Returns the critical path of a span.
pub(super) fn critical(spans: &[TraceSpan], root: usize) -> Vec<PathSegment> {
    let mut children = children_of(spans);
    // `pop` below must return the child that ended last.
    children
        .iter_mut()
        .for_each(|children| children.sort_by_key(|&child| times(&spans[child].span).end));
    let mut path = Vec::new();
    let mut add = |span, times: Range<u64>| {
        if !times.is_empty() {
            path.push(PathSegment { span, times });
        }
    };
    // The stack of open spans: the times for which the spans above waited for each, and the part of
    // them that no segment covers yet.
    let mut open = vec![(root, times(&spans[root].span), times(&spans[root].span))];
    while let Some((span, waited, left)) = open.last_mut() {
        let span = *span;
        match children[span].pop() {
            Some(child) => {
                let whole = times(&spans[child].span);
                // A child counts only as long as its parent was waited for.
                let one = whole.start.max(waited.start)..whole.end.min(waited.end);
                // A child that ended while a later sibling was still running was not waited for.
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
