//! Peers that mean ill, or know no better: memory stays within what `serve --help` states, good
//! clients are answered meanwhile, and whatever was acknowledged is in the store, or counted as
//! evicted.

#[path = "attacks/harness.rs"]
mod harness;
mod support;

use harness::{
    Attack, CONNECTIONS, Headers, MAX_BODY, May, PROTOBUF, RECORD, keep_at_it, keep_at_it_until,
    logs, withstand,
};
use slipring::attribute::{Attributes, KeyValue};
use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Resource, Scope, Source, Value};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use support::http2::{Http2, LOGS, open_at};
use support::{Server, parse, request};

/// Connects where it can; a server that is busy may take none at the moment.
fn open(server: &Server) -> Option<TcpStream> {
    open_at(server.http)
}

/// Some say nothing, some begin to, some end their half at once. To the server, a peer that says
/// nothing and one that has gone without a word, which is half open, are the same.
fn hold_connections(server: &Server, at_once: usize) -> usize {
    let mut open_ones = VecDeque::new();
    let begun = Attack::begin();
    let (mut opened, mut most) = (0, 0);
    while begun.goes_on(|| opened > 1_000 && most > at_once * 5 / 6) {
        if let Some(mut stream) = open(server) {
            opened += 1;
            match opened % 3 {
                0 => _ = stream.write_all(b"POST /v1"),
                1 => _ = stream.shutdown(std::net::Shutdown::Write),
                _ => {}
            }
            open_ones.push_back(stream);
        }
        most = open_ones.len().max(most);
        if open_ones.len() > at_once {
            open_ones.drain(..at_once / 8);
        }
    }
    assert!(opened > 1_000, "{opened} connections are no flood");
    most
}

#[test]
fn more_silent_and_half_open_connections_than_there_are_places() {
    withstand(May::Nothing, |server| {
        hold_connections(server, 700);
        0
    });
}

#[test]
fn thousands_of_connections_at_once() {
    // Both ends are in this test's limits: the server inherits them.
    let allowed = rlimit::increase_nofile_limit(10_000).unwrap_or(0);
    if allowed < 5_000 {
        eprintln!("skipped: the system allows {allowed} open files only");
        return;
    }
    withstand(May::Connect(2_000), |server| {
        let most = hold_connections(server, 2_400);
        assert!(most > 2_000, "{most} connections at once are not thousands");
        0
    });
}

#[test]
fn slow_senders_of_large_bodies() {
    withstand(May::Send, |server| {
        let large = vec![b'x'; MAX_BODY as usize - 10];
        // Many times what may be under way altogether, all of it sent but for the last byte.
        keep_at_it(80, || {
            let Some(mut stream) = open(server) else { return };
            let _ =
                stream.write_all(&request("POST", "/v1/logs", &PROTOBUF, &large, large.len() + 1));
            thread::sleep(Duration::from_millis(700));
        });
        let metrics = server.get("/metrics").text();
        let overloaded = metrics.lines().find(|line| line.contains("overloaded"));
        let refused = overloaded.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        assert!(refused > Some(100.0), "there was room for all of them: {overloaded:?}");
        0
    });
}

#[test]
fn headers_and_bodies_that_come_byte_by_byte() {
    withstand(May::Nothing, |server| {
        let body = logs(3, "slow");
        let slow = request("POST", "/v1/logs", &PROTOBUF, &body, body.len());
        keep_at_it(70, || {
            let Some(mut stream) = open(server) else { return };
            for byte in &slow[..slow.len() - 1] {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        0
    });
}

#[test]
fn bodies_that_lie_about_their_length() {
    withstand(May::Nothing, |server| {
        let body = logs(2, "liar");
        let kinds = [0, 1, body.len() - 1, body.len() + 1, MAX_BODY as usize + 1, usize::MAX >> 1];
        let turn = AtomicU64::new(0);
        keep_at_it(8, || {
            let Some(mut stream) = open(server) else { return };
            let length = kinds[turn.fetch_add(1, Relaxed) as usize % kinds.len()];
            let _ = stream.write_all(&request("POST", "/v1/logs", &PROTOBUF, &body, length));
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            // None of it is what it says; a shorter one may be a request by chance, but not of
            // ours.
            assert!(
                answer.is_empty() || parse(&answer).status != 200 || length == 0,
                "{length}: {:?}",
                parse(&answer)
            );
        });
        0
    });
}

#[test]
fn a_flood_beyond_what_the_store_holds() {
    let acknowledged = AtomicU64::new(0);
    withstand(May::Fill, |server| {
        let bodies = [(400, logs(400, &"flood".repeat(100))), (1, logs(1, &"f".repeat(60_000)))];
        let turn = AtomicU64::new(0);
        keep_at_it(12, || {
            let (records, body) = &bodies[turn.fetch_add(1, Relaxed) as usize % bodies.len()];
            let answer = server.send("POST", "/v1/logs", &PROTOBUF, body);
            match answer.status {
                200 => _ = acknowledged.fetch_add(*records, Relaxed),
                503 => thread::sleep(Duration::from_millis(10)),
                _ => panic!("{answer}"),
            }
        });
        acknowledged.load(Relaxed)
    });
    assert!(acknowledged.into_inner() > 10_000, "that was no flood");
}

/// A body of what costs most beside its bytes: much of nothing.
#[test]
fn bodies_that_are_hollow() {
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length > 0x7f {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        [field, bytes.to_vec()].concat()
    };
    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
    const METRIC: &str =
        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"histogram\":{\"dataPoints\":[";
    let wrapped = |before: &str, empty: &str, after: &str| {
        let count = (MAX_BODY as usize - before.len() - after.len()) / (empty.len() + 1) - 1;
        format!("{before}{}{empty}{after}", format!("{empty},").repeat(count)).into_bytes()
    };
    let body = MAX_BODY as usize - 100;
    // Whole requests of it, and records just small enough to be decoded.
    let hollow: [(Headers<'_>, Vec<u8>); 8] = [
        (&PROTOBUF, field(1, &field(2, &field(2, &[0x32, 0].repeat(body / 2))))),
        (
            &PROTOBUF,
            field(1, &field(2, &field(2, &[0x32, 0].repeat(RECORD as usize / 2 - 8)).repeat(15))),
        ),
        (&PROTOBUF, field(1, &field(1, &[0x0a, 0].repeat(body / 2)))),
        (&JSON, wrapped("{\"resourceLogs\":[", "0", "]}")),
        (&JSON, wrapped("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[", "0", "]}]}]}")),
        (
            &JSON,
            wrapped(
                "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"attributes\":[",
                "{}",
                "]}]}]}]}",
            ),
        ),
        (&JSON, wrapped("{\"resourceLogs\":[{\"resource\":{\"attributes\":[", "{\"\":0}", "]}}]}")),
        // What grows most: two bytes of text are eight in protobuf.
        (&JSON, wrapped(&format!("{METRIC}{{\"explicitBounds\":["), "0", "]}]}}]}]}]}")),
    ];
    let too_large = AtomicU64::new(0);
    withstand(May::Decode, |server| {
        let turn = AtomicU64::new(0);
        keep_at_it(6, || {
            let (headers, body) = &hollow[turn.fetch_add(1, Relaxed) as usize % hollow.len()];
            let path = if body.starts_with(METRIC.as_bytes()) { "/v1/metrics" } else { "/v1/logs" };
            let answer = server.send("POST", path, headers, body);
            assert!([200, 400, 503].contains(&answer.status), "{answer}");
            too_large
                .fetch_add(u64::from(answer.text().contains("bytes; make it smaller")), Relaxed);
        });
        0
    });
    assert!(too_large.into_inner() > 0, "nothing was found too large");
}

/// Records that a flood brings at the least.
const FLOOD: u64 = 5_000;

/// Large parts that records share are not in memory for longer than the bytes of records are.
#[test]
fn records_that_each_bring_a_large_resource() {
    let acknowledged = AtomicU64::new(0);
    withstand(May::Fill, |server| {
        let name = "n".repeat(RECORD as usize - 1_000);
        let attributes = Attributes::from(vec![KeyValue {
            key: "large".into(),
            value: Value::Text(name.into()),
        }]);
        let log = LogRecord::builder()
            .source(&Source::new(&Resource::new(attributes), &Scope::default()))
            .build();
        let one = encode(&[log], Encoding::Protobuf);
        // Requests one after the other are one request: each resource is one of its own.
        let body = one.repeat(15);
        let is_flood = || acknowledged.load(Relaxed) > FLOOD;
        keep_at_it_until(is_flood, 6, || {
            let answer = server.send("POST", "/v1/logs", &PROTOBUF, &body);
            match answer.status {
                200 => _ = acknowledged.fetch_add(15, Relaxed),
                503 => thread::sleep(Duration::from_millis(10)),
                _ => panic!("{answer}"),
            }
        });
        acknowledged.load(Relaxed)
    });
    assert!(acknowledged.into_inner() > FLOOD, "that was no flood");
}

#[test]
fn connections_that_stay_for_ever_and_ask_for_nothing() {
    withstand(May::Nothing, |server| {
        let mut idle: Vec<_> =
            (0..CONNECTIONS).filter_map(|_| Http2::open(server.http, 65_535)).collect();
        let begun = Attack::begin();
        let mut opened = idle.len();
        while begun.goes_on(|| opened > CONNECTIONS as usize) {
            idle.retain_mut(Http2::stay);
            while idle.len() < CONNECTIONS as usize {
                let Some(one) = Http2::open(server.http, 65_535) else { break };
                idle.push(one);
                opened += 1;
            }
        }
        assert!(opened > CONNECTIONS as usize, "good clients took no places");
        0
    });
}

#[test]
fn answers_that_nobody_takes() {
    withstand(May::Ask, |server| {
        let body = logs(15, &"answer".repeat(9_000));
        for _ in 0..8 {
            assert_eq!(server.send("POST", "/v1/logs", &PROTOBUF, &body).status, 200);
        }
        let begun = Attack::begin();
        let mut asked = 0;
        let mut deaf: Vec<Http2> = Vec::new();
        while begun.goes_on(|| asked > CONNECTIONS / 2) {
            deaf.retain_mut(Http2::stay);
            while deaf.len() < CONNECTIONS as usize / 2 {
                // Nothing of them, or a part.
                let window = if asked % 2 == 0 { 0 } else { 20_000 };
                let Some(mut one) = Http2::open(server.http, window) else { break };
                (0..20).for_each(|stream| one.get(2 * stream + 1, "/api/logs?limit=10000"));
                deaf.push(one);
                asked += 1;
            }
        }
        assert!(
            asked > CONNECTIONS / 2,
            "{asked} connections: those that take no answers were not cut off"
        );
        15 * 8
    });
}

#[test]
fn tails_of_large_records_that_nobody_reads() {
    let (acknowledged, tails) = (AtomicU64::new(0), AtomicU64::new(0));
    withstand(May::Tail, |server| {
        let large = logs(15, &"t".repeat(60_000));
        let begun = Attack::begin();
        let is_attack = || tails.load(Relaxed) > 16 && acknowledged.load(Relaxed) > 1_000;
        thread::scope(|scope| {
            for _ in 0..70 {
                scope.spawn(|| {
                    while begun.goes_on(is_attack) {
                        let Some(mut stream) = open(server) else { continue };
                        let _ =
                            stream.write_all(b"GET /api/tail/logs HTTP/1.1\r\nhost: test\r\n\r\n");
                        let mut head = [0; 12];
                        let _ = stream.read_exact(&mut head);
                        tails.fetch_add(u64::from(&head == b"HTTP/1.1 200"), Relaxed);
                        thread::sleep(Duration::from_secs(1));
                    }
                });
            }
            keep_at_it_until(is_attack, 2, || {
                match server.send("POST", "/v1/logs", &PROTOBUF, &large).status {
                    200 => _ = acknowledged.fetch_add(15, Relaxed),
                    _ => thread::sleep(Duration::from_millis(10)),
                }
            });
        });
        acknowledged.load(Relaxed)
    });
    assert!(tails.into_inner() > 16 && acknowledged.into_inner() > 1_000, "that was no attack");
}

/// Over gRPC: messages that are longer or shorter than they say, packed or of nonsense; calls that
/// are never ended, many on a connection.
#[test]
fn calls_that_lie_or_never_end() {
    let message = |length: u32, packed: u8| {
        let mut message = vec![packed];
        message.extend(length.to_be_bytes());
        message.extend(logs(2, "liar"));
        message
    };
    let honest = logs(2, "liar").len() as u32;
    let lies = [
        message(honest + 1, 0),
        message(honest - 1, 0),
        message(0, 0),
        message(u32::MAX, 0),
        message(honest, 1),
        message(honest, 9),
        vec![0, 0],
    ];
    withstand(May::Send, |server| {
        let turn = AtomicU64::new(0);
        keep_at_it(40, || {
            let Some(mut peer) = Http2::open(server.grpc, 65_535) else { return };
            let turn = turn.fetch_add(1, Relaxed) as usize;
            for call in 0..20 {
                let stream = 2 * call + 1;
                peer.call(stream, LOGS);
                if turn.is_multiple_of(2) {
                    peer.data(stream, &lies[(turn / 2 + call as usize) % lies.len()], true);
                } else {
                    // Of a message that never comes whole.
                    peer.data(stream, &[&[0, 0, 15, 0, 0][..], &[b'x'; 3_000]].concat(), false);
                }
            }
            let until = Instant::now() + Duration::from_millis(700);
            while Instant::now() < until && peer.stay() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        0
    });
}

/// Over gRPC: metadata of which a byte becomes a field, in calls that never end. Some are as many as
/// are taken, some as many as are read, and some are more.
#[test]
fn metadata_that_grows_when_it_is_read() {
    withstand(May::Send, |server| {
        let turn = AtomicU64::new(0);
        let refused = || {
            // Cut off, it asks again later.
            let answer = server.try_raw(&request("GET", "/metrics", &[], b"", 0)).ok()?;
            let metrics = (!answer.is_empty()).then(|| parse(&answer).text())?;
            let mut lines = metrics.lines();
            lines.find_map(|line| {
                let count = line.strip_prefix("slipring_requests_total{outcome=\"refused\"} ")?;
                count.parse::<u64>().ok()
            })
        };
        // Few peers: a field costs about a microsecond without optimization, whoever sends it.
        keep_at_it_until(
            || refused() > Some(100),
            4,
            || {
                let Some(mut peer) = Http2::open(server.grpc, 65_535) else { return };
                let turn = turn.fetch_add(1, Relaxed) as usize;
                let (calls, fields) = [(100, 480), (100, 900), (20, 3_500)][turn % 3];
                for call in 0..calls {
                    peer.call_with(2 * call + 1, LOGS, fields);
                }
                let until = Instant::now() + Duration::from_millis(300);
                while Instant::now() < until && peer.stay() {
                    thread::sleep(Duration::from_millis(20));
                }
            },
        );
        assert!(refused() > Some(100), "that was no attack: {:?}", refused());
        0
    });
}
