//! `slipring replay` and `slipring demo`, from outside.

mod support;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use slipring::otlp::{Encoding, Request, encode};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::SLIPRING;

fn run(arguments: &[&str]) -> Output {
    Command::new(SLIPRING).args(arguments).output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = run(&[&["replay", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Where real telemetry is, if it is.
fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("SLIPRING_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!(
            "skipped: there is no {}; set SLIPRING_CORPUS to a folder with otlp/truth.json",
            folder.display()
        );
        return None;
    }
    Some(folder.join("otlp"))
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn demo(name: &str) -> PathBuf {
    let file = folder(name).join("shop.jsonl");
    let output = run(&["demo", "--requests", "100", "--write", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

/// Every number of `truth.json`, read back from the report.
#[test]
fn real_files_are_counted_as_they_were_independently() {
    let Some(folder) = corpus() else { return };
    let truth: Value =
        serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
    for (file, truth) in truth.as_object().unwrap() {
        for ordered in [&["--ordered"][..], &[]] {
            let path = folder.join(file);
            let report = report(&[ordered, &[path.to_str().unwrap()]].concat());
            let (signal, records) = match (&truth["spans"], &truth["logs"], &truth["points"]) {
                (spans, _, _) if spans.is_u64() => ("span", ["spans", "spans"]),
                (_, logs, _) if logs.is_u64() => ("log", ["logs", "log_records"]),
                _ => ("metric", ["points", "metric_points"]),
            };
            assert_eq!(report["files"][0][records[1]], truth[records[0]], "{file}");
            let index = |name: &str| {
                let all = report["indexes"].as_array().unwrap();
                all.iter()
                    .find(|index| index["signal"] == signal && index["index"] == name)
                    .unwrap()
                    .clone()
            };
            for (plural, name) in [("traces", "trace"), ("services", "service"), ("names", "name")]
            {
                if truth[plural].is_u64() {
                    assert_eq!(index(name)["distinct"], truth[plural], "{file}: {plural}");
                }
                let Some(top) = truth[format!("top_{name}")].as_object() else { continue };
                let index = index(name);
                let told = index["top"].as_array().unwrap();
                for (key, count) in top {
                    let found = told.iter().find(|told| told["key"] == key.as_str());
                    assert_eq!(
                        found.map(|told| &told["count"]),
                        Some(count),
                        "{file}: {name} {key}"
                    );
                }
            }
            assert!(
                report["audit"]["in_order"].is_object() && report["conserved"] == true,
                "{file}"
            );
        }
    }
}

#[test]
fn what_a_demo_writes_is_replayed_in_every_form() {
    let plain = demo("forms");
    let text = std::fs::read(&plain).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text).unwrap();
    let packed = plain.with_extension("jsonl.gz");
    std::fs::write(&packed, encoder.finish().unwrap()).unwrap();
    let (mut four, mut varint) = (Vec::new(), Vec::new());
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let request = Request::read_json(line).unwrap();
        let message = [
            encode(&request.spans, Encoding::Protobuf),
            encode(&request.logs, Encoding::Protobuf),
            encode(&request.points, Encoding::Protobuf),
        ]
        .concat();
        four.extend((message.len() as u32).to_be_bytes());
        four.extend(&message);
        let mut length = message.len();
        while length >= 0x80 {
            varint.push(length as u8 | 0x80);
            length >>= 7;
        }
        varint.push(length as u8);
        varint.extend(&message);
    }
    let (fours, varints) = (plain.with_extension("pb4"), plain.with_extension("pb"));
    std::fs::write(&fours, four).unwrap();
    std::fs::write(&varints, varint).unwrap();
    let counts = |report: &Value| {
        let sum = |name: &str| {
            report["files"]
                .as_array()
                .unwrap()
                .iter()
                .map(|file| file[name].as_u64().unwrap())
                .sum::<u64>()
        };
        [sum("spans"), sum("log_records"), sum("metric_points")]
    };
    let expected = counts(&report(&[plain.to_str().unwrap()]));
    assert!(expected.iter().all(|count| *count > 0), "{expected:?}");
    for file in [&packed, &fours, &varints] {
        assert_eq!(counts(&report(&[file.to_str().unwrap()])), expected, "{}", file.display());
    }
    let twice =
        report(&["--loop", "2", "--traces", "100", "--shards", "1", plain.to_str().unwrap()]);
    assert_eq!(counts(&twice), expected.map(|count| 2 * count));
    assert_eq!(twice["stats"]["traces"]["evicted"]["capacity"], 2 * expected[0] - 100);
    let mut child = Command::new(SLIPRING)
        .args(["replay", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(counts(&serde_json::from_slice(&output.stdout).unwrap()), expected);
}

#[test]
fn damage_costs_what_is_damaged_and_is_told() {
    let good = demo("damage");
    let mut text = std::fs::read(&good).unwrap();
    text.extend(b"no JSON\n\n{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]}\n{}\n{\"resourceLogs\":[{\"sco");
    let damaged = good.with_extension("damaged");
    std::fs::write(&damaged, &text).unwrap();
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let output = run(&["replay", "--json", good.to_str().unwrap(), damaged.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [first, second] = &report["files"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(
        (&first["damaged"], &second["damaged"], &second["rejected"]),
        (&0.into(), &2.into(), &1.into())
    );
    assert_eq!(first["spans"], second["spans"]);
    let problems = report["problems"].as_array().unwrap();
    let told: Vec<u64> = problems.iter().map(|problem| problem["line"].as_u64().unwrap()).collect();
    assert_eq!(told, [lines - 3, lines - 1, lines + 1].map(|line| line as u64));
    assert!(problems[1]["what"].as_str().unwrap().contains("traceId has 0 bytes"), "{report}");
    let output = run(&["replay", damaged.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("Damaged or rejected") && text.contains(&format!("damaged:{}: ", lines + 1)),
        "{text}"
    );
}

#[test]
fn the_exit_status_is_the_same_if_nobody_reads_to_the_end() {
    let good = demo("unread");
    let damaged = good.with_extension("damaged");
    std::fs::write(&damaged, "no JSON\n").unwrap();
    for (file, code) in [(&good, 0), (&damaged, 1)] {
        for form in [&["replay"][..], &["replay", "--json"]] {
            let mut child =
                Command::new(SLIPRING).args(form).arg(file).stdout(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            assert_eq!(child.wait().unwrap().code(), Some(code), "{form:?} {}", file.display());
        }
    }
}

#[test]
fn of_more_reasons_than_are_told_the_rest_is_counted() {
    let file = folder("reasons").join("bad.jsonl");
    let spans: Vec<_> =
        (1..=12).map(|bytes| format!("{{\"traceId\":\"{}\"}}", "ab".repeat(bytes % 16))).collect();
    let line = format!(
        "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}\n",
        spans.join(",")
    );
    std::fs::write(&file, line).unwrap();
    let output = run(&["replay", "--json", file.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: u64 = report["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason[1].as_u64().unwrap())
        .sum();
    assert_eq!((told, &report["otherwise_rejected"]), (8, &4.into()), "{report}");
    let output = run(&["replay", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("4  for other reasons"), "{text}");
}

#[test]
fn what_can_not_be_done_is_said() {
    for (arguments, code, words) in [
        (&["replay", "/nowhere/at/all"][..], 3, "No such file"),
        (&["replay", "/"], 3, "is a folder"),
        (&["replay"], 2, "FILE"),
        (&["replay", "--rate", "0", "x"], 2, "0"),
        (&["demo", "nothing"], 2, "seconds above 0"),
        (&["demo", "--write", "/nowhere/at/all"], 3, "No such file"),
        (&["demo", "--traces", "0", "0.1"], 3, "capacity is 0"),
        (&["serve", "--http", "1.2.3.4"], 2, "1.2.3.4"),
        (
            &["serve", "--http", "203.0.113.1:1", "--grpc", "127.0.0.1:0", "--insecure"],
            3,
            "OTLP/HTTP on 203.0.113.1:1",
        ),
        (&[], 2, "Usage"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_demo_ends_in_order() {
    let output = run(&[
        "demo",
        "0.3",
        "--json",
        "--error-share",
        "10",
        "--max-age",
        "60",
        "--max-bytes",
        "50000000",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["stats"]["traces"]["class"]["count"].as_u64() > Some(0), "{report}");
    assert_eq!(report["conserved"], true);
}

#[test]
fn a_demo_counts_what_is_too_large() {
    let output = run(&["demo", "0.3", "--json", "--max-record-bytes", "2000"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["stats"]["traces"]["rejected"]["too_large"].as_u64() > Some(0), "{report}");
    assert_eq!(report["conserved"], true);
}

fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder("forms").join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn spans_in(report: &Value) -> u64 {
    report["files"].as_array().unwrap().iter().map(|file| file["spans"].as_u64().unwrap()).sum()
}

const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a\u001b[2Jb"}}]},
"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"x\u001b]0;owned\u0007\ny"}]}]}]}"#;

#[test]
fn requests_are_read_as_exporters_and_jq_write_them() {
    let request: Value = serde_json::from_str(&SPAN.replace('\n', "")).unwrap();
    // As `jq .` and `jq -c .` have it.
    let (pretty, line) =
        (serde_json::to_string_pretty(&request).unwrap() + "\n", request.to_string() + "\n");
    assert_eq!(spans_in(&report(&[&file("pretty.json", pretty.repeat(3))])), 3);
    assert_eq!(spans_in(&report(&[&file("mixed.json", format!("{line}{{}}\n{pretty}{line}"))])), 3);
    assert_eq!(spans_in(&report(&[&file("empty.jsonl", "{}\n")])), 0);
    let packed = zstd::encode_all(line.repeat(2).as_bytes(), 3).unwrap();
    assert_eq!(spans_in(&report(&[&file("lines.jsonl.zst", packed)])), 2);
    let message = zstd::encode_all(line.as_bytes(), 3).unwrap();
    let framed = [&(message.len() as u32).to_be_bytes()[..], &message].concat();
    assert_eq!(spans_in(&report(&[&file("framed.json", framed.repeat(4))])), 4);
}

#[test]
fn what_senders_wrote_does_not_steer_the_terminal() {
    let path = file("a\u{1b}[31mb.jsonl", SPAN.replace('\n', "") + "\n{\n");
    let output = run(&["replay", &path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    for words in [r"x\u{1b}]0;owned\u{7}\ny", r"a\u{1b}[2Jb", r"a\u{1b}[31mb.jsonl"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let missing = run(&["replay", "no\u{1b}[2Jfile"]);
    assert!(!String::from_utf8(missing.stderr).unwrap().contains('\u{1b}'));
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn equal_problems_are_told_once() {
    let path = file("binary", [&b"\x7fELF\0\0"[..], &b"\xfe\xff\n".repeat(500)].concat());
    let output = run(&["replay", &path]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Damaged or rejected") && !text.contains("Not in order"), "{text}");
    let told = text.lines().filter(|line| line.contains("binary:")).count();
    assert!(told <= 3 && text.contains("like it"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_says_what_memory_was_really_used() {
    let file = demo("memory");
    let report = report(&[file.to_str().unwrap()]);
    let bytes = |name: &str| report["memory"][name].as_u64().unwrap();
    let (now, most) = (bytes("resident_bytes"), bytes("most_resident_bytes"));
    assert!(0 < now && now <= most, "{}", report["memory"]);
    let printed = run(&["replay", file.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("The process took "));
}
