//! The backend is down for minutes, on a clock that the test moves: memory stays within what is
//! stated, as an allocator counts it, every span is accounted for, and delivery goes on when the
//! backend is back.
//!
//! One test, because the allocator is the whole process's.
#![cfg(feature = "forward")]

mod support;

use bytes::Bytes;
use cap::Cap;
use slipring::otlp::{Encoding, Kind, Request};
use slipring::span::StatusCode;
use slipring::{Source, Span, SpanId};
use slipring_sampling::forward::{ForwardSettings, ForwardStats, Forwarder, Reply, Transport};
use slipring_sampling::{OnFull, Policy, Rule, Sampler, Settings};
use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::{source, trace};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const BYTES: usize = 128 << 10;
const SHARED: usize = 64 << 10;
const TRACES: usize = 150;
const REMEMBERED: usize = 1_000;
const WAITING: usize = 256 << 10;
const REQUEST: usize = 32 << 10;
const SENDERS: usize = 4;

/// What the settings say that all of it takes, beside the code's own: see the guide, and
/// [`ForwardSettings::max_bytes`].
const STATED: usize = BYTES
    + SHARED
    + 2 * REMEMBERED * 40
    + 180 * (TRACES + 512)
    + (64 << 10)
    + WAITING
    + SENDERS * REQUEST;

/// Spans in a step of the test, the batch of the guide, with what they are made from.
const STEP: usize = 64 * 1_200 + (128 << 10);

/// A backend that is up or down.
#[derive(Clone, Default)]
struct Backend(Arc<State>);

#[derive(Default)]
struct State {
    is_up: AtomicBool,
    tries: AtomicU64,
    spans: AtomicU64,
}

impl Transport for Backend {
    async fn send(&mut self, request: Bytes) -> Reply {
        self.0.tries.fetch_add(1, Ordering::Relaxed);
        if !self.0.is_up.load(Ordering::Relaxed) {
            return Reply::Later { after: None, why: "connection refused".to_owned() };
        }
        let request = Request::read(Kind::Traces, Encoding::Protobuf, &request).unwrap();
        self.0.spans.fetch_add(request.spans.len() as u64, Ordering::Relaxed);
        Reply::Taken { rejected: 0 }
    }
}

/// What comes in a second, from one process: traces that fail and whose last span is late, others,
/// traces without a root that nobody ends, and spans that no trace can have.
fn spans(second: u64, source: &Source) -> Vec<Span> {
    let id = |second: u64, number: u64| trace(second * 100 + number);
    let of = |trace: u128, id: u64| {
        let parent = (id != 1).then(|| SpanId::from(1));
        Span::builder().source(source).trace_id(trace).span_id(id).parent_span_id(parent)
    };
    let mut spans = Vec::new();
    for number in 0..2 {
        let failed = of(id(second, number), 1).status(StatusCode::Error, "");
        spans.extend([failed.build(), of(id(second, number), 2).build()]);
        if let Some(before) = second.checked_sub(5) {
            spans.push(of(id(before, number), 3).build());
        }
    }
    spans.extend((10..30).map(|number| of(id(second, number), 1).build()));
    spans.extend((30..40).map(|number| of(id(second, number), 2).build()));
    spans.push(of(0, 1).build());
    spans.push(of(id(second, 50), 1).attribute("text", &*"x".repeat(5_000)).build());
    spans
}

struct Run {
    sampler: Sampler,
    forwarder: Forwarder,
    source: Source,
    second: u64,
    /// What was allocated before anything began.
    before: usize,
    offered: u64,
}

impl Run {
    fn forwarded(&self) -> ForwardStats {
        let stats = self.forwarder.stats();
        let known =
            stats.waiting + stats.sent + stats.refused + stats.lost_full + stats.lost_failed;
        assert_eq!(stats.offered, known, "{stats:?}");
        stats
    }

    /// Goes on for so many seconds of the clock, and looks at everything after each.
    async fn go_on(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let spans = spans(self.second, &self.source);
            self.offered += spans.len() as u64;
            self.second += 1;
            let now = Instant::now().into_std();
            self.sampler.take(spans, now, &mut self.forwarder);
            self.look();
            // The senders work meanwhile.
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.look();
        }
    }

    fn look(&self) {
        let stats = self.sampler.stats();
        assert!(stats.is_balanced() && stats.received == self.offered, "{stats:?}");
        let forwarded = self.forwarded();
        assert_eq!(forwarded.offered, stats.kept().spans);
        assert!(forwarded.waiting_bytes <= WAITING, "{forwarded:?}");
        let taken = ALLOCATOR.allocated().saturating_sub(self.before);
        assert!(taken < STATED + STEP, "{taken} of {} in second {}", STATED + STEP, self.second);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_down_for_minutes_costs_no_more_than_was_stated() {
    // The test's own: a builder's chunk.
    let source = source("cart");
    spans(7, &source);
    let before = ALLOCATOR.allocated();
    let mut settings = Settings::default();
    settings.policies =
        vec![Policy::new("errors", Rule::Error), Policy::new("rest", Rule::Probability(0.1))];
    settings.max_bytes = BYTES;
    settings.max_shared_bytes = SHARED;
    settings.max_traces = TRACES;
    settings.max_span_bytes = 4_000;
    settings.remembered = REMEMBERED;
    settings.quiet = Duration::from_secs(2);
    settings.on_full = OnFull::Evict;
    let sampler = Sampler::new(&settings).unwrap();
    let mut forward = ForwardSettings::to("grpc://backend:4317".parse().unwrap());
    (forward.max_bytes, forward.request_bytes, forward.senders) = (WAITING, REQUEST, SENDERS);
    let backend = Backend::default();
    let (forwarder, sending) = Forwarder::start_over(backend.clone(), forward);
    let mut run = Run { sampler, forwarder, source, second: 0, before, offered: 0 };

    backend.0.is_up.store(true, Ordering::Relaxed);
    run.go_on(30).await;
    let well = run.forwarded();
    assert!(well.sent > 50 && well.lost_full + well.lost_failed + well.retries == 0, "{well:?}");

    let tries = || backend.0.tries.load(Ordering::Relaxed);
    let before = tries();
    // Ten minutes: the queue fills, and then what was tried for five minutes makes room.
    backend.0.is_up.store(false, Ordering::Relaxed);
    run.go_on(600).await;
    let down = run.forwarded();
    assert!(down.lost_full > 0 && down.lost_failed > 0 && down.waiting > 0, "{down:?}");
    assert_eq!(down.last_failure.as_deref(), Some("connection refused"));
    // Each of the senders waits for a quarter of a minute at least, once it has failed some times.
    let tries = tries() - before;
    assert!(tries < 4 * (600 / 15 + 2 * 10), "{tries} tries");

    // It is back. The last wait that began is of half a minute at most.
    backend.0.is_up.store(true, Ordering::Relaxed);
    run.go_on(40).await;
    let back = run.forwarded();
    assert!(back.sent > down.sent + 100 && back.waiting < 50, "{back:?}");
    let lost = |stats: &ForwardStats| stats.lost_full + stats.lost_failed;
    run.go_on(30).await;
    assert_eq!(lost(&run.forwarded()), lost(&back), "nothing more is lost");

    // Where each span went, to the last one.
    run.sampler.flush(Instant::now().into_std(), &mut run.forwarder);
    let (forwarded, stats) = (sending.finish(Duration::from_secs(60)).await, run.sampler.stats());
    assert_eq!(stats.undecided.spans, 0);
    let seconds = run.second;
    assert_eq!((stats.rejected_without_trace, stats.rejected_too_large), (seconds, seconds));
    assert!(stats.evicted.spans > 0 && stats.sampled_out().spans > 0 && stats.late_kept > 0);
    assert_eq!(forwarded.sent, backend.0.spans.load(Ordering::Relaxed));
    assert_eq!((forwarded.waiting, forwarded.waiting_bytes), (0, 0));
    let kept = forwarded.sent + forwarded.lost_full + forwarded.lost_failed;
    let others = stats.sampled_out().spans + stats.evicted.spans + 2 * seconds;
    assert_eq!(run.offered, kept + others);
}
