//! Ids of traces and spans.

use slipring::{SpanId, TraceId};

use crate::rng::mix;

/// Generates ids that look random and never repeat.
///
/// Trace ids differ between any two seeds, because one half is a one-to-one function of the seed,
/// and the other half is one of a counter. Span ids differ within a seed, and between seeds that
/// differ only in their low 16 bits, such as the seeds 0, 1, 2… of several producers. Between other
/// seeds they repeat as rarely as random ids do.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    seed: u64,
    traces: u64,
    spans: u64,
}

impl Ids {
    pub fn new(seed: u64) -> Self {
        // The low 16 bits of the seed select one of 65,536 ranges. The other bits select the start
        // within the range.
        Self { seed: mix(seed), traces: 0, spans: (seed << 48).wrapping_add(mix(seed >> 16) >> 16) }
    }

    #[inline]
    pub fn trace_number(&mut self) -> u128 {
        // The counter begins with 1, and `mix` maps only 0 to 0, so no id is zero.
        self.traces += 1;
        u128::from(self.seed) << 64 | u128::from(mix(self.traces))
    }

    #[inline]
    pub fn span_number(&mut self) -> u64 {
        loop {
            self.spans = self.spans.wrapping_add(1);
            if self.spans != 0 {
                return mix(self.spans);
            }
        }
    }

    pub fn trace(&mut self) -> TraceId {
        self.trace_number().into()
    }

    pub fn span(&mut self) -> SpanId {
        self.span_number().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seeds_share_no_ids() {
        let (mut traces, mut spans) = (HashSet::new(), HashSet::new());
        for seed in [0, 1, 2, 3, 1 << 16, 2 << 16, u64::MAX] {
            let mut ids = Ids::new(seed);
            for _ in 0..10_000 {
                assert!(traces.insert(ids.trace()) && spans.insert(ids.span()));
            }
        }
        assert!(!traces.contains(&TraceId::default()) && !spans.contains(&SpanId::default()));
    }
}
