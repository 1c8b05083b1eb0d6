//! Peers that mean ill, or know no better: memory stays within what `serve --help` states, good
//! clients are answered meanwhile, and whatever was acknowledged is in the store, or counted as
//! evicted.

mod support;

use slipring::attribute::{Attributes, KeyValue};
use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Resource, Scope, Severity, Source, Value};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use support::http2::{Http2, LOGS, open_at};
use support::{Server, parse, request};

type Headers<'a> = &'a [(&'a str, &'a str)];

const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];
const MIB: u64 = 1 << 20;

const MAX_BODY: u64 = MIB;
const IN_FLIGHT: u64 = 8 * MIB;
const CONNECTIONS: u64 = 100;
const STORED: u64 = 8 * MIB;
const RECORD: u64 = MIB / 16;

fn cores() -> u64 {
    thread::available_parallelism().unwrap().get() as u64
}

/// What it has without any attack: code, threads' stacks, slots, the allocator's spare.
fn rest() -> u64 {
    (40 + 4 * cores()) * MIB
}

/// What the attacked store may take: its records' bytes, as much again for parts that they share,
/// its slots and indexes.
const FULL: u64 = 2 * STORED + 4 * MIB;

/// What of the bound that `--help` states an attack may fill, beside [`rest`].
#[derive(Clone, Copy)]
enum May {
    /// Nothing of it.
    Nothing,
    /// Some buffers for each of so many connections.
    Connect(u64),
    /// Requests under way: a buffer may be twice as large as what is in it; and some more for each
    /// connection.
    Send,
    /// The same, and the store.
    Fill,
    /// Requests under way and what they become while they are decoded.
    Decode,
    /// Sixteen answers, in records and in JSON, of a full store.
    Ask,
    /// The store, by requests, and sixteen tails.
    Tail,
}

impl May {
    fn bytes(self) -> u64 {
        match self {
            May::Nothing => 0,
            May::Connect(connections) => connections * MIB / 64,
            May::Send => 2 * IN_FLIGHT + CONNECTIONS * MIB / 4,
            May::Fill => FULL + May::Send.bytes(),
            May::Decode => May::Send.bytes() + 2 * cores() * (8 * MAX_BODY + 200 * RECORD),
            May::Ask => FULL + 16 * 2 * STORED,
            May::Tail => May::Fill.bytes() + 16 * 30 * RECORD,
        }
    }
}

fn stored(server: &Server, signal: &str) -> u64 {
    let metrics = server.get("/metrics").text();
    let name = format!("slipring_memory_bytes{{signal=\"{signal}\"}} ");
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(&name)?.parse().ok())
        .unwrap_or_else(|| panic!("{metrics}"))
}

fn server(connections: u64) -> Server {
    let number = |number: u64| number.to_string();
    let [body, in_flight, connections, stored, record] =
        [MAX_BODY, IN_FLIGHT, connections, STORED, RECORD].map(number);
    Server::start(&[
        "--timeout",
        "2",
        "--logs",
        "5000",
        "--traces",
        "1000",
        "--metrics",
        "1000",
        "--max-body",
        &body,
        "--max-in-flight",
        &in_flight,
        "--max-connections",
        &connections,
        "--max-bytes",
        &stored,
        "--max-record-bytes",
        &record,
    ])
}

fn logs(count: usize, body: &str) -> Vec<u8> {
    let log = LogRecord::builder().body(body).severity(Severity::INFO).build();
    encode(&vec![log; count], Encoding::Protobuf)
}

/// A client that sends a few records again and again, comes back if it is asked to, and counts what
/// was acknowledged.
#[derive(Default)]
struct Good {
    acknowledged: AtomicU64,
    asked_back: AtomicU64,
    /// Without an answer.
    cut_off: AtomicU64,
    /// Milliseconds from one acknowledgement to the next, at the most.
    longest: AtomicU64,
    over: AtomicBool,
}

/// Ends what waits for it when dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Good {
    const RECORDS: u64 = 7;

    fn send(&self, server: &Server) {
        let body = logs(Self::RECORDS as usize, "good");
        let request = request("POST", "/v1/logs", &PROTOBUF, &body, body.len());
        let mut last = Instant::now();
        while !self.over.load(Relaxed) {
            let answer = server.try_raw(&request).unwrap_or_default();
            if answer.is_empty() {
                // As long as it has said nothing it may have to leave; on a busy machine that may
                // happen to the best.
                self.cut_off.fetch_add(1, Relaxed);
                continue;
            }
            let answer = parse(&answer);
            match answer.status {
                200 => {
                    self.acknowledged.fetch_add(Self::RECORDS, Relaxed);
                    self.longest.fetch_max(last.elapsed().as_millis() as u64, Relaxed);
                    last = Instant::now();
                }
                503 => _ = self.asked_back.fetch_add(1, Relaxed),
                _ => panic!("a good client got {answer}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Runs an attack beside two good clients; the attack tells how many records of its own were
/// acknowledged.
fn withstand(may: May, attack: impl Fn(&Server) -> u64) {
    let server =
        server(if let May::Connect(connections) = may { connections } else { CONNECTIONS });
    let good = Good::default();
    let before = good_after(&good, &server, 0, "before the attack");
    let attackers = thread::scope(|scope| {
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(|| good.send(&server))).collect();
        // Also if an attack fails: otherwise they would go on for ever.
        let _until_over = Over(&good.over);
        let mut attackers = attack(&server);
        let hardly_answered = || good.acknowledged.load(Relaxed) < before + 20 * Good::RECORDS;
        // On a busy machine an attack may end before the clients had a turn.
        for _ in 1..10 {
            if hardly_answered() {
                attackers += attack(&server);
            }
        }
        // It goes on after the attack as it did before.
        let during = good.acknowledged.load(Relaxed);
        assert!(!hardly_answered(), "good clients were hardly answered during the attack");
        let deadline = Instant::now() + Duration::from_secs(20);
        while good.acknowledged.load(Relaxed) < during + 10 * Good::RECORDS {
            assert!(Instant::now() < deadline, "good clients are not answered after the attack");
            thread::sleep(Duration::from_millis(10));
        }
        good.over.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        attackers
    });
    let (peak, bound, longest) =
        (server.peak_memory(), rest() + may.bytes(), good.longest.load(Relaxed));
    let [records, asked_back, cut_off] =
        [&good.acknowledged, &good.asked_back, &good.cut_off].map(|count| count.load(Relaxed));
    eprintln!(
        "peak {} MiB of {} MiB; good clients: {records} records acknowledged, {asked_back} times asked to come back, \
         {cut_off} times cut off, {longest} ms from one to the next at the longest",
        peak / MIB,
        bound / MIB,
    );
    assert!(
        cut_off <= 1 + (records / Good::RECORDS + asked_back) / 100,
        "good clients were cut off without an answer"
    );
    assert!(peak < bound, "{} MiB, {} are stated", peak / MIB, bound / MIB);
    let kept = stored(&server, "log");
    assert!(kept < FULL, "{} MiB are kept, {} are allowed", kept / MIB, FULL / MIB);
    // Beside a whole attack, and a machine busy with other tests.
    assert!(longest < 10 * LENGTH.as_millis() as u64, "a good client waited for {longest} ms");
    let acknowledged = good.acknowledged.into_inner() + attackers;
    let stats = server.ask("/api/stats");
    let logs = &stats["logs"];
    let evicted: u64 =
        logs["evicted"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    let (offered, held) = (logs["offered"].as_u64().unwrap(), logs["log_count"].as_u64().unwrap());
    assert_eq!(
        held + evicted,
        acknowledged,
        "what was acknowledged is held, or was evicted: {offered} were offered"
    );
    // Questions of an attack may still be in the way.
    let deadline = Instant::now() + Duration::from_secs(20);
    let audit = std::iter::repeat_with(|| server.get("/api/audit").status);
    let audit = audit.take_while(|_| Instant::now() < deadline).find(|status| *status != 503);
    assert_eq!(audit, Some(200));
    assert!(server.stop().0, "it stops as it should");
}

/// One client for a moment, to see that all is well.
fn good_after(good: &Good, server: &Server, before: u64, when: &str) -> u64 {
    let answer = server.send("POST", "/v1/logs", &PROTOBUF, &logs(Good::RECORDS as usize, "good"));
    assert_eq!(answer.status, 200, "{when}: {answer}");
    good.acknowledged.fetch_add(Good::RECORDS, Relaxed);
    before + Good::RECORDS
}

/// An attack lasts so long, and on a busy machine for longer: see [`Attack::goes_on`].
const LENGTH: Duration = Duration::from_secs(6);

/// How long an attack has been going on.
#[derive(Clone, Copy)]
struct Attack(Instant);

impl Attack {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// Whether its time is not over, or it has not done enough yet. It is given up in the end.
    fn goes_on(self, has_done_enough: impl Fn() -> bool) -> bool {
        let lasted = self.0.elapsed();
        lasted < LENGTH || !has_done_enough() && lasted < 20 * LENGTH
    }
}

/// Does it again and again, on so many threads.
fn keep_at_it(threads: usize, attack: impl Fn() + Sync) {
    keep_at_it_until(|| true, threads, attack);
}

/// The same, until it has done enough.
fn keep_at_it_until(
    has_done_enough: impl Fn() -> bool + Sync,
    threads: usize,
    attack: impl Fn() + Sync,
) {
    let begun = Attack::begin();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while begun.goes_on(&has_done_enough) {
                    attack();
                }
            });
        }
    });
}

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
