//! Answers of `/api` that reach back into the history's files, and what they say of that.

mod support;

use serde_json::{Value, json};
use slipring::otlp::{Encoding, Exported, encode};
use slipring::span::StatusCode;
use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::Server;

const BEGAN: u64 = 1_769_860_800_000_000_000;
const MINUTE: u64 = 60_000_000_000;
const SPANS: u64 = 1_000;

fn source(service: &str) -> Source {
    Source::new(&Resource::new([("service.name", service)]), &Scope::default())
}

/// A span a minute, of ten to a trace and two services. Each tenth has failed.
fn span(id: u64) -> Span {
    let at = BEGAN + id * MINUTE;
    let span = Span::builder().source(&source(if id.is_multiple_of(2) { "cart" } else { "shop" }));
    let span = span.trace_id(u128::from((id - 1) / 10 + 1)).span_id(id).name("GET /");
    let status = if id.is_multiple_of(10) { StatusCode::Error } else { StatusCode::Unset };
    let span = span.parent_span_id((id % 10 != 1).then(|| ((id - 1) / 10 * 10 + 1).into()));
    span.start_unix_nanos(at).end_unix_nanos(at + id).status(status, "").build()
}

fn log(id: u64) -> LogRecord {
    let log = LogRecord::builder().source(&source("cart")).time_unix_nanos(BEGAN + id * MINUTE);
    let body = format!("log {}", id % 7);
    log.trace_id(u128::from((id - 1) / 10 + 1)).body(&body).build()
}

fn point(id: u64) -> MetricPoint {
    let point = MetricPoint::builder().source(&source("cart")).value(id as i64);
    point.time_unix_nanos(BEGAN + id * MINUTE).build()
}

fn send<T: Exported>(server: &Server, path: &str, records: &[T]) {
    for some in records.chunks(250) {
        let body = encode(some, Encoding::Protobuf);
        let answer = server.post(path, "application/x-protobuf", &body);
        assert_eq!(answer.status, 200, "{answer}");
    }
}

/// Stores of a hundred records each.
const SMALL: [&str; 8] = ["--traces", "100", "--logs", "100", "--metrics", "100", "--shards", "1"];

/// A server that was sent a thousand records of each signal, of which most are in files.
fn server(folder: &Path, more: &[&str]) -> Server {
    let flags = ["--history", folder.to_str().unwrap(), "--history-wait", "10ms"];
    let server = Server::start(&[&flags[..], &SMALL, more].concat());
    fill(&server);
    // What the stores hold stays there; all that was evicted is in files.
    while written(&server) + 400 < 3 * SPANS || waiting(&server) > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    server
}

fn fill(server: &Server) {
    send(server, "/v1/traces", &(1..=SPANS).map(span).collect::<Vec<_>>());
    send(server, "/v1/logs", &(1..=SPANS).map(log).collect::<Vec<_>>());
    send(server, "/v1/metrics", &(1..=SPANS).map(point).collect::<Vec<_>>());
}

fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"))
}

fn written(server: &Server) -> u64 {
    number(&server.ask("/api/stats")["history"], "written")
}

fn waiting(server: &Server) -> u64 {
    let history = server.ask("/api/stats")["history"].clone();
    number(&history, "held") + number(&history, "queued")
}

fn ids(page: &Value) -> Vec<u64> {
    let spans = page["spans"].as_array().unwrap_or_else(|| panic!("{page}"));
    let id = |span: &Value| u64::from_str_radix(span["span_id"].as_str().unwrap(), 16).unwrap();
    spans.iter().map(id).collect()
}

/// Asks page after page.
fn pages(server: &Server, question: &str) -> (Vec<u64>, Vec<Value>) {
    let (mut all, mut reports, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = server.ask(&format!("{question}{after}"));
        all.extend(ids(&page));
        reports.push(page["report"].clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (all, reports),
        }
    }
}

#[test]
fn pages_have_each_record_once_over_memory_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    for (order, is_up) in
        [("latest", false), ("newest", false), ("earliest", true), ("oldest", true)]
    {
        let (mut all, reports) =
            pages(&server, &format!("/api/spans?history=true&limit=300&order={order}"));
        if !is_up {
            all.reverse();
        }
        assert!(all.into_iter().eq(1..=SPANS), "{order}");
        let of = |name: &str| reports.iter().map(|one| number(&one["history"], name)).sum::<u64>();
        assert_eq!(of("from_memory") + of("from_files"), SPANS);
        assert!((90..=100).contains(&of("from_memory")), "{reports:?}");
        for report in &reports {
            let history = &report["history"];
            assert_eq!((&history["asked"], &history["complete"]), (&json!(true), &json!(true)));
            assert_eq!(report["partial"], json!(false));
        }
    }
    // Conditions hold for files as for memory.
    let question = "/api/spans?history=true&limit=50&service=cart&status=error&min_duration=500ns";
    let (found, _) = pages(&server, question);
    let mut expected: Vec<u64> = (500..=SPANS).filter(|id| id.is_multiple_of(10)).collect();
    expected.reverse();
    assert_eq!(found, expected);
    let otlp = server.get("/api/spans?history=true&limit=1000&format=otlp").text();
    assert_eq!(otlp.matches("\"spanId\"").count(), SPANS as usize);
    // Without the parameter, memory alone is asked.
    let plain = server.ask("/api/spans?limit=1000");
    assert!(ids(&plain).len() <= 100 && plain["report"].get("history").is_none());
}

#[test]
fn the_report_says_what_was_read_and_little_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let of = |question: &str| {
        let told = server.ask(question);
        (ids(&told).len(), told["report"]["history"].clone())
    };
    let (all, whole) = of("/api/spans?history=true&limit=1000");
    assert_eq!(all, SPANS as usize);
    let (since, until) = (BEGAN + 100 * MINUTE, BEGAN + 109 * MINUTE);
    let (some, part) = of(&format!("/api/spans?since={since}&until={until}"));
    assert_eq!(some, 10, "{part}");
    assert!(number(&part, "files_opened") < number(&part, "files_listed") / 4, "{part}");
    assert!(number(&part, "bytes_read") < number(&whole, "bytes_read") / 4, "{part} of {whole}");
    // The latest page needs the latest files alone.
    let (few, first) = of("/api/spans?history=true&limit=120");
    assert_eq!(few, 120);
    assert!(number(&first, "files_opened") < number(&whole, "files_opened") / 2, "{first}");
    let (trace, read) = of("/api/spans?history=true&trace=7");
    assert_eq!(trace, 10);
    assert!(number(&read, "row_groups_read") < number(&read, "row_groups"), "{read}");
    assert!(whole["memory_since"].as_str().unwrap().starts_with("2026-"), "{whole}");
}

#[test]
fn counts_and_groups_reach_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    for signal in ["spans", "logs", "metrics"] {
        let told = server.ask(&format!("/api/count/{signal}?history=true"));
        assert_eq!(told["count"], json!(SPANS), "{told}");
        let history = &told["history"];
        assert_eq!(number(history, "from_memory") + number(history, "from_files"), SPANS);
        assert_eq!((&history["each_once"], &history["complete"]), (&json!(true), &json!(true)));
    }
    let told = server.ask("/api/group/spans?history=true&by=service&by=status");
    let groups = told["groups"].as_array().unwrap();
    let count = |service: &str, status: &str| {
        let key = json!({ "service": service, "status": status });
        groups.iter().find(|group| group["key"] == key).map_or(0, |group| number(group, "count"))
    };
    assert_eq!(
        (count("cart", "error"), count("cart", "unset"), count("shop", "unset")),
        (100, 400, 500)
    );
    let logs = server.ask("/api/group/logs?history=true&by=body");
    let sum: u64 = logs["groups"].as_array().unwrap().iter().map(|one| number(one, "count")).sum();
    assert_eq!(sum, SPANS, "equal bodies differ in their time");
    let since = BEGAN + 500 * MINUTE;
    let told = server.ask(&format!("/api/count/logs?since={since}&severity!=error"));
    assert_eq!((&told["count"], &told["history"]["asked"]), (&json!(501), &json!(true)), "{told}");
}

#[test]
fn traces_are_whole_in_lists_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let told = server.ask("/api/traces?history=true&status=error&limit=1000");
    let traces = told["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 100, "{told}");
    assert!(traces.iter().all(|trace| trace["spans"] == json!(10)), "{told}");
    let history = &told["report"]["history"];
    assert_eq!(number(history, "from_memory") + number(history, "from_files"), SPANS);
    let newest = server.ask("/api/traces?history=true&limit=15");
    let starts: Vec<&str> = newest["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["start"].as_str().unwrap())
        .collect();
    assert!(starts.len() == 15 && starts.is_sorted_by(|one, other| one > other), "{starts:?}");
    assert_eq!(newest["more"], json!(true));
    let told = server.ask("/api/traces?history=true&order=slowest&limit=3&root_service=shop");
    assert_eq!(told["traces"].as_array().unwrap().len(), 3, "{told}");
    let (since, until) = (BEGAN, BEGAN + 30 * MINUTE);
    let old = server.ask(&format!("/api/traces?since={since}&until={until}"));
    assert_eq!(old["traces"].as_array().unwrap().len(), 3, "{old}");

    let alone = server.ask("/api/traces/7?history=true");
    assert_eq!(alone["spans"].as_array().unwrap().len(), 10);
    assert_eq!((&alone["history"]["spans"], &alone["history"]["logs"]), (&json!(10), &json!(10)));
    assert_eq!(alone["duplicates"], json!(0));
    let hint = server.get("/api/traces/7");
    assert!(hint.status == 404 && hint.text().contains("history=true looks in files"), "{hint}");
}

#[test]
fn a_list_of_traces_that_leaves_some_out_says_so_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let of = |question: &str| {
        let told = server.ask(&format!("/api/traces?history=true&limit=3{question}"));
        let report = &told["report"];
        assert_eq!(report["cut"], json!(false), "nothing was evicted meanwhile: {told}");
        let history = &report["history"];
        let said = history["cut"].as_str().unwrap_or_default().to_owned();
        let is_complete = history["complete"] == json!(true);
        (told["traces"].as_array().unwrap().len(), is_complete, said)
    };
    assert_eq!(of(""), (3, true, String::new()));
    for question in ["&order=slowest", "&root_service=nobody"] {
        let (_, is_complete, said) = of(question);
        assert!(!is_complete && said.contains("raise limit"), "{question}: {said}");
    }
}

#[test]
fn what_was_delivered_twice_is_told_with_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let twice = [span(2_001), span(2_002), span(2_002)];
    send(&server, "/v1/traces", &twice);
    for question in ["", "?history=true"] {
        let told = server.ask(&format!("/api/traces/{:x}{question}", 201));
        assert_eq!((&told["duplicates"], &told["partial"]), (&json!(1), &json!(false)), "{told}");
    }
}

#[test]
fn what_waits_for_its_file_makes_an_answer_partial() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--history", folder.path().to_str().unwrap(), "--history-wait", "1h"];
    let server = Server::start(&[&flags[..], &SMALL].concat());
    fill(&server);
    // The oldest trace that memory has any of has lost some of its spans.
    send(&server, "/v1/traces", &[span(2_001), span(2_002), span(2_003)]);
    let oldest = server.ask("/api/spans?order=oldest&limit=1")["spans"][0]["trace_id"].clone();
    let oldest = oldest.as_str().unwrap();
    let page = server.ask(&format!("/api/spans?history=true&trace={oldest}"));
    let trace = server.ask(&format!("/api/traces/{oldest}?history=true"));
    for (history, partial) in [
        (&page["report"]["history"], &page["report"]["partial"]),
        (&trace["history"], &trace["partial"]),
    ] {
        assert!(number(history, "waiting") > 0, "{history}");
        assert_eq!((&history["complete"], partial), (&json!(true), &json!(true)), "{history}");
    }
}

#[test]
fn times_that_are_over_are_said_to_be_without_files() {
    let server = Server::start(&SMALL);
    // Nothing has left yet, so an empty answer is the truth.
    let before = server.ask(&format!("/api/spans?until={BEGAN}"));
    assert_eq!((ids(&before).len(), before["report"].get("history")), (0, None));
    fill(&server);
    let (early, later) = (BEGAN + MINUTE, BEGAN + 20 * MINUTE);
    for question in ["spans", "logs", "metrics", "count/spans", "group/logs", "traces"] {
        let by = if question.starts_with("group") { "&by=service" } else { "" };
        let gone = server.get(&format!("/api/{question}?since={early}&until={later}{by}"));
        assert!(gone.status == 410, "{question}: {gone}");
        let said = gone.text();
        assert!(said.contains("these times are over: memory holds"), "{said}");
        assert!(said.contains("start the program with --history"), "{said}");
    }
    let document = server.ask("/api/openapi.json");
    let paths = document["paths"].as_object().unwrap().iter();
    let may_be_gone = paths.filter(|(_, one)| one["get"]["responses"]["410"].is_object());
    let may_be_gone: BTreeSet<&str> = may_be_gone.map(|(path, _)| path.as_str()).collect();
    let records = ["", "count/", "group/"];
    let records = records
        .iter()
        .flat_map(|of| ["spans", "logs", "metrics"].map(|one| format!("/api/{of}{one}")));
    let expected: Vec<String> = records.chain(["/api/traces".to_owned()]).collect();
    assert_eq!(may_be_gone, expected.iter().map(String::as_str).collect());
    let some = server.ask(&format!("/api/spans?since={early}"));
    assert!(ids(&some).len() >= 90);
    let history = &some["report"]["history"];
    assert_eq!(history["asked"], json!(false), "{some}");
    assert!(history["why_not"].as_str().unwrap().contains("older ones were evicted"), "{some}");
    let new = server.ask(&format!("/api/spans?since={}", BEGAN + SPANS * MINUTE));
    assert!(ids(&new).len() <= 1 && new["report"].get("history").is_none(), "{new}");
    let none = server.get("/api/spans?history=true");
    assert!(
        none.status == 400 && none.text().contains("start the program with --history"),
        "{none}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let moment = server.ask("/api/moment")["moment"].as_str().unwrap().to_owned();
    let next = server.ask("/api/spans?limit=5")["next"].as_str().unwrap().to_owned();
    for (question, said) in [
        ("history=perhaps".to_owned(), "give true or false"),
        (format!("history=true&moment={moment}"), "leave one of them out"),
        (format!("history=true&after={next}"), "begin with the first page"),
    ] {
        let refused = server.get(&format!("/api/spans?{question}"));
        assert!(refused.status == 400 && refused.text().contains(said), "{question}: {refused}");
    }
    let (since, until) = (BEGAN, BEGAN + 9 * MINUTE);
    let gone = server.get(&format!("/api/spans?since={since}&until={until}&history=false"));
    assert!(gone.status == 410 && gone.text().contains("history=false leaves files out"), "{gone}");
    // A page without files goes on without them, and one with files with them.
    let on = server.ask(&format!("/api/spans?limit=5&after={next}"));
    assert_eq!((ids(&on).len(), on["report"].get("history")), (5, None));
    let first = server.ask("/api/spans?history=true&limit=400");
    let next = first["next"].as_str().unwrap();
    let second = server.ask(&format!("/api/spans?limit=400&after={next}"));
    assert_eq!((ids(&second).len(), &second["report"]["history"]["asked"]), (400, &json!(true)));
}

#[test]
fn kept_traces_are_asked_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let config: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("past.toml");
    let rule = "quiet = \"20ms\"\n[[policy]]\nname = \"errors\"\nrule = \"error\"\n";
    std::fs::write(&config, rule).unwrap();
    let server = server(folder.path(), &["--keep", config.to_str().unwrap()]);
    while server.ask("/api/stats")["kept"]["traces"].as_u64().unwrap_or(0) < 100 {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Each trace has failed, so that it is kept, and its spans are in files too.
    let (all, reports) = pages(&server, "/api/spans?history=true&limit=400");
    assert_eq!(all.len() as u64, SPANS, "each once");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (1..=SPANS).collect());
    let of = |name: &str| reports.iter().map(|one| number(&one["history"], name)).sum::<u64>();
    assert!(of("from_kept") >= 900 && of("from_files") == 0, "{reports:?}");
    let told = server.ask("/api/count/spans?history=true");
    assert_eq!(told["count"], json!(SPANS), "{told}");
    let told = server.ask("/api/traces/7?history=true");
    assert_eq!(
        (&told["history"]["spans"], told["spans"].as_array().unwrap().len()),
        (&json!(0), 10)
    );
    assert_eq!(told["kept"]["policy"], json!("errors"), "{told}");
    let told = server.ask("/api/traces?history=true&limit=1000");
    assert_eq!(told["traces"].as_array().unwrap().len(), 100, "{told}");
    let without = server.ask("/api/spans?history=true&kept=no&limit=1000")["report"].clone();
    assert!(number(&without["history"], "from_files") >= 900, "{without}");
}

#[test]
fn records_that_leave_while_they_are_asked_for_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--history", folder.path().to_str().unwrap(), "--history-wait", "100ms"];
    let server = Server::start(&[&flags[..], &SMALL].concat());
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let quick = |id: u64| {
                let span = Span::builder().trace_id(7).span_id(id).name("GET /");
                span.start_unix_nanos(BEGAN + id).end_unix_nanos(BEGAN + id + 5).build()
            };
            for some in (1..=2_000).collect::<Vec<u64>>().chunks(20) {
                send(&server, "/v1/traces", &some.iter().copied().map(quick).collect::<Vec<_>>());
            }
        });
        while !sending.is_finished() {
            let page = server.ask("/api/spans?history=true&limit=10000");
            let found = ids(&page);
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "each once");
        }
    });
    while waiting(&server) > 0 || written(&server) < 1_900 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = server.ask("/api/count/spans?history=true");
    assert_eq!(
        (&told["count"], &told["history"]["complete"]),
        (&json!(2_000), &json!(true)),
        "{told}"
    );
}
