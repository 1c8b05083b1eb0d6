//! `slipring serve --keep`: kept traces stay whole when the stores have evicted their records.

mod support;

use serde_json::Value;
use slipring::metric::{Exemplar, Metric, MetricKind, Number};
use slipring::otlp::{Encoding, Exported, Kind, Request, encode};
use slipring::span::{SpanKind, StatusCode};
use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span, SpanId, TraceId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::{SLIPRING, Server};

const PROTOBUF: &str = "application/x-protobuf";

const CONFIG: &str = r#"
quiet = "20ms"

[[policy]]
name = "errors"
rule = "error"
"#;

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A server that holds a hundred records of each signal.
fn start(name: &str, config: &str, more: &[&str]) -> Server {
    let file = file(name, config);
    let small = ["--traces", "100", "--logs", "100", "--metrics", "100", "--shards", "1"];
    Server::start(&[&small[..], &["--keep", file.to_str().unwrap()], more].concat())
}

fn source() -> Source {
    Source::new(&Resource::new([("service.name", "cart")]), &Scope::default())
}

const BEGAN: u64 = 1_769_860_800_000_000_000;

fn span(trace: u128, id: u64) -> Span {
    let at = BEGAN + trace as u64 * 1_000_000 + id * 1_000;
    Span::builder()
        .source(&source())
        .trace_id(trace)
        .span_id(id)
        .parent_span_id((id > 1).then_some(SpanId::from(1)))
        .name(format!("step {id}"))
        .start_unix_nanos(at)
        .end_unix_nanos(at + 500)
        .status(if trace < 10 && id == 2 { StatusCode::Error } else { StatusCode::Unset }, "")
        .build()
}

fn log(trace: u128, number: u64) -> LogRecord {
    let body = format!("log {number}");
    let log = LogRecord::builder().source(&source()).trace_id(trace).body(&*body);
    log.time_unix_nanos(BEGAN + number).build()
}

fn point(trace: u128) -> MetricPoint {
    let exemplar = Exemplar {
        trace_id: Some(TraceId::from(trace)),
        value: Some(Number::Int(7)),
        ..Exemplar::default()
    };
    let metric = source().with_metric(&Metric::new("sold", MetricKind::Gauge));
    MetricPoint::builder().source(&metric).value(trace as i64).exemplar(&exemplar).build()
}

fn send<T: Exported>(server: &Server, path: &str, records: &[T]) {
    let answer = server.post(path, PROTOBUF, &encode(records, Encoding::Protobuf));
    assert_eq!(answer.status, 200, "{answer}");
}

fn send_spans(server: &Server, trace: u128, ids: std::ops::RangeInclusive<u64>) {
    send(server, "/v1/traces", &ids.map(|id| span(trace, id)).collect::<Vec<_>>());
}

/// Waits until `/metrics` says so.
fn wait_for(server: &Server, figure: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let figures = server.get("/metrics").text();
        if figures.lines().any(|line| line == figure) {
            return;
        }
        assert!(Instant::now() < deadline, "not {figure}:\n{figures}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fills the stores with other records.
fn flood(server: &Server) {
    for trace in [1_000, 2_000] {
        send(server, "/v1/traces", &(0..100).map(|one| span(trace + one, 1)).collect::<Vec<_>>());
        let logs: Vec<_> = (0..100).map(|one| log(trace, 1_000_000 + one)).collect();
        send(server, "/v1/logs", &logs);
        let points: Vec<_> = (0..100).map(|one| point(trace + one)).collect();
        send(server, "/v1/metrics", &points);
    }
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap_or_else(|| panic!("{list}")).len()
}

const SEVEN: &str = "00000000000000000000000000000007";

/// A server with a kept trace of five spans, two log records and an exemplar.
fn with_seven(name: &str, more: &[&str]) -> Server {
    let server = start(name, CONFIG, more);
    send(&server, "/v1/logs", &[log(7, 1), log(7, 2)]);
    send(&server, "/v1/metrics", &[point(7)]);
    send_spans(&server, 7, 1..=5);
    wait_for(&server, "slipring_kept_records{signal=\"metric\"} 1");
    server
}

#[test]
fn a_kept_trace_is_answered_whole_after_the_stores_have_evicted_it() {
    let server = with_seven("whole.toml", &[]);
    let path = format!("/api/traces/{SEVEN}");
    let before = server.ask(&path);
    assert_eq!(before["kept"]["policy"], "errors");
    assert_eq!(before["kept"]["spans"], 0, "the store has them all");
    flood(&server);
    assert_eq!(server.ask(&format!("/api/count/spans?trace={SEVEN}&kept=no"))["count"], 0);
    let mut after = server.ask(&path);
    for (what, number) in [("spans", 5), ("logs", 2), ("exemplars", 1)] {
        assert_eq!(count(&after[what]), number, "{after}");
    }
    for (what, number) in [("spans", 5), ("logs", 2), ("points", 1), ("refused", 0)] {
        assert_eq!(after["kept"][what], number, "{after}");
    }
    after["kept"] = before["kept"].clone();
    after["summary"]["kept"] = before["summary"]["kept"].clone();
    assert_eq!(after, before, "beside that, it is the same answer");

    // Later ones follow, and stand in the store as well.
    send_spans(&server, 7, 6..=6);
    send(&server, "/v1/logs", &[log(7, 3)]);
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 6");
    wait_for(&server, "slipring_kept_records{signal=\"log\"} 3");
    let late = server.ask(&path);
    assert_eq!((count(&late["spans"]), count(&late["logs"])), (6, 3));
    assert_eq!((&late["kept"]["spans"], &late["kept"]["logs"]), (&5.into(), &2.into()));
    assert_eq!((&late["duplicates"], &late["partial"]), (&0.into(), &false.into()));
    assert_eq!(server.get(&format!("/api/traces/{:032x}", 1_000)).status, 404);

    let stats = server.ask("/api/stats");
    assert_eq!(
        (&stats["kept"]["traces"], &stats["kept"]["records"]["spans"]),
        (&1.into(), &6.into())
    );
    assert_eq!(stats["kept"]["policies"][0]["kept"]["traces"], 1);
    assert!(stats["traces"]["span_count"].is_u64(), "{stats}");
}

#[test]
fn jaegers_api_shows_a_kept_trace() {
    let server = with_seven("jaeger.toml", &["--jaeger", "127.0.0.1:0"]);
    flood(&server);
    let older = support::jaeger::ask(&server, &format!("/api/traces/{SEVEN}"));
    assert_eq!(count(&older["data"][0]["spans"]), 5, "{older}");
    let v3 = support::jaeger::ask(&server, &format!("/api/v3/traces/{SEVEN}"));
    let spans = &v3["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(count(spans), 5, "{v3}");

    let search = "/api/traces?start=1&service=cart&tags=%7B%22error%22:%22true%22%7D";
    let found = support::jaeger::ask(&server, search);
    assert_eq!(count(&found["data"]), 1, "{found}");
    assert_eq!(
        (count(&found["data"][0]["spans"]), &found["data"][0]["warnings"]),
        (5, &Value::Null)
    );
}

#[test]
fn lists_of_traces_have_each_kept_trace_once_and_whole() {
    let server = with_seven("lists.toml", &[]);
    let ids = |query: &str| -> Vec<u64> {
        let answer = server.ask(&format!("/api/traces?{query}"));
        let id =
            |trace: &Value| u64::from_str_radix(trace["trace_id"].as_str().unwrap(), 16).unwrap();
        answer["traces"].as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(ids(""), [7], "it is in the store and kept");
    flood(&server);
    send_spans(&server, 7, 6..=6);
    assert_eq!(ids("status=error"), [7], "by a span that is only kept");
    assert_eq!(ids("name=step%206"), [7], "by a span that the store has");
    assert_eq!(ids("name=step%201&order=slowest&limit=1"), [7], "by the duration of all spans");
    assert_eq!(ids("root_name=step%201&at_least=5us"), [7]);
    assert_eq!(ids("status=error&root_name=step%202"), [0; 0]);
    let all = ids("limit=1000");
    let distinct: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (100, 100), "99 of the flood, and the kept one");
    assert!(all.is_sorted_by(|one, next| one > next), "by their start, newest first: {all:?}");

    let answer = server.ask("/api/traces?status=error");
    assert_eq!(answer["report"]["from_kept"], 5);
    let trace = &answer["traces"][0];
    assert_eq!((&trace["spans"], &trace["errors"]), (&6.into(), &1.into()));
    assert_eq!((&trace["kept"]["policy"], &trace["partial"]), (&"errors".into(), &false.into()));
    assert_eq!(server.ask("/api/traces?limit=1")["more"], true);

    // The document describes these answers too.
    let document = server.ask("/api/openapi.json");
    for (path, asked) in [
        ("/api/traces", "/api/traces?status=error".to_owned()),
        ("/api/traces/{id}", format!("/api/traces/{SEVEN}")),
        ("/api/spans", format!("/api/spans?trace={SEVEN}&limit=2")),
        ("/api/logs", format!("/api/logs?trace={SEVEN}")),
    ] {
        let told = &document["paths"][path]["get"]["responses"]["200"]["content"];
        let mut schema = told["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
        let answer = server.ask(&asked);
        assert!(validator.is_valid(&answer), "{asked}: {answer}");
        assert!(answer.to_string().contains("kept\":"), "{answer}");
    }
}

/// The spans of a failed call from one service to another.
fn call(trace: u128, from: &str, to: &str) -> [Span; 2] {
    let of = |service: &str, id: u64, kind| {
        let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        let span = Span::builder().source(&source).trace_id(trace).span_id(id).kind(kind);
        let span = span.parent_span_id((id > 1).then_some(SpanId::from(1))).name("call");
        let span = span.start_unix_nanos(BEGAN + id).end_unix_nanos(BEGAN + 90);
        span.status(StatusCode::Error, "").build()
    };
    [of(from, 1, SpanKind::Client), of(to, 2, SpanKind::Server)]
}

#[test]
fn counts_groups_keys_and_the_graph_have_each_kept_record_once() {
    let server = with_seven("counts.toml", &[]);
    send(&server, "/v1/traces", &call(8, "shop", "old"));
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 7");
    let count = |question: &str| {
        let told = server.ask(&format!("/api/count/{question}"));
        (told["count"].as_u64().unwrap(), told["from_kept"].as_u64().unwrap_or(0))
    };
    assert_eq!((count("spans"), count("logs"), count("metrics")), ((7, 0), (2, 0), (1, 0)));
    let before = server.ask("/api/graph");
    flood(&server);
    assert_eq!((count("spans"), count("logs"), count("metrics")), ((107, 7), (102, 2), (101, 1)));
    assert_eq!(count(&format!("spans?trace={SEVEN}")), (5, 5));
    assert_eq!(count("spans?status=error"), (3, 3));
    assert_eq!(count("spans?service=cart&name=step%202"), (1, 1));
    assert_eq!(count("logs?body=log%201"), (1, 1));
    assert_eq!((count("spans?kept=no"), count("spans?kept=no&status=error")), ((100, 0), (0, 0)));
    assert_eq!(server.get("/api/count/spans?kept=maybe").status, 400);
    // A late one is in the store, and kept: each of its traces' records still counts once.
    send_spans(&server, 7, 6..=6);
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 8");
    assert_eq!(count("spans"), (107, 7));

    let groups = server.ask("/api/group/spans?by=service&order=errors");
    let group = |service: &str| {
        let all = groups["groups"].as_array().unwrap();
        all.iter().find(|one| one["key"]["service"] == service).unwrap().clone()
    };
    let (cart, old) = (group("cart"), group("old"));
    assert_eq!(
        (&cart["count"], &cart["from_kept"], &cart["errors"]),
        (&105.into(), &5.into(), &1.into())
    );
    assert_eq!((&old["count"], &old["from_kept"]), (&1.into(), &1.into()));
    assert_eq!(groups["report"]["from_kept"], 7);
    // Rates are those of the store, which has been here for a shorter time.
    let alone = server.ask("/api/group/spans?by=service&kept=no");
    assert_eq!(cart["rate_per_second"], alone["groups"][0]["rate_per_second"]);
    assert_eq!(
        (old["rate_per_second"].as_f64(), &groups["seconds"]),
        (Some(0.0), &alone["seconds"])
    );
    assert_eq!(alone["report"]["from_kept"], Value::Null);

    let keys = server.ask("/api/keys/spans/service");
    let keys: Vec<_> =
        keys["keys"].as_array().unwrap().iter().map(|one| (&one["key"], &one["count"])).collect();
    let wanted: [(Value, Value); 3] =
        [("cart".into(), 105.into()), ("old".into(), 1.into()), ("shop".into(), 1.into())];
    assert_eq!(keys, wanted.iter().map(|(key, count)| (key, count)).collect::<Vec<_>>());
    assert_eq!(server.get("/api/keys/spans/colour").status, 400);
    let services = server.ask("/api/services");
    let cart = &services["services"][0];
    assert_eq!(
        (&cart["service"], &cart["spans"], &cart["logs"], &cart["metrics"]),
        (&"cart".into(), &105.into(), &102.into(), &101.into())
    );

    let graph = server.ask("/api/graph");
    assert_eq!(graph["calls"], before["calls"], "the call is from shop to old");
    assert_eq!(
        (&graph["services"][0]["spans"], &graph["services"][0]["errors"]),
        (&105.into(), &1.into())
    );
    assert_eq!(graph["report"]["from_kept"], 7);
    assert_eq!(self::count(&server.ask("/api/graph?kept=no")["calls"]), 0);

    // A series with gaps has no rate: kept points are left out, and that is said.
    let series = server.ask("/api/series");
    assert_eq!((&series["kept_asked"], self::count(&series["series"])), (&false.into(), 1));
    assert_eq!(self::count(&series["series"][0]["points"]), 1, "of one moment");

    let document = server.ask("/api/openapi.json");
    for path in
        ["/api/count/spans", "/api/group/spans", "/api/graph", "/api/series", "/api/services"]
    {
        let told = &document["paths"][path]["get"]["responses"]["200"]["content"];
        let mut schema = told["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
        let question =
            if path.contains("group") { format!("{path}?by=service") } else { path.to_owned() };
        let answer = server.ask(&question);
        assert!(validator.is_valid(&answer), "{question}: {answer}");
    }
}

#[test]
fn pages_of_all_records_have_those_of_kept_traces_once() {
    let server = with_seven("all-pages.toml", &[]);
    flood(&server);
    send_spans(&server, 7, 6..=6);
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 6");
    for order in ["newest", "oldest", "latest", "earliest"] {
        for limit in [7, 52, 104, 105, 1_000] {
            let question = format!("/api/spans?order={order}&limit={limit}");
            let (mut ids, mut after, mut from_kept, mut starts) =
                (Vec::new(), String::new(), 0, Vec::new());
            loop {
                let page = server.ask(&format!("{question}{after}"));
                let spans = page["spans"].as_array().unwrap();
                assert!(spans.len() <= limit, "{page}");
                ids.extend(
                    spans
                        .iter()
                        .map(|span| (span["trace_id"].to_string(), span["span_id"].to_string())),
                );
                starts.extend(spans.iter().map(|span| {
                    span["start_unix_nanos"].as_str().unwrap().parse::<u64>().unwrap()
                }));
                from_kept += page["report"]["from_kept"].as_u64().unwrap_or(0);
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            let distinct: BTreeSet<_> = ids.iter().collect();
            // 99 of the flood, and the late span, are in the store.
            assert_eq!(
                (ids.len(), distinct.len(), from_kept),
                (105, 105, 5),
                "{order}, {limit} a page"
            );
            match order {
                "latest" => assert!(starts.is_sorted_by(|one, next| one >= next)),
                "earliest" => assert!(starts.is_sorted()),
                "oldest" => assert!(ids[..5].iter().all(|(trace, _)| trace.contains(SEVEN))),
                _ => assert!(ids[100..].iter().all(|(trace, _)| trace.contains(SEVEN))),
            }
        }
    }
    let some = server.ask("/api/spans?status=error");
    assert_eq!((count(&some["spans"]), &some["spans"][0]["position"]), (1, &Value::Null));
    let none = server.ask("/api/spans?status=error&kept=no");
    assert_eq!(count(&none["spans"]), 0);
    assert_eq!(count(&server.ask("/api/metrics?limit=1000")["points"]), 101);
    assert_eq!(count(&server.ask("/api/traces?kept=no&status=error")["traces"]), 0);
}

#[test]
fn jaegers_directory_has_what_only_kept_traces_have() {
    let server = with_seven("directory.toml", &["--jaeger", "127.0.0.1:0"]);
    send(&server, "/v1/traces", &call(8, "shop", "old"));
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 7");
    let asked = [
        "/api/services",
        "/api/v3/services",
        "/api/services/cart/operations",
        "/api/operations?service=old",
        "/api/v3/operations?service=old",
        "/api/dependencies?endTs=4000000000000&lookback=4000000000000",
        "/api/v3/dependencies?start_time=2000-01-01T00:00:00Z&end_time=2100-01-01T00:00:00Z",
    ];
    let before = asked.map(|path| support::jaeger::ask(&server, path));
    flood(&server);
    for (path, before) in asked.into_iter().zip(before) {
        let after = support::jaeger::ask(&server, path);
        assert_eq!(after, before, "{path}");
        assert!(
            ["old", "step 5", "call"].iter().any(|one| after.to_string().contains(one)),
            "{after}"
        );
    }
}

#[test]
fn pages_of_a_kept_traces_records_show_each_once_in_every_order() {
    let server = with_seven("pages.toml", &[]);
    flood(&server);
    send(&server, "/v1/logs", &[log(7, 4), log(7, 3)]);
    wait_for(&server, "slipring_kept_records{signal=\"log\"} 4");
    for (order, wanted) in [
        ("newest", [3, 4, 2, 1]),
        ("oldest", [1, 2, 4, 3]),
        ("latest", [4, 3, 2, 1]),
        ("earliest", [1, 2, 3, 4]),
    ] {
        for limit in 1..=5 {
            let question = format!("/api/logs?trace={SEVEN}&order={order}&limit={limit}");
            let (mut bodies, mut after) = (Vec::new(), String::new());
            loop {
                let page = server.ask(&format!("{question}{after}"));
                let logs = page["logs"].as_array().unwrap();
                assert!(logs.len() <= limit, "{page}");
                bodies.extend(logs.iter().map(|log| log["body"].as_str().unwrap().to_owned()));
                let from_kept = logs.iter().filter(|log| log["position"].is_null()).count();
                assert_eq!(page["report"]["from_kept"].as_u64().unwrap_or(0), from_kept as u64);
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(bodies, wanted.map(|one| format!("log {one}")), "{order}, {limit} a page");
        }
    }
    let some = server.ask(&format!("/api/logs?trace={SEVEN}&body=log%201"));
    assert_eq!(count(&some["logs"]), 1, "conditions hold for kept records too");
    let moment = server.ask("/api/moment")["moment"].as_str().unwrap().to_owned();
    let since = server.ask(&format!("/api/logs?trace={SEVEN}&moment={moment}"));
    assert_eq!(count(&since["logs"]), 0, "what was kept before did not arrive since");

    let spans = server.get(&format!("/api/spans?trace={SEVEN}&format=otlp"));
    let spans = Request::read(Kind::Traces, Encoding::Json, &spans.body).unwrap().spans;
    let ids: BTreeSet<SpanId> = spans.iter().map(Span::span_id).collect();
    assert_eq!((spans.len(), ids.len()), (5, 5));
}

#[test]
fn an_export_and_a_saved_file_have_the_records_of_kept_traces_once() {
    let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept.jsonl");
    let server = with_seven("export.toml", &["--save", saved.to_str().unwrap()]);
    let check = |text: &str, late: usize| {
        let read = text.lines().map(|line| Request::read_json(line.as_bytes()).unwrap());
        let (mut spans, mut logs, mut points) = (Vec::new(), Vec::new(), Vec::new());
        for read in read {
            spans.extend(read.spans);
            logs.extend(read.logs);
            points.extend(read.points);
        }
        assert_eq!(spans.iter().filter(|span| span.trace_id() == 7.into()).count(), 5 + late);
        assert_eq!(logs.iter().filter(|log| log.trace_id() == Some(7.into())).count(), 2 + late);
        assert!(points.contains(&point(7)));
        assert_eq!(spans.len(), logs.len() + 3);
    };
    check(&server.get("/api/export").text(), 0);
    flood(&server);
    check(&server.get("/api/export").text(), 0);
    send_spans(&server, 7, 6..=6);
    send(&server, "/v1/logs", &[log(7, 3)]);
    wait_for(&server, "slipring_kept_records{signal=\"log\"} 3");
    check(&server.get("/api/export").text(), 1);
    let (ended_well, told) = server.stop();
    assert!(ended_well, "{told}");
    check(&std::fs::read_to_string(saved).unwrap(), 1);
}

#[test]
fn a_giant_trace_is_cut_and_told() {
    let config = format!("{CONFIG}\n[kept]\nmax_trace_bytes = \"8K\"");
    let server = start("giant.toml", &config, &[]);
    send_spans(&server, 7, 1..=90);
    wait_for(&server, "slipring_kept_traces 1");
    let path = format!("/api/traces/{SEVEN}");
    let trace = server.ask(&path);
    assert_eq!((count(&trace["spans"]), &trace["partial"]), (90, &false.into()));
    flood(&server);
    let trace = server.ask(&path);
    let (left, refused) = (count(&trace["spans"]) as u64, trace["kept"]["refused"].as_u64());
    assert!((10..90).contains(&left), "{left}");
    assert_eq!((refused, &trace["partial"]), (Some(90 - left), &true.into()));
    let figures = server.get("/metrics").text();
    let refused = format!("slipring_kept_refused_records_total{{signal=\"span\"}} {}", 90 - left);
    assert!(figures.contains(&refused), "{figures}");
}

#[test]
fn old_traces_leave_whole_and_are_counted() {
    let config = format!("{CONFIG}\n[kept]\nmax_age = \"1s\"");
    let server = start("age.toml", &config, &[]);
    send(&server, "/v1/logs", &[log(7, 1)]);
    send_spans(&server, 7, 1..=5);
    wait_for(&server, "slipring_kept_evicted_records_total{signal=\"span\"} 5");
    wait_for(&server, "slipring_kept_evicted_traces_total 1");
    wait_for(&server, "slipring_kept_bytes 0");
    flood(&server);
    assert_eq!(server.get(&format!("/api/traces/{SEVEN}")).status, 404);
}

#[test]
fn without_the_flag_no_answer_speaks_of_kept_traces_and_a_wrong_file_is_told() {
    let server = Server::start(&[]);
    send_spans(&server, 7, 1..=5);
    let paths = ["/api/traces".to_owned(), format!("/api/traces/{SEVEN}"), "/api/stats".to_owned()];
    for path in paths.into_iter().chain(["/metrics".to_owned()]) {
        let told = server.get(&path).text();
        assert!(!told.contains("kept_") && !told.contains("\"kept\""), "{told}");
    }
    let wrong = file("wrong-kept.toml", "[kept]\nmax_age = 7\n");
    let tried = Command::new(SLIPRING).arg("serve").arg("--keep").arg(wrong).output().unwrap();
    let told = String::from_utf8_lossy(&tried.stderr);
    assert_eq!(tried.status.code(), Some(3), "{told}");
    assert!(told.contains("--keep") && told.contains("line 2"), "{told}");
}

#[test]
fn the_file_is_read_again() {
    let server = start("again.toml", CONFIG, &[]);
    file("again.toml", &CONFIG.replace("\"error\"", "\"always\""));
    server.signal("-HUP");
    let deadline = Instant::now() + Duration::from_secs(60);
    // Nothing tells when it was read but what it does.
    for trace in 100.. {
        send_spans(&server, trace, 1..=1);
        let stats = server.ask("/api/stats");
        if stats["kept"]["traces"] != 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{stats}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn names_of_policies_are_labels_as_prometheus_reads_them() {
    let name = "a\tb\u{200b}\\c\"d\ne";
    let config = CONFIG.replace("\"errors\"", r#""a\tb\u200b\\c\"d\ne""#);
    let server = start("labels.toml", &config, &[]);
    let figures = server.get("/metrics").text();
    let escaped = name.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let line = format!("slipring_decided_traces_total{{policy=\"{escaped}\",outcome=\"kept\"}} 0");
    assert!(figures.lines().any(|one| one == line), "not {line}:\n{figures}");
}

#[test]
fn spans_that_the_sampler_rejects_or_evicts_undecided_are_counted() {
    let config = format!("max_span_bytes = 200\nmax_traces = 1\non_full = \"evict\"\n{CONFIG}")
        .replace("20ms", "20s");
    let server = start("rejected.toml", &config, &[]);
    let long = Span::builder().trace_id(5).span_id(1).name("x".repeat(1_000)).build();
    send(&server, "/v1/traces", &[long]);
    for trace in [100, 101, 102] {
        send_spans(&server, trace, 1..=1);
    }
    wait_for(&server, "slipring_undecidable_spans_total{reason=\"too_large\"} 1");
    wait_for(&server, "slipring_evicted_undecided_spans_total 2");
    let kept = &server.ask("/api/stats")["kept"];
    assert_eq!(kept["evicted_undecided"]["spans"], 2, "{kept}");
    assert_eq!(kept["rejected_spans"]["too_large"], 1, "{kept}");
}

#[test]
fn an_error_of_the_file_is_told_in_one_line() {
    let wrong = file("wrong-line.toml", "[kept]\nmax_age = 7\n");
    let tried = Command::new(SLIPRING).arg("serve").arg("--keep").arg(wrong).output().unwrap();
    let told = String::from_utf8_lossy(&tried.stderr);
    let line = told.lines().find(|line| line.contains("--keep")).unwrap_or_default();
    assert!(line.contains("line 2") && line.contains("max_age = 7"), "{told}");
}
