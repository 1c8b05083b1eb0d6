//! Floods: what the sampler takes stays within what its settings say, as an allocator counts it,
//! and every span is accounted for.
//!
//! One test, because the allocator is the whole process's.

mod support;

use cap::Cap;
use slipring::otlp::{Encoding, Kind, Reader, Request, encode};
use slipring::{Resource, Scope, Source, Span};
use slipring_sampling::{Kept, KeptSettings, OnFull, Policy, Rule, Sampled, Sampler, Settings};
use std::alloc::System;
use std::time::{Duration, Instant};
use support::{Made, source, trace};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const BYTES: usize = 2 << 20;
const SHARED: usize = 1 << 20;
const REMEMBERED: usize = 5_000;

/// A batch in hand, with the room that batches reuse, and what one trace adds at a stroke.
const BATCH: usize = 512 * 1_200;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.policies = vec![
        Policy::new("errors", Rule::Error),
        Policy::new("slow", Rule::SlowerThanMost { share: 0.99, operations: 100 }),
        Policy::new("rest", Rule::Probability(0.1)),
    ];
    settings.max_bytes = BYTES;
    settings.max_shared_bytes = SHARED;
    settings.max_traces = 4_000;
    settings.remembered = REMEMBERED;
    settings
}

/// What the settings say that the sampler takes: its limits, two rings of remembered decisions, a
/// hundred operations, the table of sources and the wheel.
fn stated() -> usize {
    BYTES + SHARED + 2 * REMEMBERED * 40 + 100 * 700 + 4_512 * 220 + 64 * 1_024 + BATCH
}

/// Sends requests and returns the most that was allocated beside them.
fn flood(
    settings: &Settings,
    kept: &mut Option<Kept>,
    requests: impl Iterator<Item = (u64, Vec<u8>)>,
) -> (usize, Sampler) {
    let before = ALLOCATOR.allocated();
    let (reader, mut sampler) = (Reader::default().in_place(), Sampler::new(settings).unwrap());
    let kept_settings = KeptSettings::default();
    if kept.is_some() {
        let mut small = kept_settings;
        (small.max_bytes, small.max_shared_bytes) = (BYTES, SHARED / 2);
        *kept = Some(Kept::new(&small, sampler.ledger()));
    }
    let start = Instant::now();
    let mut most = 0;
    for (milliseconds, request) in requests {
        let now = start + Duration::from_millis(milliseconds);
        let take = |part: Request| {
            sampler.take(part.spans, now, &mut |sampled: Sampled| {
                if let Some(kept) = kept {
                    kept.add(sampled, now);
                }
            });
        };
        reader.read(Kind::Traces, Encoding::Protobuf, request, take).unwrap();
        most = most.max(ALLOCATOR.allocated().saturating_sub(before));
        assert!(sampler.stats().is_balanced());
    }
    (most, sampler)
}

fn request(spans: impl Iterator<Item = Span>) -> Vec<u8> {
    encode(&spans.collect::<Vec<_>>(), Encoding::Protobuf)
}

#[test]
fn memory_stays_within_what_was_stated_and_every_span_is_accounted_for() {
    // The test's own: builders' chunks and one source.
    let own = source("cart");
    let plain = |trace: u128, id: u64| {
        Span::builder()
            .source(&own)
            .trace_id(trace)
            .span_id(id)
            .name("GET /")
            .parent_span_id(slipring::SpanId::from(1))
    };
    Made::root(1).span();

    // Traces that never end, without a root: more than there is room for.
    let rootless = (0..400u64).map(|round| {
        (round, request((0..200).map(|number| plain(trace(round * 200 + number), 2).build())))
    });
    let (most, sampler) = flood(&settings(), &mut None, rootless);
    let stats = sampler.stats();
    assert!(most < stated(), "{most} of {}", stated());
    assert!(stats.early() > 10_000 && stats.undecided.traces <= 4_000, "{stats:?}");
    drop(sampler);

    // A giant trace of a million spans, delivered twice in part, beside others.
    let giant = (0..2_000u64).map(|round| {
        (round, request((0..500).map(|number| plain(7, round % 1_900 * 500 + number + 1).build())))
    });
    let (most, sampler) = flood(&settings(), &mut None, giant);
    let stats = sampler.stats();
    assert!(most < stated(), "{most} of {}", stated());
    assert_eq!(stats.received, 1_000_000);
    assert_eq!(stats.kept().traces + stats.sampled_out().traces + stats.undecided.traces, 1);
    drop(sampler);

    // One long trace in each request, whose other traces are decided at once: no request is held.
    let long = (0..1_000u64).map(|round| {
        let short = (0..100).map(move |number| trace((1 << 32) + round * 100 + number));
        let roots = short.map(|trace| plain(trace, 1).parent_span_id(None).build());
        (round * 20, request(roots.chain([plain(trace(round), 2).build()])))
    });
    let mut quick = settings();
    (quick.quiet, quick.timeout) = (Duration::from_millis(10), Duration::from_secs(3_600));
    let (most, sampler) = flood(&quick, &mut None, long);
    assert!(sampler.stats().undecided.traces >= 1_000);
    let held = sampler.stats().bytes;
    assert!(held < 2 * 1_000 * 700, "{held}");
    assert!(most < stated(), "{most} of {}", stated());
    drop(sampler);

    // Each request with a resource of its own of 20 KiB, whose traces are kept.
    let large = (0..1_000u64).map(|round| {
        let text = format!("{round}{}", "x".repeat(20_000));
        let resource = Resource::new([("service.name", "cart"), ("text", &*text)]);
        let source = Source::new(&resource, &Scope::default());
        (round, request([plain(trace(round), 2).source(&source).build()].into_iter()))
    });
    let mut keeping = settings();
    keeping.policies = vec![Policy::new("all", Rule::Always)];
    let mut kept = Some(Kept::new(&KeptSettings::default(), &Default::default()));
    let (most, sampler) = flood(&keeping, &mut kept, large);
    assert!(most < stated() + BYTES, "{most} of {}", stated() + BYTES);
    assert!(sampler.stats().shared_bytes <= SHARED + 50_000, "{}", sampler.stats().shared_bytes);
    drop((sampler, kept));

    // Floods of kept traces with late spans, evicted undecided instead of decided early.
    keeping.on_full = OnFull::Evict;
    keeping.timeout = Duration::from_millis(50);
    let many = (0..3_000u64).map(|round| {
        let late = plain(trace(round / 2 * 50), 3).build();
        (
            round * 10,
            request(
                (0..50).map(|number| plain(trace(round * 50 + number), 2).build()).chain([late]),
            ),
        )
    });
    let mut kept = Some(Kept::new(&KeptSettings::default(), &Default::default()));
    let (most, sampler) = flood(&keeping, &mut kept, many);
    let (stats, kept) = (sampler.stats(), kept.unwrap().stats());
    assert!(most < stated() + BYTES + 300_000, "{most} of {}", stated() + BYTES);
    assert_eq!(kept.offered.spans, stats.kept().spans);
    assert!(kept.is_balanced(), "{kept:?}");
    assert!(kept.bytes <= BYTES && kept.evicted_traces > 0);
}
