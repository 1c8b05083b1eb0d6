//! Decisions: about traces, about what comes late, and about what has to leave.

use super::decisions::Decision;
use super::undecided::{Entry, NONE, Order};
use super::{OnFull, Sampler};
use crate::counts::Cause;
use crate::policy::{Choice, Evidence, TraceView};
use crate::sink::{Sampled, Sink};
use crate::threshold::{Randomness, Threshold};
use crate::trace_state;
use slipring::{Source, Span, TraceId};
use std::sync::Arc;

/// Late spans of a batch, with the decision about their trace, grouped where they stand together.
#[derive(Default)]
pub(super) struct Late {
    groups: Vec<(Decision, bool, TraceId, Vec<Span>)>,
}

impl Late {
    pub(super) fn add(&mut self, decision: Decision, is_kept: bool, span: Span) {
        match self.groups.last_mut() {
            Some((_, _, id, spans)) if *id == span.trace_id() => spans.push(span),
            _ => self.groups.push((decision, is_kept, span.trace_id(), vec![span])),
        }
    }
}

impl Sampler {
    /// Returns the decision about a trace, and whether it is kept, if that is remembered.
    pub(super) fn decision(&self, id: TraceId) -> Option<(Decision, bool)> {
        let of = |decisions: &super::Decisions| decisions.get(id).copied();
        let kept = of(&self.kept).map(|decision| (decision, true));
        kept.or_else(|| of(&self.sampled_out).map(|decision| (decision, false)))
    }

    pub(super) fn emit_late(&mut self, late: Late, sink: &mut impl Sink) {
        let counts = &mut self.counts;
        for (decision, is_kept, _, spans) in &late.groups {
            let count = spans.len() as u64;
            let late = if *is_kept { &mut counts.late_kept } else { &mut counts.late_sampled_out };
            *late += count;
            match decision.by() {
                Some(by) => counts.policies[by as usize][usize::from(!is_kept)].add(0, count),
                None => counts.unmatched.add(0, count),
            }
        }
        for (decision, is_kept, trace_id, mut spans) in late.groups {
            let (Some(by), true) = (decision.by(), is_kept) else { continue };
            Span::detach_together(&mut spans);
            let threshold = decision.threshold();
            let known = spans.first().and_then(randomness);
            let randomness = known.unwrap_or_else(|| Randomness::of_trace(trace_id));
            rewrite(&mut spans, threshold, randomness);
            let policy = Arc::clone(&self.policies.names()[by as usize]);
            sink.keep(Sampled { trace_id, spans, policy, threshold, cause: None });
        }
    }

    /// Takes an entry out of everything.
    fn take_out(&mut self, at: u32) -> Entry {
        self.wheel.remove(&mut self.undecided, at);
        self.undecided.unlink(&mut self.by_age, Order::Age, at);
        let share = self.undecided.get(at).service;
        let list = &mut self.shares.get_mut(share).list;
        self.undecided.unlink(list, Order::Share, at);
        let entry = self.undecided.remove(at);
        self.shares.get_mut(share).bytes -= entry.bytes;
        self.shares.forget_if_empty(share);
        self.bytes -= entry.bytes;
        self.counts.undecided -= entry.spans.len() as u64;
        entry
    }

    /// Decides about a trace.
    pub(super) fn decide(&mut self, at: u32, cause: Cause, sink: &mut impl Sink) {
        let Entry { id, spans, operation, root, randomness, longest, marks, .. } =
            self.take_out(at);
        let randomness = randomness.unwrap_or_else(|| Randomness::of_trace(id));
        let (blocks, places) = (&self.blocks, &mut self.scratch.places);
        // Rules of the owner's look at the spans themselves.
        let made = self.policies.has_custom.then(|| spans.spans(blocks, places));
        let service =
            |number: u32| spans.sources().get(number as usize).map_or("", Source::service);
        let operation = operation.as_ref().map(|(number, name)| (service(*number), &**name));
        let evidence = Evidence {
            count: spans.len(),
            operation: operation.unwrap_or_default(),
            duration: root.unwrap_or(longest),
            marks,
            view: made.as_deref().map(|spans| TraceView::new(id, spans, longest)),
        };
        let choice = self.policies.decide(evidence, randomness, self.now);
        self.counts.causes[cause as usize] += 1;
        let count = spans.len() as u64;
        match choice {
            Choice::Keep { by, threshold } => {
                self.counts.policies[by as usize][0].add(1, count);
                self.kept.remember(Decision::new(id, Some(by), threshold));
                let places = &mut self.scratch.places;
                let mut made = made.unwrap_or_else(|| spans.spans(&self.blocks, places));
                self.blocks.give_back(spans.into_chain());
                rewrite(&mut made, threshold, randomness);
                let policy = Arc::clone(&self.policies.names()[by as usize]);
                let cause = Some(cause);
                sink.keep(Sampled { trace_id: id, spans: made, policy, threshold, cause });
            }
            Choice::Reject { by } => {
                match by {
                    Some(by) => self.counts.policies[by as usize][1].add(1, count),
                    None => self.counts.unmatched.add(1, count),
                }
                self.sampled_out.remember(Decision::new(id, by, None));
                self.blocks.give_back(spans.into_chain());
            }
        }
    }

    pub(super) fn evict(&mut self, at: u32) {
        let entry = self.take_out(at);
        self.counts.evicted.add(1, entry.spans.len() as u64);
        self.blocks.give_back(entry.spans.into_chain());
    }

    /// Lets the oldest traces go until the limits are kept.
    pub(super) fn make_room(&mut self, sink: &mut impl Sink) {
        for place in 0..self.scratch.touched.len() {
            // A trace of the batch may have left, and its number may be another's. That one's share
            // is looked at in vain.
            let Some(share) = self.undecided.share_of(self.scratch.touched[place]) else {
                continue;
            };
            while self.shares.get_mut(share).bytes > self.limits.share {
                let oldest = self.shares.get_mut(share).list.first;
                self.let_go(oldest, Cause::Share, sink);
            }
        }
        while self.by_age.first != NONE {
            let cause = if self.bytes > self.limits.bytes {
                Cause::Bytes
            } else if self.undecided.len() > self.limits.traces {
                Cause::Traces
            } else if self.ledger.bytes() > self.limits.shared_bytes {
                Cause::SharedBytes
            } else {
                break;
            };
            self.let_go(self.by_age.first, cause, sink);
        }
    }

    fn let_go(&mut self, at: u32, cause: Cause, sink: &mut impl Sink) {
        match self.limits.on_full {
            OnFull::Decide => self.decide(at, cause, sink),
            OnFull::Evict => self.evict(at),
        }
    }
}

/// Returns the explicit randomness that a span has, if it has one.
pub(super) fn randomness(span: &Span) -> Option<Randomness> {
    trace_state::read(span.trace_state()).randomness
}

/// Writes into each span the threshold with which it was kept: the higher one of this sampler's and
/// of that with which it came. Other spans keep their bytes. If one changes, all get a new body.
fn rewrite(spans: &mut Vec<Span>, threshold: Option<Threshold>, randomness: Randomness) {
    let changed = |state: &str| {
        // A threshold that would have rejected the trace is no truth about it.
        let came = trace_state::read(state).threshold;
        let sound = came.filter(|came| came.keeps(randomness));
        let new = match threshold {
            None => None,
            Some(Threshold::ALWAYS) => sound,
            Some(own) => Some(sound.map_or(own, |came| came.max(own))),
        };
        (new != came).then(|| trace_state::with_threshold(state, new))
    };
    let Some(first) = spans.iter().position(|span| changed(span.trace_state()).is_some()) else {
        return;
    };
    let bytes: usize = spans.iter().map(|span| span.bytes().len()).sum();
    let mut body = Vec::with_capacity(bytes + (spans.len() - first) * 24);
    let (mut sources, mut places) = (Vec::<Source>::new(), Vec::with_capacity(spans.len()));
    // The spans of a trace have the same state, nearly always.
    let mut last = (spans[first].trace_state(), changed(spans[first].trace_state()));
    for span in &*spans {
        if !sources.last().is_some_and(|last| last.ptr_eq(span.source())) {
            sources.push(span.source().clone());
        }
        let (start, state) = (body.len(), span.trace_state());
        if state != last.0 {
            last = (state, changed(state));
        }
        match &last.1 {
            Some(state) => span.write_with_trace_state(state, &mut body),
            None => body.extend_from_slice(span.bytes()),
        }
        places.push((sources.len() - 1, start..body.len()));
    }
    body.shrink_to_fit();
    *spans = Span::of_body(body, sources, &places);
}
