//! The sampler beside one that a good engineer writes in an afternoon: requests decoded by prost, a
//! map from trace ids to vectors of spans, and a queue of deadlines.
//!
//! `cargo bench -p slipring-sampling` prints, for requests of few spans and of many: spans a second
//! of processor time from the request's bytes to the decision, and by how many bytes a span a
//! process of its own grows while they are undecided. Nothing counts allocations meanwhile: that
//! would cost the one more who makes more of them.

#[path = "compare/map.rs"]
mod map;

use bytes::Bytes;
use map::MapSampler;
use shop::Shop;
use slipring::otlp::{Encoding, Kind, Reader, encode};
use slipring::query::Level;
use slipring::{Match, Span};
use slipring_sampling::{Policy, Rule, Sampled, Sampler, Settings};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

const SPANS: usize = 400_000;
const ROUNDS: usize = 5;

/// Requests as exporters send them: each process batches the spans of many traces.
fn requests(batch: usize) -> (Vec<Bytes>, usize) {
    let mut shop = Shop::new(24);
    let mut waiting: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    let (mut requests, mut count) = (Vec::new(), 0);
    while count < SPANS {
        for span in shop.trace() {
            count += 1;
            let host = span.resource().attributes().get("service.instance.id");
            let process = host.map_or_else(|| span.service().to_owned(), |id| id.to_string());
            let spans = waiting.entry(process).or_default();
            spans.push(span);
            if spans.len() == batch {
                requests.push(encode(&std::mem::take(spans), Encoding::Protobuf).into());
            }
        }
    }
    for spans in waiting.into_values() {
        requests.push(encode(&spans, Encoding::Protobuf).into());
    }
    (requests, count)
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    let (level, name) = (Some(Level::Record), "http.response.status_code".into());
    let status = Rule::Attribute { level, name, condition: Match::at_least(500.0) };
    settings.policies = vec![
        Policy::new("errors", Rule::Error),
        Policy::new("slow", Rule::SlowerThan(Duration::from_secs(2))),
        Policy::new("status", status),
        Policy::new("rest", Rule::Probability(0.05)),
    ];
    settings.max_bytes = 4 << 30;
    settings.max_shared_bytes = 1 << 30;
    settings.max_traces = 1_000_000;
    settings
}

/// Returns the time that this thread has run, in seconds: other load on the machine does not count.
fn ran() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos: f64 = text.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    nanos / 1e9
}

struct Outcome {
    seconds: f64,
    kept: usize,
}

fn ours(requests: &[Bytes]) -> Outcome {
    let (reader, mut sampler) = (Reader::default().in_place(), Sampler::new(&settings()).unwrap());
    let mut kept = 0;
    let mut keep = |sampled: Sampled| kept += sampled.spans.len();
    let (start, ran_before) = (Instant::now(), ran());
    for request in requests {
        let take = |part: slipring::otlp::Request| {
            sampler.take(part.spans, start, &mut keep);
        };
        reader.read(Kind::Traces, Encoding::Protobuf, request.clone(), take).unwrap();
    }
    sampler.advance(start + Duration::from_secs(60), &mut keep);
    let seconds = ran() - ran_before;
    let stats = sampler.stats();
    assert!(stats.is_balanced() && stats.undecided.spans == 0);
    Outcome { seconds, kept }
}

fn theirs(requests: &[Bytes]) -> Outcome {
    let mut sampler = MapSampler::default();
    let mut kept = 0;
    let (start, ran_before) = (Instant::now(), ran());
    for request in requests {
        sampler.take(request.clone(), start);
    }
    sampler.advance(start + Duration::from_secs(60), &mut |spans| kept += spans.len());
    let seconds = ran() - ran_before;
    Outcome { seconds, kept }
}

/// Prints what each part of the sampler takes, in nanoseconds of a span.
fn parts(requests: &[Bytes], count: usize) {
    let each = |from: f64| (ran() - from) * 1e9 / count as f64;
    let reader = Reader::default().in_place();
    let from = ran();
    let mut all = Vec::new();
    for request in requests {
        let take = |part: slipring::otlp::Request| all.push(part.spans);
        reader.read(Kind::Traces, Encoding::Protobuf, request.clone(), take).unwrap();
    }
    let read = each(from);
    let mut sampler = Sampler::new(&settings()).unwrap();
    let (start, mut keep) = (Instant::now(), |_: Sampled| {});
    let from = ran();
    for spans in all {
        sampler.take(spans, start, &mut keep);
    }
    let take = each(from);
    let from = ran();
    sampler.advance(start + Duration::from_secs(60), &mut keep);
    println!("  reading {read:.0} ns, taking {take:.0} ns, deciding {:.0} ns", each(from));
}

/// Runs one sampler in a process of its own, and prints by how much the process grew: what an
/// allocator adds to each allocation counts too.
fn memory(name: &str, batch: usize) {
    let (requests, count) = requests(batch);
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
        let pages: usize = text.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap();
        pages * 4_096
    };
    let before = resident();
    let grown = match name {
        "ours" => {
            let (reader, mut sampler) =
                (Reader::default().in_place(), Sampler::new(&settings()).unwrap());
            let (start, mut keep) = (Instant::now(), |_: Sampled| {});
            for request in &requests {
                let take = |part: slipring::otlp::Request| {
                    sampler.take(part.spans, start, &mut keep);
                };
                reader.read(Kind::Traces, Encoding::Protobuf, request.clone(), take).unwrap();
            }
            resident() - before
        }
        _ => {
            let mut sampler = MapSampler::default();
            requests.iter().for_each(|request| sampler.take(request.clone(), Instant::now()));
            resident() - before
        }
    };
    println!("{}", grown / count);
}

fn grown(name: &str, batch: usize) -> f64 {
    let this = std::env::current_exe().expect("a program knows its file");
    let output = Command::new(this).args(["memory", name, &batch.to_string()]).output();
    let text = String::from_utf8(output.expect("it runs").stdout).expect("a number");
    text.trim().parse().expect("a number")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["memory", name, batch] => return memory(name, batch.parse().expect("a number")),
        // One side alone, for `perf stat` and `perf record`; the requests are made in either case.
        [side @ ("ours" | "theirs" | "neither"), batch] => {
            let (requests, _) = requests(batch.parse().expect("a number"));
            let rounds = if side == "neither" { 0 } else { ROUNDS };
            for _ in 0..rounds {
                if side == "ours" {
                    ours(&requests)
                } else {
                    theirs(&requests)
                };
            }
            return;
        }
        _ => {}
    }
    for batch in [8, 64, 512] {
        let (requests, count) = requests(batch);
        let wire: usize = requests.iter().map(Bytes::len).sum();
        println!("{count} spans in requests of {batch}, {} bytes a span on the wire", wire / count);
        let median = |run: fn(&[Bytes]) -> Outcome| {
            let mut all: Vec<Outcome> = (0..ROUNDS).map(|_| run(&requests)).collect();
            all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
            all.swap_remove(ROUNDS / 2)
        };
        let (ours, theirs) = (median(ours), median(theirs));
        for (name, outcome) in [("slipring-sampling", &ours), ("map of vectors", &theirs)] {
            let rate = count as f64 / outcome.seconds;
            println!("  {name:18} {rate:>10.0} spans/s, kept {}", outcome.kept);
        }
        let faster = theirs.seconds / ours.seconds;
        let (own, other) = (grown("ours", batch), grown("theirs", batch));
        println!("  resident memory: {own} and {other} bytes a span, {:.1}", other / own);
        parts(&requests, count);
        println!("  {faster:.2} times as fast");
    }
}
