//! Files into a server and out of it: `serve --load`, `--save`, `open`, `/api/export`.

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{SLIPRING, Server};

fn run(arguments: &[&str]) -> Output {
    Command::new(SLIPRING).args(arguments).output().unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn shop(folder: &Path) -> String {
    let file = folder.join("shop.jsonl").to_str().unwrap().to_owned();
    let output = run(&["demo", "--requests", "100", "--write", &file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

/// The first requests of real telemetry, where there is some; the made-up shop's otherwise.
fn telemetry(folder: &Path) -> Vec<String> {
    const SOME: u64 = 256 << 10;
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/otlp");
    if !real.is_dir() {
        return vec![shop(folder)];
    }
    let some = |name: &str| {
        let (mut read, mut text) = (0, Vec::new());
        let mut lines = BufReader::new(std::fs::File::open(real.join(name)).unwrap());
        while read < SOME {
            let line = lines.read_until(b'\n', &mut text).unwrap() as u64;
            read += if line == 0 { SOME } else { line };
        }
        let part = folder.join(name);
        std::fs::write(&part, text).unwrap();
        part.to_str().unwrap().to_owned()
    };
    ["train_traces.jsonl", "train_logs.jsonl", "shop_metrics.jsonl"].map(some).into()
}

/// Arguments of a server that has room for what the tests load.
const ROOM: [&str; 6] = ["--traces", "200k", "--logs", "200k", "--metrics", "200k"];

fn load<'a>(files: impl IntoIterator<Item = &'a str>, more: &[&'a str]) -> Vec<&'a str> {
    let load = ["--load"].into_iter().chain(files);
    load.chain(ROOM).chain(more.iter().copied()).collect()
}

fn held(server: &Server) -> [u64; 3] {
    let count = |signal: &str| server.ask(&format!("/api/count/{signal}"))["count"].clone();
    ["spans", "logs", "metrics"].map(|signal| count(signal).as_u64().unwrap())
}

/// The numbers of spans, log records and metric points in files, as `replay` counts them.
fn counted(files: &[&str]) -> [u64; 3] {
    let output = run(&[&["replay", "--json"], files].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sum = |name: &str| {
        let files = report["files"].as_array().unwrap().iter();
        files.map(|file| file[name].as_u64().unwrap()).sum()
    };
    ["spans", "log_records", "metric_points"].map(sum)
}

#[test]
fn what_is_saved_and_loaded_again_is_the_same() {
    let folder = folder("again");
    let files = telemetry(&folder);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let expected = counted(&files);
    for name in ["all.jsonl", "all.pb", "all.jsonl.zst", "all.pb.gz"] {
        let saved = folder.join(name).to_str().unwrap().to_owned();
        let server = Server::start(&load(files.iter().copied(), &["--save", &saved]));
        assert_eq!(held(&server), expected, "{name}");
        let exported = ["json", "protobuf"]
            .map(|format| server.get(&format!("/api/export?format={format}")).body);
        let (well, log) = server.stop();
        assert!(well && log.contains("saved "), "{log}");
        assert_eq!(counted(&[&saved]), expected, "{name}");
        let again = Server::start(&load([saved.as_str()], &[]));
        assert_eq!(held(&again), expected, "{name}");
        // JSON does not keep the order in which a sender encoded a record's fields.
        let formats = if name.contains(".pb") { &["json", "protobuf"][..] } else { &["json"] };
        for (format, before) in formats.iter().zip(exported) {
            let after = again.get(&format!("/api/export?format={format}")).body;
            assert!(before.len() > 1_000 && after == before, "{name}: {format} is not the same");
        }
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap()).collect();
    assert!(left.iter().all(|file| !file.file_name().to_str().unwrap().starts_with('.')));
}

#[test]
fn a_full_server_comes_back_full() {
    let folder = folder("full");
    let file = shop(&folder);
    let saved = folder.join("state.pb.zst").to_str().unwrap().to_owned();
    let full = ["--traces", "2000", "--logs", "1000", "--metrics", "1000", "--save", &saved];
    let start = |file: &str| Server::start(&[&["--load", file][..], &full].concat());
    let first = start(&file);
    let before = held(&first);
    let export = first.get("/api/export?format=protobuf").body;
    assert!(first.stop().0);
    // The same file is loaded and saved, as a server that is restarted does.
    for _ in 0..2 {
        let again = start(&saved);
        assert_eq!(held(&again), before);
        assert_eq!(again.get("/api/export?format=protobuf").body, export);
        assert!(again.stop().0);
    }
}

#[test]
fn the_first_start_has_nothing_to_load() {
    let folder = folder("first");
    let state = folder.join("state.jsonl").to_str().unwrap().to_owned();
    let server = Server::start(&["--load", &state, "--save", &state]);
    let line = std::fs::read(shop(&folder)).unwrap();
    let line = line.split(|byte| *byte == b'\n').next().unwrap();
    assert_eq!(server.post("/v1/traces", "application/json", line).status, 200);
    let [spans, ..] = held(&server);
    assert!(spans > 0 && server.stop().0);
    let again = Server::start(&["--load", &state, "--save", &state]);
    assert_eq!(held(&again), [spans, 0, 0]);
    // Any other file has to be there.
    let missing = run(&["serve", "--load", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/at/all"));
}

#[test]
fn damage_costs_what_is_damaged_and_is_logged() {
    let folder = folder("damage");
    let file = shop(&folder);
    let mut text = std::fs::read(&file).unwrap();
    text.extend(b"no \x1b[2JJSON\n{\"resourceLogs\":[{\"sco");
    let damaged = folder.join("dam\u{1b}[31maged.jsonl").to_str().unwrap().to_owned();
    std::fs::write(&damaged, &text).unwrap();
    let server = Server::start(&load([damaged.as_str()], &[]));
    assert_eq!(held(&server), counted(&[&file]));
    let (well, log) = server.stop();
    assert!(well, "{log}");
    let output = Command::new(SLIPRING).args(["open", &damaged]).stdout(Stdio::piped()).output_at();
    assert!(output.1.contains("2 lines damaged"), "{output:?}");
    assert!(output.1.contains(r"dam\u{1b}[31maged.jsonl:"), "{output:?}");
    assert!(!output.1.contains('\u{1b}'), "{output:?}");
    assert_eq!(output.2, Some(1), "some of the input was damaged");
}

/// Starts a command that serves until it is stopped; its first line, its messages, its status.
trait OutputAt {
    fn output_at(&mut self) -> (String, String, Option<i32>);
}

impl OutputAt for Command {
    fn output_at(&mut self) -> (String, String, Option<i32>) {
        let mut child = self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.starts_with("http://") {
            let address = line.trim().trim_start_matches("http://").trim_end_matches('/');
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let request = support::request("GET", "/", &[], b"", 0);
            std::io::Write::write_all(&mut stream, &request).unwrap();
            let mut page = Vec::new();
            stream.read_to_end(&mut page).unwrap();
            assert!(String::from_utf8_lossy(&page).contains("<title>"), "the page is there");
        }
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (line, said, child.wait().unwrap().code())
    }
}

#[test]
fn open_serves_the_page_on_files() {
    let folder = folder("open");
    let file = shop(&folder);
    let (line, said, code) = Command::new(SLIPRING).args(["open", &file]).output_at();
    assert!(line.starts_with("http://127.0.0.1:") && line.ends_with("/\n"), "{line}");
    assert!(said.starts_with("read ") && said.contains(" spans, "), "{said}");
    assert_eq!(code, Some(0));
    let missing = run(&["open", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn an_export_has_the_signal_that_is_asked_for() {
    let folder = folder("signals");
    let file = shop(&folder);
    let server = Server::start(&load([file.as_str()], &[]));
    let expected = held(&server);
    for (place, signal) in ["spans", "logs", "metrics"].iter().enumerate() {
        for format in ["json", "protobuf"] {
            let answer = server.get(&format!("/api/export?signal={signal}&format={format}"));
            assert!(answer.head.to_ascii_lowercase().contains("content-disposition: attachment"));
            let part = folder.join(format!("{signal}.{format}"));
            std::fs::write(&part, &answer.body).unwrap();
            let mut alone = [0; 3];
            alone[place] = expected[place];
            assert_eq!(counted(&[part.to_str().unwrap()]), alone, "{signal} in {format}");
        }
    }
    for (wrong, words) in [
        ("signal=span", "give spans, logs or metrics"),
        ("format=xml", "give json or protobuf"),
        ("limit=1", "there is no parameter limit"),
        ("signal=logs&signal=spans", "give it once"),
    ] {
        let answer = server.get(&format!("/api/export?{wrong}"));
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(words), "{answer}");
    }
}

/// A sender can name a metric so that its message reads as a span. It is framed in JSON then, also
/// where it is the first in its file.
#[test]
fn a_metric_that_reads_as_a_span_comes_back_as_a_metric() {
    let folder = folder("disguised");
    let metric = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"0123456789abcdef","description":"01234567","unit":"1","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}"#;
    let saved = folder.join("state.pb").to_str().unwrap().to_owned();
    let server = Server::start(&["--save", &saved]);
    assert_eq!(server.post("/v1/metrics", "application/json", metric.as_bytes()).status, 200);
    assert!(server.stop().0);
    assert_eq!(counted(&[&saved]), [0, 0, 1]);
}

#[test]
fn an_export_takes_little_memory_and_a_lazy_reader_keeps_no_server_up() {
    let folder = folder("lazy");
    let files = telemetry(&folder);
    let server = Server::start(&load(files.iter().map(String::as_str), &[]));
    let before = server.peak_memory();
    let whole = server.get("/api/export").body.len() as u64;
    let grew = server.peak_memory() - before;
    assert!(grew < 48 << 20, "{grew} bytes for an export of {whole}");
    // It reads nothing of its answer.
    let mut lazy = server.connect();
    let request = support::request("GET", "/api/export", &[], b"", 0);
    std::io::Write::write_all(&mut lazy, &request).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(server.stop().0);
}

#[test]
fn where_nothing_can_be_saved_is_said_before_there_is_anything_to_lose() {
    for (path, words) in [("/nowhere/at/all", "nothing can be saved"), ("/", "no plain file")] {
        let output =
            run(&["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--save", path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(words), "{said}");
    }
}
