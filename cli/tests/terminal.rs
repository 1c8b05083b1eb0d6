//! Questions from the terminal, of a server and of files; `diff`; completions.

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{SLIPRING, Server};

fn slipring(arguments: &[&str]) -> Command {
    let mut command = Command::new(SLIPRING);
    command.args(arguments).env_remove("SLIPRING_SERVER").env_remove("SLIPRING_TOKEN");
    command
}

fn run(arguments: &[&str]) -> Output {
    slipring(arguments).output().unwrap()
}

/// What a command prints that ends well.
fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terminal").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn shop(name: &str, requests: &str) -> String {
    let file = folder(name).join("shop.jsonl").to_str().unwrap().to_owned();
    printed(&["demo", "--requests", requests, "--write", &file]);
    file
}

fn write(name: &str, content: &str) -> String {
    let path = folder(name).join("some.jsonl");
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A trace whose names would steer a terminal: a root that waits for a failing child, with a log.
const HOSTILE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"front\u001b[2J"}}]},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"root\u001b]0;owned\u0007\n\u202e","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000100000000","kind":2},{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","parentSpanId":"eee19b7ec3c1b174","name":"child","startTimeUnixNano":"1700000000020000000","endTimeUnixNano":"1700000000080000000","status":{"code":2,"message":"no\u001b[31m money"}}]}]}]}
{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"front\u001b[2J"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1700000000050000000","severityNumber":17,"traceId":"5b8efff798038103d269b633813fc60c","body":{"stringValue":"bad\u001b[2J\nthing"},"attributes":[{"key":"a\u001b[1m","value":{"stringValue":"b\u009b1m"}}]}]}]}]}
{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"front\u001b[2J"}}]},"scopeMetrics":[{"metrics":[{"name":"queue\u001b[2J","unit":"1\u001b[2J","gauge":{"dataPoints":[{"timeUnixNano":"1700000000050000000","asInt":"7","attributes":[{"key":"k\u001b[1m","value":{"stringValue":"\u202ev"}}]}]}}]}]}]}
"#;

const ID: &str = "5b8efff798038103d269b633813fc60c";

const COMMANDS: [&[&str]; 6] =
    [&["traces"], &["trace", ID], &["logs"], &["metrics"], &["services"], &["graph"]];

#[test]
fn a_server_and_files_give_the_same_answers() {
    let file = shop("same", "30");
    let room = ["--traces", "50k", "--logs", "50k", "--metrics", "50k", "--load", &file];
    let server = Server::start(&room);
    let at = server.http.to_string();
    for command in
        [&["traces", "--limit", "5"][..], &["logs", "limit=7"], &["metrics"], &["services"]]
    {
        let of_server = printed(&[command, &["--server", &at]].concat());
        let of_file = printed(&[command, &["--file", &file]].concat());
        assert!(of_server.lines().count() > 4, "{command:?}: {of_server}");
        assert_eq!(of_server, of_file, "{command:?}");
        assert!(!of_server.contains('\u{1b}'), "there are no colours in a pipe");
    }
    // The API's own answer, as it is.
    let json = printed(&["services", "--json", "--server", &at]);
    assert_eq!(json.trim_end(), server.get("/api/services").text());
    let by_variable = slipring(&["services", "--json"])
        .env("SLIPRING_SERVER", format!("http://{at}/"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(by_variable.stdout).unwrap(), json);
    // Flags and parameters are the same conditions.
    let by_flags = ["--service", "cart", "--since", "1h", "--limit", "3", "--json"];
    let by_names = ["service=cart", "since=1h", "limit=3", "--json"];
    let ids = |flags: &[&str]| {
        let answer = printed(&[&["traces", "--file", &file], flags].concat());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let traces = answer["traces"].as_array().unwrap();
        assert!(!traces.is_empty(), "{answer}");
        traces.iter().map(|trace| trace["trace_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&by_flags), ids(&by_names));
}

#[test]
fn a_trace_is_a_waterfall() {
    let file = write("waterfall", HOSTILE);
    let text = printed(&["trace", ID, "--file", &file]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(r"front\u{1b}[2J root"), "{text}");
    assert!(text.contains("100.0 ms, 2 spans of 1 service, 1 failed"), "{text}");
    let row = |name: &str| {
        let is_row = |line: &&&str| line.contains(name) && line.contains(" ms");
        lines.iter().find(is_row).unwrap_or_else(|| panic!("{name}: {text}")).to_string()
    };
    let bar =
        |line: &str| -> String { line.chars().filter(|one| "█░".contains(*one)).collect() };
    let (root, child) = (row("root"), row("child"));
    assert!(child.starts_with("  front"), "it is indented: {text}");
    // The root waits for its child in the middle of its time, so that is light in its own bar.
    let [of_root, of_child] = [&root, &child].map(|row| bar(row));
    assert!(of_root.starts_with('█') && of_root.contains('░') && of_root.ends_with('█'), "{text}");
    assert!(of_child.chars().all(|one| one == '█'), "{text}");
    let share = of_child.chars().count() as f64 / of_root.chars().count() as f64;
    assert!((share - 0.6).abs() < 0.05, "{share}: {text}");
    assert!(
        root.ends_with("100.0 ms    40.0 ms") && child.ends_with("60.0 ms    60.0 ms"),
        "{text}"
    );
    assert!(text.contains(r"! no\u{1b}[31m money"), "{text}");
    assert!(text.contains("Critical path") && text.contains("60 %"), "{text}");
    assert!(text.contains("ERROR") && text.contains(r"bad\u{1b}[2J\nthing"), "{text}");
}

#[test]
fn what_senders_wrote_does_not_steer_the_terminal() {
    let file = write("hostile", HOSTILE);
    for command in COMMANDS {
        let text = printed(&[command, &["--file", &file]].concat());
        let steers = |one: char| one != '\n' && (one.is_control() || one == '\u{202e}');
        assert!(!text.chars().any(steers), "{command:?}: {text:?}");
        assert!(text.contains(r"\u{1b}[2J"), "{command:?}: {text}");
    }
}

#[test]
fn errors_say_what_to_do() {
    let file = write("errors", HOSTILE);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = nobody.to_string();
    for (arguments, code, words) in [
        (&["traces", "--server", &nobody][..], 3, "start one with `slipring serve`"),
        (&["tail", "--server", &nobody], 3, "no server answers at http://127.0.0.1:"),
        (
            &["trace", "5b8efff798038103d269b633813fc60d", "--file", &file],
            3,
            "nothing is here of trace",
        ),
        (&["trace", "no id", "--file", &file], 3, "id"),
        (&["trace", "../stats", "--file", &file], 3, "id"),
        (&["logs", "color=red", "--file", &file], 3, "there is no parameter color"),
        (&["logs", "--since", "yesterday", "--file", &file], 3, "how long ago"),
        (&["logs", "some.jsonl", "--file", &file], 2, "a further file takes a --file of its own"),
        (&["logs", "--file", "/nowhere/at/all"], 3, "No such file"),
        (&["tail", "--file", &file], 3, "nothing comes into a file"),
        (&["logs", "--server", "https://x"], 2, "TLS"),
        (&["trace"], 2, "ID"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // Damage is told, and the rest is shown.
    let damaged = write("damaged", &format!("{HOSTILE}no JSON\n"));
    let output = run(&["services", "--file", &damaged]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("some.jsonl:4: "));
    assert!(String::from_utf8_lossy(&output.stdout).contains("front"));
}

#[test]
fn who_reads_no_further_is_no_error() {
    let file = shop("head", "30");
    for command in
        [&["logs", "--limit", "1000"][..], &["metrics", "--json"], &["completions", "bash"]]
    {
        let of_file = if command[0] == "completions" { &[][..] } else { &["--file", &file] };
        let mut child = slipring(&[command, of_file].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
    }
}

#[test]
fn a_tail_shows_what_comes_in() {
    let server = Server::start(&[]);
    let at = server.http.to_string();
    let lines: Vec<&str> = HOSTILE.lines().collect();
    for (signal, path, line, words) in [
        ("spans", "/v1/traces", lines[0], "child"),
        ("logs", "/v1/logs", lines[1], r"bad\u{1b}[2J\nthing"),
        ("metrics", "/v1/metrics", lines[2], "queue"),
    ] {
        let mut child = slipring(&["tail", signal, "--server", &at, "service~=front*"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shown = BufReader::new(child.stdout.take().unwrap());
        // The tail has begun when what comes in is shown; until then it comes in again.
        let (sender, receiver) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            while !text.contains(words) && shown.read_line(&mut text).unwrap() > 0 {}
            sender.send(()).unwrap();
            (text, shown)
        });
        for _ in 0..100 {
            server.post(path, "application/json", line.as_bytes());
            if receiver.recv_timeout(std::time::Duration::from_millis(300)).is_ok() {
                break;
            }
        }
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(child.wait().unwrap().success(), "Ctrl-C is how a tail ends");
        let (mut text, mut rest) = reading.join().unwrap();
        rest.read_to_string(&mut text).unwrap();
        assert!(text.contains(words) && !text.contains('\u{1b}'), "{signal}: {text:?}");
    }
}

#[test]
fn a_diff_tells_what_got_worse() {
    let span = |number: u64, name: &str, nanos: u64, failed: bool| {
        let status = if failed { r#","status":{"code":2}"# } else { "" };
        let start = 1_700_000_000_000_000_000_u64;
        format!(
            r#"{{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"{number:016x}","name":"{name}","startTimeUnixNano":"{start}","endTimeUnixNano":"{}"{status}}}"#,
            start + nanos
        )
    };
    let run_of = |file: &str, slow: u64, fails: bool, other: &str| {
        let each = |number: u64| {
            let noise = number * 10_000;
            [
                span(4 * number + 1, "GET /cart", slow + noise, false),
                span(4 * number + 2, "GET /", 5_000_000 + noise, false),
                span(
                    4 * number + 3,
                    "POST /pay",
                    9_000_000 + noise,
                    fails && number.is_multiple_of(4),
                ),
                span(4 * number + 4, other, 1_000_000, false),
            ]
            .join(",")
        };
        let spans: Vec<_> = (0..50).map(each).collect();
        let resource = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop\u001b[2J"}}]}"#;
        let text = format!(
            "{{\"resourceSpans\":[{{{resource},\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}\n",
            spans.join(",")
        );
        write(file, &text)
    };
    let before = run_of("before", 2_000_000, false, "old");
    let after = run_of("after", 4_000_000, true, "new");
    let text = printed(&["diff", &before, &after]);
    let lines: Vec<&str> = text.lines().collect();
    for (at, words) in [
        (1, &["fails more", "POST /pay", "0 % → 26 %"][..]),
        (2, &["slower", "GET /cart", r"shop\u{1b}[2J", "2.2 ms → 4.2 ms"]),
        (3, &["appeared", "new"]),
        (4, &["vanished", "old"]),
        (6, &["5 operations: 1 fails more, 1 slower, 1 appeared, 1 vanished"]),
    ] {
        assert!(words.iter().all(|word| lines[at].contains(word)), "{at} {words:?}: {text}");
    }
    assert!(!text.contains("GET / ") && !text.contains('\u{1b}'), "{text}");
    let report: Value =
        serde_json::from_str(&printed(&["diff", "--json", &before, &after])).unwrap();
    assert_eq!((&report["operations"], &report["unchanged"]), (&5.into(), &1.into()), "{report}");
    assert_eq!(report["changed"][1]["changes"], serde_json::json!(["slower"]));
    assert_eq!(report["changed"][1]["before"]["spans"], 50);
    assert_eq!(run(&["diff", "--check", &before, &after]).status.code(), Some(1));
    assert_eq!(run(&["diff", "--check", &after, &after]).status.code(), Some(0));
    assert!(printed(&["diff", &before, &before]).contains("4 operations: nothing has changed"));
    // A running server is a run, too.
    let server = Server::start(&["--load", &after]);
    let at = format!("http://{}", server.http);
    assert!(printed(&["diff", &after, &at]).contains("nothing has changed"));
    assert!(printed(&["diff", &before, &at]).contains("slower"));
    let gone = run(&["diff", &before, "http://127.0.0.1:9"]);
    assert_eq!(gone.status.code(), Some(3));
}

#[test]
fn shells_can_complete() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("slipring") && script.contains("completions"), "{shell}");
    }
    let output = run(&["completions", "cmd"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn each_command_has_an_example() {
    for command in [
        "traces",
        "trace",
        "logs",
        "metrics",
        "services",
        "graph",
        "tail",
        "diff",
        "open",
        "completions",
    ] {
        let help = printed(&[command, "--help"]);
        assert!(help.contains(&format!("Example: slipring {command}")), "{help}");
    }
}
