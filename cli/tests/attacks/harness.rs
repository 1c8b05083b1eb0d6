//! What every attack runs on: a server with small limits, what of them an attack may fill, and good
//! clients that are answered beside it.

use crate::support::{Server, parse, request};
use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Severity};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

pub type Headers<'a> = &'a [(&'a str, &'a str)];

pub const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];
const MIB: u64 = 1 << 20;

pub const MAX_BODY: u64 = MIB;
const IN_FLIGHT: u64 = 8 * MIB;
pub const CONNECTIONS: u64 = 100;
const STORED: u64 = 8 * MIB;
pub const RECORD: u64 = MIB / 16;

fn cores() -> u64 {
    thread::available_parallelism().unwrap().get() as u64
}

/// What it has without any attack: its code, and 17 MiB of threads' stacks, slots, and the
/// allocator's spare, or somewhat more.
fn rest(server: &Server) -> u64 {
    server.mapped_files() + (16 + 4 * cores()) * MIB
}

/// What the attacked store may take: its records' bytes, as much again for parts that they share,
/// its slots and indexes.
const FULL: u64 = 2 * STORED + 4 * MIB;

/// What of the bound that `--help` states an attack may fill, beside [`rest`].
#[derive(Clone, Copy)]
pub enum May {
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

pub fn logs(count: usize, body: &str) -> Vec<u8> {
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
pub fn withstand(may: May, attack: impl Fn(&Server) -> u64) {
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
        (server.peak_memory(), rest(&server) + may.bytes(), good.longest.load(Relaxed));
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
pub struct Attack(Instant);

impl Attack {
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Whether its time is not over, or it has not done enough yet. It is given up in the end.
    pub fn goes_on(self, has_done_enough: impl Fn() -> bool) -> bool {
        let lasted = self.0.elapsed();
        lasted < LENGTH || !has_done_enough() && lasted < 20 * LENGTH
    }
}

/// Does it again and again, on so many threads.
pub fn keep_at_it(threads: usize, attack: impl Fn() + Sync) {
    keep_at_it_until(|| true, threads, attack);
}

/// The same, until it has done enough.
pub fn keep_at_it_until(
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
