//! Measures the program as its users run it: `replay` of files, and `serve` with clients over HTTP
//! that each send the next request once the previous one is answered.

use super::Options;
use super::otlp::{Load, corpus};
use crate::report::{Better, Part, Table};
use bytes::Bytes;
use slipring::otlp::{Encoding, Kind, Request, encode};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The number of clients of `serve`. Each has one connection and one request in flight.
const CLIENTS: usize = 4;

/// Returns the program's path, if it was built: cargo puts it beside the benches.
fn program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name("slipring");
    program.exists().then_some(program)
}

/// A running server, which is killed when its handle is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &PathBuf) -> io::Result<Self> {
        let ports = ["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let mut child = Command::new(program).args(ports).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once("questions on http://")?;
            Some(address.trim().to_owned())
        });
        let address = address.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and reads the response. The response must accept every record.
fn post(stream: &mut TcpStream, path: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    // A response that rejects nothing has no body.
    while !answer.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// Splits the records into requests of at most 512, as exporters send them.
fn in_requests(load: &Load) -> Vec<Vec<u8>> {
    const RECORDS: usize = 512;
    let each = |body: &Bytes| -> Vec<Vec<u8>> {
        let request =
            Request::read(load.kind, Encoding::Protobuf, body).expect("slipring wrote the request");
        let protobuf = Encoding::Protobuf;
        match load.kind {
            Kind::Traces => {
                request.spans.chunks(RECORDS).map(|some| encode(some, protobuf)).collect()
            }
            Kind::Logs => request.logs.chunks(RECORDS).map(|some| encode(some, protobuf)).collect(),
            _ => request.points.chunks(RECORDS).map(|some| encode(some, protobuf)).collect(),
        }
    };
    load.bodies.iter().flat_map(each).collect()
}

/// Measures `serve` in million records per second.
fn served(
    program: &PathBuf,
    load: &Load,
    requests: &[Vec<u8>],
    length: Duration,
) -> io::Result<f64> {
    let server = Server::start(program)?;
    let path = match load.kind {
        Kind::Traces => "/v1/traces",
        Kind::Logs => "/v1/logs",
        _ => "/v1/metrics",
    };
    let started = Instant::now();
    let send = |client: usize| -> io::Result<usize> {
        let mut stream = TcpStream::connect(&server.address)?;
        stream.set_nodelay(true)?;
        let mut sent = 0;
        while started.elapsed() < length {
            post(
                &mut stream,
                path,
                &requests[(sent + client * requests.len() / CLIENTS) % requests.len()],
            )?;
            sent += 1;
        }
        Ok(sent)
    };
    let sent = thread::scope(|scope| {
        let send = &send;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || send(client))).collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client does not panic"))
            .sum::<io::Result<usize>>()
    })?;
    Ok(sent as f64 * load.records as f64
        / requests.len() as f64
        / started.elapsed().as_secs_f64()
        / 1e6)
}

/// Measures `replay` in megabytes per second, by the program's own clock: from the first byte until
/// all records can be queried.
fn replayed(program: &PathBuf, files: &[PathBuf]) -> io::Result<f64> {
    let output = Command::new(program).arg("replay").arg("--json").args(files).output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let seconds =
        report["seconds"].as_f64().ok_or_else(|| io::Error::other("the report has no time"))?;
    let bytes = files.iter().map(|file| file.metadata().map_or(0, |file| file.len())).sum::<u64>();
    Ok(bytes as f64 / 1e6 / seconds)
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let mut serve = Table::new("program", "`serve`, from four clients", "million records/s", Better::More)
        .noting("Requests of up to 512 records, over HTTP in protobuf; clients and server on the same cores.");
    let mut replay = Table::new("program-replay", "`replay` of JSON lines", "MB/s", Better::More);
    let Some(program) = program() else {
        eprintln!("program: left out; build it first: cargo build --release -p slipring-cli");
        return options.part("program", "The program", vec![serve, replay]);
    };
    let length = options.either(Duration::from_millis(500), Duration::from_secs(2));
    let files = corpus();
    for (kind, what) in [(Kind::Traces, "spans"), (Kind::Logs, "logs"), (Kind::Metrics, "points")] {
        for load in [Load::corpus(kind, what), Load::made(kind, what)].into_iter().flatten() {
            let requests = in_requests(&load);
            options.rounds(&load.name, || match served(&program, &load, &requests, length) {
                Ok(rate) => serve.add("protobuf", &load.name, "slipring", rate),
                Err(error) => eprintln!("program: {error}"),
            });
        }
    }
    if !files.is_empty() {
        options.rounds("replay", || match replayed(&program, &files) {
            Ok(rate) => replay.add("JSON", "the corpus", "slipring", rate),
            Err(error) => eprintln!("program: {error}"),
        });
    }
    options.part("program", "The program", vec![serve, replay])
}
