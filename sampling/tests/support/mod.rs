//! What the tests share: spans made by hand, and a reference sampler.

#![allow(dead_code, reason = "each test uses a part")]

use slipring::span::StatusCode;
use slipring::{Resource, Scope, Source, Span, SpanId};

pub fn source(service: &str) -> Source {
    Source::new(&Resource::new([("service.name", service)]), &Scope::default())
}

/// One span of a trace, in words.
#[derive(Clone, Debug)]
pub struct Made {
    pub trace: u128,
    pub id: u64,
    pub parent: Option<u64>,
    pub service: &'static str,
    pub name: &'static str,
    pub milliseconds: u64,
    pub failed: bool,
    pub state: &'static str,
}

impl Made {
    pub fn root(trace: u128) -> Self {
        Self {
            trace,
            id: 1,
            parent: None,
            service: "cart",
            name: "GET /",
            milliseconds: 10,
            failed: false,
            state: "",
        }
    }

    pub fn child(trace: u128, id: u64) -> Self {
        Self { id, parent: Some(1), ..Self::root(trace) }
    }

    pub fn span(&self) -> Span {
        let start = 1_760_000_000_000_000_000u64;
        let code = if self.failed { StatusCode::Error } else { StatusCode::Unset };
        Span::builder()
            .source(&source(self.service))
            .trace_id(self.trace)
            .span_id(self.id)
            .parent_span_id(self.parent.map(SpanId::from))
            .trace_state(self.state)
            .name(self.name)
            .start_unix_nanos(start)
            .end_unix_nanos(start + self.milliseconds * 1_000_000)
            .attribute("number", self.id as i64)
            .status(code, "")
            .build()
    }
}

/// A trace id with good randomness, for a number.
pub fn trace(number: u64) -> u128 {
    // SplitMix64, twice.
    let mix = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    ((u128::from(mix(number)) << 64) | u128::from(mix(number ^ 0x5555))) | (1 << 64)
}
