//! Real telemetry, against a reference that holds everything and decides afterwards.

#[path = "../../tests/support/corpus.rs"]
mod corpus;

use slipring::otlp::{Encoding, Kind, Reader, Request};
use slipring::{Signal, Span, TraceId};
use slipring_sampling::{Policy, Randomness, Rule, Sampled, Sampler, Settings, Threshold};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SLOW: Duration = Duration::from_millis(100);

fn wanted(id: TraceId, spans: &[Span]) -> Option<&'static str> {
    let root = spans.iter().find(|span| span.parent_span_id().is_none());
    let longest = || spans.iter().map(Span::duration).max().unwrap_or(0);
    let duration = root.map_or_else(longest, Span::duration);
    if spans.iter().any(Span::is_error) {
        Some("errors")
    } else if u128::from(duration) > SLOW.as_nanos() {
        Some("slow")
    } else {
        let threshold = Threshold::of_probability(0.25).unwrap();
        threshold.keeps(Randomness::of_trace(id)).then_some("rest")
    }
}

fn plain(spans: &[Span]) -> Vec<Vec<u8>> {
    // Without the threshold that the sampler wrote.
    let mut bytes: Vec<_> =
        spans.iter().map(|span| span.with_trace_state("").bytes().to_vec()).collect();
    bytes.sort();
    bytes
}

#[test]
fn the_same_traces_of_real_telemetry_are_kept_with_all_of_their_spans() {
    let files = [
        "otlp/shop_traces.jsonl",
        "otlp/train_traces.jsonl",
        "otlp/train_traces_redelivered.jsonl",
    ];
    for file in files {
        let Some(text) = corpus::read(file) else { continue };
        let mut settings = Settings::default();
        settings.policies = vec![
            Policy::new("errors", Rule::Error),
            Policy::new("slow", Rule::SlowerThan(SLOW)),
            Policy::new("rest", Rule::Probability(0.25)),
        ];
        (settings.max_bytes, settings.max_traces) = (1 << 30, 1 << 20);
        settings.max_trace_spans = 1 << 20;
        let (reader, mut sampler) =
            (Reader::default().in_place(), Sampler::new(&settings).unwrap());
        let start = Instant::now();
        let mut all: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
        let mut kept: BTreeMap<TraceId, (String, Vec<Span>)> = BTreeMap::new();
        let mut keep = |sampled: Sampled| {
            let new = (sampled.policy.to_string(), Vec::new());
            kept.entry(sampled.trace_id).or_insert(new).1.extend(sampled.spans);
        };
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let take = |part: Request| {
                for span in &part.spans {
                    all.entry(span.trace_id()).or_default().push(span.detached());
                }
                sampler.take(part.spans, start, &mut keep);
            };
            reader.read(Kind::Traces, Encoding::Json, line.to_vec(), take).unwrap();
        }
        sampler.advance(start + Duration::from_secs(60), &mut keep);
        let stats = sampler.stats();
        assert!(stats.is_balanced() && stats.undecided.spans == 0 && stats.early() == 0);
        assert!(
            stats.received > 1_000 && stats.kept().traces > 0 && stats.sampled_out().traces > 0
        );
        for (id, spans) in all {
            let found = kept.remove(&id);
            assert_eq!(found.as_ref().map(|(name, _)| &**name), wanted(id, &spans), "{file} {id}");
            assert!(found.is_none_or(|(_, found)| plain(&found) == plain(&spans)), "{file} {id}");
        }
        assert!(kept.is_empty());
    }
}
