//! OTLP requests until their records can be queried: slipring, beside stores that decode requests
//! with `prost` into maps behind locks.

use super::Options;
use crate::decoded::{self, Decoded};
use crate::peers::{Locked, Peer, Producer, Sharded};
use crate::report::{Better, Part, Table};
use bytes::Bytes;
use prost::Message;
use shop::Shop;
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::{Key, Telemetry};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Requests, and the number of their records.
pub(super) struct Load {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) bodies: Vec<Bytes>,
    pub(super) records: usize,
}

const KINDS: [(Kind, &str, usize); 3] = [
    (Kind::Traces, "spans", 10_000),
    (Kind::Logs, "logs", 50_000),
    (Kind::Metrics, "points", 100_000),
];

/// Returns the folder of real telemetry: below `SLIPRING_CORPUS`, or beside the project.
fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("SLIPRING_CORPUS").map_or_else(beside, PathBuf::from).join("otlp")
}

/// Returns the corpus's files, if there are any.
pub(super) fn corpus() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    files
}

fn encoded(kind: Kind, request: &Request) -> Bytes {
    Bytes::from(match kind {
        Kind::Traces => encode(&request.spans, Encoding::Protobuf),
        Kind::Logs => encode(&request.logs, Encoding::Protobuf),
        _ => encode(&request.points, Encoding::Protobuf),
    })
}

impl Load {
    fn of(name: String, kind: Kind, requests: impl Iterator<Item = Request>) -> Option<Self> {
        let (mut bodies, mut records) = (Vec::new(), 0);
        for request in requests.filter(|request| !request.is_empty()) {
            records += request.len();
            bodies.push(encoded(kind, &request));
        }
        (records > 0).then_some(Self { name, kind, bodies, records })
    }

    /// Loads real telemetry, if the corpus exists.
    pub(super) fn corpus(kind: Kind, what: &str) -> Option<Self> {
        let files = match kind {
            Kind::Traces => &["shop_traces.jsonl", "train_traces.jsonl"][..],
            Kind::Logs => &["shop_logs.jsonl", "train_logs.jsonl"],
            _ => &["shop_metrics.jsonl"],
        };
        let texts: Vec<Vec<u8>> =
            files.iter().filter_map(|file| std::fs::read(folder().join(file)).ok()).collect();
        let lines = texts
            .iter()
            .flat_map(|text| text.split(|byte| *byte == b'\n'))
            .filter(|line| !line.is_empty());
        Self::of(
            format!("real {what}"),
            kind,
            lines.filter_map(|line| Request::read_json(line).ok()),
        )
    }

    /// Generates requests from the shop's telemetry.
    pub(super) fn made(kind: Kind, what: &str) -> Option<Self> {
        let mut shop = Shop::new(1);
        let requests = (0..40).map(|_| {
            let mut request = Request::default();
            match kind {
                Kind::Traces => request.spans = shop.spans().take(512).collect(),
                Kind::Logs => request.logs = shop.logs().take(512).collect(),
                _ => request.points = shop.points().take(2_000).collect(),
            }
            request
        });
        Self::of(format!("made {what}"), kind, requests)
    }
}

/// Goes through a request and all that lies in it, whatever that is: what reading it must cost.
fn walk(bytes: &[u8], depth: usize) -> u64 {
    let mut rest = bytes;
    let mut seen = 0;
    while let Ok((_, wire)) = prost::encoding::decode_key(&mut rest) {
        use prost::encoding::{WireType, decode_varint};
        match wire {
            WireType::Varint => seen += decode_varint(&mut rest).map_or(0, |number| number & 1),
            WireType::LengthDelimited => {
                let Some(length) =
                    decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok())
                else {
                    break;
                };
                let Some((inner, after)) = rest.split_at_checked(length) else { break };
                seen += if depth > 0 && std::str::from_utf8(inner).is_err() {
                    walk(inner, depth - 1)
                } else {
                    1
                };
                rest = after;
            }
            WireType::SixtyFourBit => rest = rest.get(8..).unwrap_or_default(),
            WireType::ThirtyTwoBit => rest = rest.get(4..).unwrap_or_default(),
            WireType::StartGroup | WireType::EndGroup => break,
        }
    }
    seen
}

/// Measures million records per second, with this number of threads.
fn rate(
    load: &Load,
    threads: usize,
    length: Duration,
    take: &(impl Fn(usize, &Bytes) + Sync),
) -> f64 {
    let started = Instant::now();
    let requests: usize = std::thread::scope(|scope| {
        let send = |thread: usize| {
            let mut requests = 0;
            while started.elapsed() < length {
                take(
                    thread,
                    &load.bodies
                        [(requests + thread * load.bodies.len() / threads) % load.bodies.len()],
                );
                requests += 1;
            }
            requests
        };
        let threads: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || send(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends well")).sum()
    });
    let records = requests as f64 * load.records as f64 / load.bodies.len() as f64;
    records / started.elapsed().as_secs_f64() / 1e6
}

fn into_peer<P: Peer<Decoded>>(
    load: &Load,
    capacity: usize,
    threads: usize,
    length: Duration,
) -> f64 {
    let store = P::new(capacity, threads);
    rate(load, threads, length, &|thread, body| {
        let mut producer = store.producer(thread);
        decoded::each_scope(load.kind, body, |records| producer.push_batch(records));
    })
}

/// Creates stores that each hold `capacity` records.
pub(super) fn telemetry(capacity: usize) -> Telemetry {
    let builder = Telemetry::builder().traces(capacity).logs(capacity).metrics(capacity);
    builder.build().expect("the capacity is valid")
}

/// Checks that slipring and a peer keep the same number of records per service, before either is
/// timed.
fn check(load: &Load) {
    let peer = Locked::<Decoded>::new(load.records, 1);
    let ours = telemetry(4 * load.records);
    for body in &load.bodies {
        decoded::each_scope(load.kind, body, |records| peer.producer(0).push_batch(records));
        let rejected = ours
            .ingest(load.kind, Encoding::Protobuf, body.clone())
            .expect("the body is a request");
        assert!(rejected.is_empty(), "{rejected}");
    }
    for (key, count) in peer.keys(1) {
        let key = Key::from(&key);
        let found = match load.kind {
            Kind::Traces => ours.traces().query().key("service", key).count(),
            Kind::Logs => ours.logs().query().key("service", key).count(),
            _ => ours.metrics().query().key("service", key).count(),
        };
        assert_eq!(found.expect("the query is valid") as u64, count, "{key}");
    }
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let mut speed = Table::new(
        "otlp",
        "OTLP requests in protobuf until queryable",
        "million records/s",
        Better::More,
    )
    .uncompared(&["prost alone", "walking the bytes"])
    .noting("prost alone decodes and drops; walking goes through the bytes once and checks texts.");
    let mut bytes =
        Table::new("otlp-memory", "Bytes in all for each record", "bytes", Better::Less)
            .uncompared(&["on the wire"])
            .noting(
                "By the store's own statistics, which a test holds against a counting allocator.",
            );
    let length = options.either(Duration::from_millis(150), Duration::from_millis(500));
    for (kind, what, capacity) in KINDS {
        for load in [Load::corpus(kind, what), Load::made(kind, what)].into_iter().flatten() {
            check(&load);
            options.rounds(&load.name, || {
                for threads in [1, 2] {
                    let case = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
                    let ours = telemetry(capacity);
                    let mut add = |column, figure| speed.add(&load.name, &case, column, figure);
                    add(
                        "slipring",
                        rate(&load, threads, length, &|_, body| {
                            ours.ingest(kind, Encoding::Protobuf, body.clone())
                                .expect("the body is a request");
                        }),
                    );
                    add(
                        "prost + Mutex",
                        into_peer::<Locked<Decoded>>(&load, capacity, threads, length),
                    );
                    add(
                        "prost + 8 Mutexes",
                        into_peer::<Sharded<Decoded>>(&load, capacity, threads, length),
                    );
                    add("prost alone", rate(&load, threads, length, &|_, body| decode(kind, body)));
                    add(
                        "walking the bytes",
                        rate(&load, threads, length, &|_, body| {
                            std::hint::black_box(walk(body, 12));
                        }),
                    );
                    if threads == 1 {
                        ours.flush().expect("flush is not called inside a hook");
                        let stats = ours.stats();
                        let stats = match kind {
                            Kind::Traces => stats.traces,
                            Kind::Logs => stats.logs,
                            _ => stats.metrics,
                        };
                        let wire = load.bodies.iter().map(Bytes::len).sum::<usize>() as f64
                            / load.records as f64;
                        bytes.add(
                            "bytes",
                            &load.name,
                            "slipring",
                            stats.total_memory_bytes as f64 / stats.count as f64,
                        );
                        bytes.add("bytes", &load.name, "on the wire", wire);
                    }
                }
            });
        }
    }
    let reads = super::real_spans::table(options);
    options.part("otlp", "OTLP", [speed, bytes].into_iter().chain(reads).collect())
}

fn decode(kind: Kind, body: &[u8]) {
    use opentelemetry_proto::tonic::{
        logs::v1::LogsData, metrics::v1::MetricsData, trace::v1::TracesData,
    };
    match kind {
        Kind::Traces => drop(TracesData::decode(body)),
        Kind::Logs => drop(LogsData::decode(body)),
        _ => drop(MetricsData::decode(body)),
    }
}
