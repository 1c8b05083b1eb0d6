//! What a review found in `serve` and `replay`: peers that stop, questions that cost much, and a
//! user who has seen enough.

mod support;

use slipring::otlp::{Encoding, encode};
use slipring::{LogRecord, Severity};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::http2::{Http2, LOGS};
use support::{SLIPRING, Server, parse, request};

const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];

fn logs(count: usize, body: &str) -> Vec<u8> {
    let log = LogRecord::builder().body(body).severity(Severity::INFO).build();
    encode(&vec![log; count], Encoding::Protobuf)
}

/// Waits until it answers again.
fn answers_again(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut stream = server.connect();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.write_all(&request("GET", "/healthz", &[], b"", 0)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        if !answer.is_empty() {
            assert_eq!(parse(&answer).status, 200);
            return;
        }
        assert!(Instant::now() < deadline, "it does not answer");
    }
}

#[test]
fn connections_that_say_nothing_are_given_up() {
    let server = Server::start(&["--timeout", "1", "--max-connections", "4"]);
    let silent: Vec<TcpStream> = (0..8)
        .map(|number| {
            let mut stream = server.connect();
            stream.write_all(&b"PRI * HTTP"[..number]).unwrap();
            stream
        })
        .collect();
    answers_again(&server);
    drop(silent);
}

#[test]
fn peers_that_do_not_read_are_given_up() {
    let server = Server::start(&["--timeout", "1", "--max-connections", "3"]);
    let answer = server.send("POST", "/v1/logs", &PROTOBUF, &logs(5_000, &"x".repeat(2_000)));
    assert_eq!(answer.status, 200, "{answer}");
    let deaf: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(&request("GET", "/api/logs?limit=10000", &[], b"", 0)).unwrap();
            stream
        })
        .collect();
    answers_again(&server);
    drop(deaf);
    assert!(server.stop().0);
}

#[test]
fn a_refusal_reaches_who_is_still_writing() {
    let server = Server::start(&["--max-body", "100000"]);
    let large = vec![b'x'; 20 << 20];
    for (headers, status) in [(&PROTOBUF, 413), (&[("content-type", "text/plain")], 415)] {
        let answer = server.send("POST", "/v1/logs", headers, &large);
        assert_eq!(answer.status, status, "{answer}");
    }
}

#[test]
fn what_can_never_fit_is_told_so_and_a_refused_body_takes_no_room() {
    let server = Server::start(&["--max-body", "1000000", "--max-in-flight", "1000000"]);
    let mut refused = server.connect();
    // It says that much, sends some of it, and waits: it is read on for a while.
    refused
        .write_all(&request("POST", "/v1/logs", &PROTOBUF, &vec![b'x'; 900_000], 60_000_000))
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let good = server.send("POST", "/v1/logs", &PROTOBUF, &logs(100, "good"));
    assert_eq!(good.status, 200, "{good}");
    let mut answer = Vec::new();
    refused.read_to_end(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 413);
    // The same without a length.
    let chunk = [b"10000\r\n", &vec![b'x'; 0x10000][..], b"\r\n"].concat();
    let head = b"POST /v1/logs HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/x-protobuf\r\n\
        transfer-encoding: chunked\r\n\r\n";
    let chunked = server.raw(&[&head[..], &chunk.repeat(20), b"0\r\n\r\n"].concat());
    assert_eq!(parse(&chunked).status, 413);
}

#[test]
fn costly_tails_keep_nobody_from_being_served_or_it_from_stopping() {
    let server = Server::start(&["--timeout", "2"]);
    let pattern = "a".repeat(200);
    let tails: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = server.connect();
            let path = format!("/api/tail/logs?body=*{pattern}b*");
            stream.write_all(&request("GET", &path, &[], b"", 0)).unwrap();
            stream
        })
        .collect();
    let answer = server.send("POST", "/v1/logs", &PROTOBUF, &logs(20, &"a".repeat(100_000)));
    assert_eq!(answer.status, 200, "{answer}");
    answers_again(&server);
    let long = server.get(&format!("/api/count/logs?body={}", "a".repeat(300)));
    assert_eq!(long.status, 400, "{long}");
    let asked = Instant::now();
    assert!(server.stop().0);
    assert!(asked.elapsed() < Duration::from_secs(25), "it took {:?} to stop", asked.elapsed());
    drop(tails);
}

/// Sends an interrupt to a replay; whether it ended by itself soon after.
fn interrupted(arguments: &[&str]) -> bool {
    let mut child = Command::new(SLIPRING)
        .arg("replay")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[test]
fn a_replay_ends_when_it_is_asked_to_and_keeps_its_pace() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, empty) = (folder.join("slow.jsonl"), folder.join("empty.jsonl"));
    let line = encode(&vec![LogRecord::default(); 200], Encoding::Json);
    std::fs::write(&file, [&line[..], b"\n"].concat().repeat(300)).unwrap();
    std::fs::write(&empty, b"").unwrap();
    let (file, empty) = (file.to_str().unwrap(), empty.to_str().unwrap());
    assert!(interrupted(&["--rate", "100", file]));
    assert!(interrupted(&["--loop", "0", file]));
    assert!(interrupted(&["--loop", "0", empty]));
    let output = Command::new(SLIPRING)
        .args(["replay", "--loop", "2", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("can be read once"));

    let one = folder.join("one.jsonl");
    std::fs::write(&one, &line).unwrap();
    let output = Command::new(SLIPRING)
        .args(["replay", "--json", "--rate", "400", one.to_str().unwrap(), "/dev/null/nothing"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "a file that is not there is told before");
    let output = Command::new(SLIPRING)
        .args(["replay", "--json", "--rate", "400", one.to_str().unwrap()])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        report["seconds"].as_f64() >= Some(0.45),
        "200 records at 400 a second: {}",
        report["seconds"]
    );
    let loops = Command::new(SLIPRING)
        .args(["replay", "--loop", "18446744073709551615", empty])
        .output()
        .unwrap();
    assert!(loops.status.success());

    let packed = folder.join("damaged.gz");
    std::fs::write(&packed, [0x1f, 0x8b, 0xff, 0xff, 1, 2, 3]).unwrap();
    let output = Command::new(SLIPRING)
        .args([
            "replay",
            "--json",
            "--max-bytes",
            "30000",
            one.to_str().unwrap(),
            packed.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["files"][1]["damaged"], output.status.code()),
        (&1.into(), Some(1)),
        "{report}"
    );
}

#[test]
fn a_call_that_never_ends_is_counted_once_as_refused() {
    let server = Server::start(&["--timeout", "1"]);
    let mut peer = Http2::open(server.grpc, 65_535).unwrap();
    peer.call(1, LOGS);
    peer.data(1, &[0, 0, 0, 1, 0, b'x'], false);
    let count = |outcome: &str| {
        let name = format!("slipring_requests_total{{outcome=\"{outcome}\"}} ");
        let metrics = server.get("/metrics").text();
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok());
        count.unwrap_or_else(|| panic!("{metrics}"))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while count("refused") == 0 {
        assert!(Instant::now() < deadline, "it is counted nowhere");
        peer.stay();
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(peer);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(["taken", "refused", "overloaded"].map(count), [0, 1, 0]);
}
