//! A server of its own for each test, and the plainest HTTP client.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod http2;
pub mod jaeger;
pub mod kept;
pub mod tls;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const SLIPRING: &str = env!("CARGO_BIN_EXE_slipring");

/// A running `slipring serve` or `slipring sample`, on ports that were free; killed when dropped.
pub struct Server {
    child: Child,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// Where Jaeger's query API is answered, if that was asked for.
    pub jaeger: Option<SocketAddr>,
    /// What it has said since it listens.
    said: Arc<Mutex<String>>,
    reading: std::thread::JoinHandle<()>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.head, self.text())
    }
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// The same, on other addresses.
    pub fn start_at(address: &str, arguments: &[&str]) -> Self {
        Self::start_on([address; 2], arguments)
    }

    /// The same, on an address for gRPC and one for HTTP.
    pub fn start_on(addresses: [&str; 2], arguments: &[&str]) -> Self {
        Self::run("serve", addresses, arguments)
    }

    /// A sampler with these policies and limits.
    pub fn sample(config: &Path, to: &str, arguments: &[&str]) -> Self {
        let config = config.to_str().expect("the path is text");
        let own = ["--config", config, "--to", to];
        Self::run("sample", ["127.0.0.1:0"; 2], &[&own, arguments].concat())
    }

    fn run(command: &str, [grpc, http]: [&str; 2], arguments: &[&str]) -> Self {
        let mut child = Command::new(SLIPRING)
            .args([command, "--grpc", grpc, "--http", http])
            .args(arguments)
            .env("SLIPRING_LOG", "info")
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (mut read, mut jaeger) = (String::new(), None);
        let (grpc, http) = loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("it ended before it listened:\n{read}"))
                .expect("it is text");
            read.push_str(&line);
            let after = |what: &str| {
                line.split_once(what)
                    .and_then(|(_, rest)| rest.split([',', ' ']).next()?.parse().ok())
            };
            let http = after("http://").or_else(|| after("https://"));
            if line.contains("Jaeger's query API on ") {
                jaeger = http;
            }
            if let (Some(grpc), Some(http)) = (after("OTLP/gRPC on "), http) {
                break (grpc, http);
            }
        };
        // Read on, so that it never waits for us.
        let said = Arc::new(Mutex::new(String::new()));
        let log = Arc::clone(&said);
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = log.lock().expect("no one panics");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, grpc, http, jaeger, said, reading }
    }

    /// What it has said since it listens.
    pub fn said(&self) -> String {
        self.said.lock().expect("no one panics").clone()
    }

    /// Sends a request as it is; what comes back until the connection ends.
    pub fn raw(&self, request: &[u8]) -> Vec<u8> {
        self.try_raw(request).expect("it can be sent")
    }

    /// The same, of a server that may cut the connection off before.
    pub fn try_raw(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = self.connect();
        stream.write_all(request)?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Ok(answer)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.http).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
        stream
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        parse(&self.raw(&request(method, path, headers, body, body.len())))
    }

    /// An answer from another of its ports.
    pub fn get_at(&self, port: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = TcpStream::connect(port).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        stream.write_all(&request("GET", path, headers, b"", 0)).expect("it can be sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// A question's answer, which has to be one.
    pub fn ask(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer}");
        answer.json()
    }

    pub fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[("content-type", kind)], body)
    }

    /// Bytes of memory that it has used at the most; 0 where the system does not say.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Bytes of files that it has in memory: its own code, most of all, which is larger the more
    /// features it was built with.
    pub fn mapped_files(&self) -> u64 {
        self.status("RssFile:")
    }

    /// A size that the system tells of the process.
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
            * 1024
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("there is kill").success());
    }

    /// Asks it to stop; whether it ended well, and what it said.
    pub fn stop(mut self) -> (bool, String) {
        self.signal("-TERM");
        let deadline = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        };
        let reading = std::mem::replace(&mut self.reading, std::thread::spawn(|| {}));
        reading.join().expect("reading does not panic");
        (status.success(), self.said())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if method == "POST" {
        request += &format!("content-length: {length}\r\n");
    }
    [request.as_bytes(), b"\r\n", body].concat()
}

/// Takes an answer apart.
pub fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("an answer has a status");
    let mut body = answer[end + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(length) = length.filter(|length| *length > 0) else { break };
        body.extend(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
    body
}
