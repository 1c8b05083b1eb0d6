//! Peers that mean ill, or know no better: memory stays within what `serve --help` states, good clients are answered meanwhile, and
//! whatever was acknowledged is in the store, or counted as evicted.

mod support;

use slipring::otlp::{Encoding, write};
use slipring::{Attributes, KeyValue, LogRecord, Resource, Severity, Value};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use support::{Server, parse, request};

type Headers<'a> = &'a [(&'a str, &'a str)];

const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];
const MIB: u64 = 1 << 20;

/// What it has without any attack: code, threads' stacks, the allocator's spare.
const REST: u64 = 64 * MIB;

const MAX_BODY: u64 = MIB;
const IN_FLIGHT: u64 = 8 * MIB;
const CONNECTIONS: u64 = 100;
const STORED: u64 = 8 * MIB;
const RECORD: u64 = MIB / 16;

/// As `--help` has it.
fn bound(server: &Server) -> u64 {
    let cores = thread::available_parallelism().unwrap().get() as u64;
    let stores: u64 = ["span", "log", "metric"].iter().map(|signal| stored(server, signal)).sum();
    let decoding = 2 * cores * (16 * MAX_BODY + 200 * RECORD);
    stores.max(3 * STORED) + IN_FLIGHT + decoding + 16 * STORED + CONNECTIONS * MIB + REST
}

fn stored(server: &Server, signal: &str) -> u64 {
    let metrics = server.get("/metrics").text();
    let name = format!("slipring_memory_bytes{{signal=\"{signal}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
}

fn server() -> Server {
    let number = |number: u64| number.to_string();
    let [body, in_flight, connections, stored, record] = [MAX_BODY, IN_FLIGHT, CONNECTIONS, STORED, RECORD].map(number);
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
    let log = LogRecord { body: Some(body.into()), severity: Severity::INFO, ..LogRecord::default() };
    write(&vec![log; count], Encoding::Protobuf)
}

/// A client that sends a few records again and again, comes back if it is asked to, and counts what was acknowledged.
struct Good {
    acknowledged: AtomicU64,
    asked_back: AtomicU64,
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
        while !self.over.load(Relaxed) {
            let started = Instant::now();
            let answer = server.send("POST", "/v1/logs", &PROTOBUF, &body);
            match answer.status {
                200 => _ = self.acknowledged.fetch_add(Self::RECORDS, Relaxed),
                503 => _ = self.asked_back.fetch_add(1, Relaxed),
                _ => panic!("a good client got {answer}"),
            }
            self.longest.fetch_max(started.elapsed().as_millis() as u64, Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Runs an attack beside two good clients; the attack tells how many records of its own were acknowledged.
fn withstand(attack: impl Fn(&Server) -> u64) {
    let server = server();
    let counts = || (AtomicU64::new(0), AtomicBool::new(false));
    let ((acknowledged, over), (asked_back, _), (longest, _)) = (counts(), counts(), counts());
    let good = Good { acknowledged, asked_back, longest, over };
    let before = good_after(&good, &server, 0, "before the attack");
    let attackers = thread::scope(|scope| {
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(|| good.send(&server))).collect();
        // Also if an attack fails: otherwise they would go on for ever.
        let _until_over = Over(&good.over);
        let attackers = attack(&server);
        // It goes on after the attack as it did before.
        let during = good.acknowledged.load(Relaxed);
        assert!(during > before, "no good client was answered during the attack");
        let deadline = Instant::now() + Duration::from_secs(20);
        while good.acknowledged.load(Relaxed) < during + 10 * Good::RECORDS {
            assert!(Instant::now() < deadline, "good clients are not answered after the attack");
            thread::sleep(Duration::from_millis(10));
        }
        good.over.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        attackers
    });
    let (peak, bound) = (server.peak_memory(), bound(&server));
    eprintln!(
        "peak {} MiB of {} MiB; good clients: {} records acknowledged, {} times asked to come back, {} ms at the longest",
        peak / MIB,
        bound / MIB,
        good.acknowledged.load(Relaxed),
        good.asked_back.load(Relaxed),
        good.longest.load(Relaxed)
    );
    assert!(peak < bound, "{} MiB, {} are stated", peak / MIB, bound / MIB);
    let acknowledged = good.acknowledged.into_inner() + attackers;
    let stats = server.ask("/api/stats");
    let logs = &stats["logs"];
    let evicted: u64 = logs["evicted"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    let (offered, held) = (logs["offered"].as_u64().unwrap(), logs["log_count"].as_u64().unwrap());
    assert_eq!(held + evicted, acknowledged, "what was acknowledged is held, or was evicted: {offered} were offered");
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

/// An attack lasts so long.
const LENGTH: Duration = Duration::from_secs(6);

/// Does it again and again, on so many threads.
fn keep_at_it(threads: usize, attack: impl Fn() + Sync) {
    let until = Instant::now() + LENGTH;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while Instant::now() < until {
                    attack();
                }
            });
        }
    });
}

/// Connects where it can; a server that is busy may take none at the moment.
fn open(server: &Server) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&server.http, Duration::from_millis(300)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(300))).ok()?;
    Some(stream)
}

#[test]
fn thousands_of_silent_and_half_open_connections() {
    withstand(|server| {
        let mut open_ones = Vec::new();
        let until = Instant::now() + LENGTH;
        let mut opened = 0;
        while Instant::now() < until {
            if let Some(mut stream) = open(server) {
                opened += 1;
                // Some say nothing, some begin to, some end their half at once.
                match opened % 3 {
                    0 => _ = stream.write_all(b"POST /v1"),
                    1 => _ = stream.shutdown(std::net::Shutdown::Write),
                    _ => {}
                }
                open_ones.push(stream);
            }
            if open_ones.len() > 700 {
                open_ones.drain(..100);
            }
        }
        assert!(opened > 1_000, "{opened} connections are no flood");
        0
    });
}

#[test]
fn slow_senders_of_large_bodies() {
    withstand(|server| {
        let large = vec![b'x'; MAX_BODY as usize - 10];
        // More than may be under way altogether, all of it sent but for the last byte.
        keep_at_it(20, || {
            let Some(mut stream) = open(server) else { return };
            let _ = stream.write_all(&request("POST", "/v1/logs", &PROTOBUF, &large, large.len() + 1));
            thread::sleep(Duration::from_millis(700));
        });
        0
    });
}

#[test]
fn headers_and_bodies_that_come_byte_by_byte() {
    withstand(|server| {
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
    withstand(|server| {
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
            // None of it is what it says; a shorter one may be a request by chance, but not of ours.
            assert!(answer.is_empty() || parse(&answer).status != 200 || length == 0, "{length}: {:?}", parse(&answer));
        });
        0
    });
}

#[test]
fn a_flood_beyond_what_the_store_holds() {
    let acknowledged = AtomicU64::new(0);
    withstand(|server| {
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
    let wrapped = |before: &str, empty: &str, after: &str| {
        let count = (MAX_BODY as usize - before.len() - after.len()) / (empty.len() + 1) - 1;
        format!("{before}{}{empty}{after}", format!("{empty},").repeat(count)).into_bytes()
    };
    let body = MAX_BODY as usize - 100;
    // Whole requests of it, and records just small enough to be decoded.
    let hollow: [(Headers<'_>, Vec<u8>); 7] = [
        (&PROTOBUF, field(1, &field(2, &field(2, &[0x32, 0].repeat(body / 2))))),
        (&PROTOBUF, field(1, &field(2, &field(2, &[0x32, 0].repeat(RECORD as usize / 2 - 8)).repeat(15)))),
        (&PROTOBUF, field(1, &field(1, &[0x0a, 0].repeat(body / 2)))),
        (&JSON, wrapped("{\"resourceLogs\":[", "0", "]}")),
        (&JSON, wrapped("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[", "0", "]}]}]}")),
        (&JSON, wrapped("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"attributes\":[", "{}", "]}]}]}]}")),
        (&JSON, wrapped("{\"resourceLogs\":[{\"resource\":{\"attributes\":[", "{\"\":0}", "]}}]}")),
    ];
    let too_large = AtomicU64::new(0);
    withstand(|server| {
        let turn = AtomicU64::new(0);
        keep_at_it(6, || {
            let (headers, body) = &hollow[turn.fetch_add(1, Relaxed) as usize % hollow.len()];
            let answer = server.send("POST", "/v1/logs", headers, body);
            assert!([200, 400, 503].contains(&answer.status), "{answer}");
            too_large.fetch_add(u64::from(answer.text().contains("bytes; make it smaller")), Relaxed);
        });
        0
    });
    assert!(too_large.into_inner() > 0, "nothing was found too large");
}

/// Large parts that records share are not in memory for longer than the bytes of records are.
#[test]
fn records_that_each_bring_a_large_resource() {
    let acknowledged = AtomicU64::new(0);
    withstand(|server| {
        let name = "n".repeat(RECORD as usize - 1_000);
        let attributes = Attributes::from(vec![KeyValue { key: "large".into(), value: Value::Text(name.into()) }]);
        let log = LogRecord { resource: Resource::new(attributes).share(), ..LogRecord::default() };
        let one = write(&[log], Encoding::Protobuf);
        // Requests one after the other are one request: each resource is one of its own.
        let body = one.repeat(15);
        keep_at_it(6, || {
            let answer = server.send("POST", "/v1/logs", &PROTOBUF, &body);
            match answer.status {
                200 => _ = acknowledged.fetch_add(15, Relaxed),
                503 => thread::sleep(Duration::from_millis(10)),
                _ => panic!("{answer}"),
            }
        });
        acknowledged.load(Relaxed)
    });
    assert!(acknowledged.into_inner() > 5_000, "that was no flood");
}

/// A connection of HTTP/2, byte by byte.
struct Http2(TcpStream);

impl Http2 {
    fn open(server: &Server, window: u32) -> Option<Self> {
        let mut stream = open(server)?;
        // There are many, and each has to answer in time.
        stream.set_read_timeout(Some(Duration::from_millis(1))).ok()?;
        let mut settings = vec![0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4];
        settings.extend(window.to_be_bytes());
        stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()).ok()?;
        Some(Self(stream))
    }

    /// Asks for a path.
    fn get(&mut self, stream: u32, path: &str) {
        // Method, scheme and authority by HPACK's table; the path as it is.
        let mut head = vec![0x82, 0x86, 0x41, 1, b'x', 0x04, path.len() as u8];
        head.extend(path.as_bytes());
        let mut frame = vec![0, 0, head.len() as u8, 1, 5];
        frame.extend(stream.to_be_bytes());
        let _ = self.0.write_all(&[frame, head].concat());
    }

    /// Reads what is there, and answers pings; whether it is still open.
    fn stay(&mut self) -> bool {
        let mut head = [0; 9];
        loop {
            match self.0.read_exact(&mut head) {
                Ok(()) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
            let mut frame = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            if self.0.read_exact(&mut frame).is_err() {
                return false;
            }
            // GOAWAY is as good as closed.
            if head[3] == 7 {
                return false;
            }
            if head[3] == 6 && head[4] == 0 {
                head[4] = 1;
                let _ = self.0.write_all(&[&head[..], &frame].concat());
            }
        }
    }
}

#[test]
fn connections_that_stay_for_ever_and_ask_for_nothing() {
    withstand(|server| {
        let mut idle: Vec<_> = (0..CONNECTIONS).filter_map(|_| Http2::open(server, 65_535)).collect();
        let until = Instant::now() + LENGTH;
        let mut opened = idle.len();
        while Instant::now() < until {
            idle.retain_mut(Http2::stay);
            while idle.len() < CONNECTIONS as usize {
                let Some(one) = Http2::open(server, 65_535) else { break };
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
    withstand(|server| {
        let body = logs(15, &"answer".repeat(9_000));
        for _ in 0..8 {
            assert_eq!(server.send("POST", "/v1/logs", &PROTOBUF, &body).status, 200);
        }
        let until = Instant::now() + LENGTH;
        let mut asked = 0;
        let mut deaf: Vec<Http2> = Vec::new();
        while Instant::now() < until {
            deaf.retain_mut(Http2::stay);
            while deaf.len() < CONNECTIONS as usize / 2 {
                // Nothing of them, or a part.
                let window = if asked % 2 == 0 { 0 } else { 20_000 };
                let Some(mut one) = Http2::open(server, window) else { break };
                (0..20).for_each(|stream| one.get(2 * stream + 1, "/api/logs?limit=10000"));
                deaf.push(one);
                asked += 1;
            }
        }
        assert!(asked > CONNECTIONS / 2, "{asked} connections: those that take no answers were not cut off");
        15 * 8
    });
}
