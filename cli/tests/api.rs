//! The query API, from outside: the shapes of answers, packing, groups, steps of series, and the
//! document and the reference page that describe all of it.

mod support;

use jsonschema::Validator;
use serde_json::{Value, json};
use slipring::metric::{Metric, MetricKind, Temporality};
use slipring::otlp::{Encoding, encode};
use slipring::{MetricPoint, Resource, Scope, Source, Span, span::StatusCode};
use std::collections::BTreeSet;
use std::io::Read;
use support::{Answer, Server};

const PROTOBUF: &str = "application/x-protobuf";
const SECOND: u64 = 1_000_000_000;
const BEGAN: u64 = 1_769_860_800 * SECOND;

/// Sends some of the shop's requests, and its metrics.
fn with_shop(requests: usize, points: usize) -> Server {
    let server = Server::start(&["--shards", "1"]);
    let send = |path: &str, body: Vec<u8>| {
        let answer = server.post(path, PROTOBUF, &body);
        assert_eq!(answer.status, 200, "{answer}");
    };
    let mut shop = shop::Shop::new(7);
    for request in shop.requests().take(requests) {
        send("/v1/traces", encode(&request.spans, Encoding::Protobuf));
        send("/v1/logs", encode(&request.logs, Encoding::Protobuf));
    }
    let points: Vec<MetricPoint> = shop.points().take(points).collect();
    for some in points.chunks(500) {
        send("/v1/metrics", encode(some, Encoding::Protobuf));
    }
    server
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.lines().find_map(|line| {
        let (told, value) = line.split_once(": ")?;
        told.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[test]
fn a_thousand_points_are_told_in_few_bytes() {
    let server = with_shop(0, 1_200);
    let answer = server.get("/api/metrics?limit=1000");
    let told = answer.json();
    assert_eq!(told["points"].as_array().unwrap().len(), 1_000);
    assert!(answer.body.len() < 450_000, "{} bytes", answer.body.len());
    let packed = server.send("GET", "/api/metrics?limit=1000", &[("accept-encoding", "gzip")], b"");
    assert!(packed.body.len() < 100_000, "{} bytes, packed", packed.body.len());
}

#[test]
fn answers_are_packed_as_the_client_takes_them_and_tails_are_not() {
    let server = with_shop(20, 0);
    let ask =
        |path: &str, takes: &str| server.send("GET", path, &[("accept-encoding", takes)], b"");
    let plain = server.get("/api/spans?limit=50");
    assert_eq!(header(&plain, "content-encoding"), None);
    let by_gzip = ask("/api/spans?limit=50", "gzip");
    assert_eq!(header(&by_gzip, "content-encoding"), Some("gzip"), "{}", by_gzip.head);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&by_gzip.body[..]).read_to_end(&mut unpacked).unwrap();
    let by_zstd = ask("/api/spans?limit=50", "br, zstd");
    assert_eq!(header(&by_zstd, "content-encoding"), Some("zstd"), "{}", by_zstd.head);
    for body in [unpacked, zstd::decode_all(&by_zstd.body[..]).unwrap()] {
        assert_eq!(body, plain.body);
    }
    assert!(header(&by_gzip, "vary").is_some_and(|vary| vary.contains("accept-encoding")));
    for takes in ["identity", "br", "gzip;q=0"] {
        assert_eq!(header(&ask("/api/spans", takes), "content-encoding"), None, "{takes}");
    }
    // An error is read as well as an answer.
    let wrong = ask("/api/spans?colour=red", "identity");
    assert_eq!((wrong.status, wrong.json()["error"].is_string()), (400, true));

    let mut tail = server.connect();
    let asked =
        b"GET /api/tail/spans HTTP/1.1\r\nhost: test\r\naccept-encoding: gzip, zstd\r\n\r\n";
    std::io::Write::write_all(&mut tail, asked).unwrap();
    let mut head = [0; 512];
    let length = tail.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
    assert!(head.contains("text/event-stream") && !head.contains("content-encoding"), "{head}");
}

#[test]
fn times_durations_and_names_read_as_people_write_them() {
    let server = Server::start(&[]);
    let resource = Resource::new([("service.name", "cart")]);
    let source = Source::new(&resource, &Scope { name: "http".into(), ..Scope::default() });
    let span = Span::builder()
        .source(&source)
        .trace_id(1)
        .span_id(1)
        .name("GET /")
        .kind(slipring::span::SpanKind::Server)
        .start_unix_nanos(BEGAN + 123_456_789)
        .end_unix_nanos(BEGAN + 123_457_789)
        .status(StatusCode::Error, "no");
    let open = Span::builder().trace_id(1).span_id(2).parent_span_id(Some(9.into())).name("open");
    let body = encode([&span.build(), &open.build()], Encoding::Protobuf);
    assert_eq!(server.post("/v1/traces", PROTOBUF, &body).status, 200);
    let told = server.ask("/api/spans?name=GET%20/");
    let span = &told["spans"][0];
    assert_eq!(span["start"], "2026-01-31T12:00:00.123456789Z");
    assert_eq!(span["start_unix_nanos"], (BEGAN + 123_456_789).to_string());
    assert_eq!(span["duration_nanos"], 1_000);
    assert_eq!((&span["kind"], &span["status"]["code"]), (&json!("server"), &json!("error")));
    assert_eq!(
        (&span["service"], &span["resource"], &span["scope"]),
        (&json!("cart"), &json!(0), &json!(0))
    );
    assert_eq!(told["resources"], json!([{ "attributes": { "service.name": "cart" } }]));
    assert_eq!(told["scopes"], json!([{ "name": "http", "version": "", "attributes": {} }]));

    let open = &server.ask("/api/spans?name=open")["spans"][0];
    for unknown in ["start", "end", "duration_nanos", "service"] {
        assert_eq!(open[unknown], Value::Null, "{unknown}");
    }
    assert_eq!(
        (&open["end_unix_nanos"], &open["parent_span_id"]),
        (&json!("0"), &json!("0000000000000009"))
    );

    let trace = server.ask("/api/traces/1");
    let notes: Vec<&Value> =
        trace["spans"].as_array().unwrap().iter().map(|span| &span["note"]).collect();
    assert_eq!(notes, [&json!("missing_parent"), &Value::Null]);
    assert_eq!(
        trace["summary"]["services"][0],
        json!({ "service": "cart", "spans": 1, "errors": 1 })
    );
    assert_eq!(trace["critical_path"][0]["span_id"], "0000000000000001");
}

#[test]
fn groups_say_how_many_how_fast_and_how_bad() {
    let server = Server::start(&[]);
    let span = |number: u64| {
        let is_slow = number.is_multiple_of(4);
        Span::builder()
            .source(&Source::new(
                &Resource::new([("service.name", if number < 50 { "cart" } else { "shop" })]),
                &Scope::default(),
            ))
            .trace_id(u128::from(number + 1))
            .span_id(number + 1)
            .name(if is_slow { "slow" } else { "fast" })
            .start_unix_nanos(BEGAN + number * SECOND)
            .end_unix_nanos(BEGAN + number * SECOND + if is_slow { 1_000 } else { 10 })
            .status(if number == 3 { StatusCode::Error } else { StatusCode::Unset }, "")
            .attribute("http.route", if is_slow { "/slow" } else { "/fast" })
            .build()
    };
    let spans: Vec<Span> = (0..101).map(span).collect();
    assert_eq!(
        server.post("/v1/traces", PROTOBUF, &encode(&spans, Encoding::Protobuf)).status,
        200
    );
    let by_name = server.ask("/api/group/spans?by=name");
    assert_eq!(
        by_name["groups"],
        json!([
            { "key": { "name": "fast" }, "count": 75, "errors": 1, "rate_per_second": 0.75, "p50_nanos": 10, "p99_nanos": 10 },
            { "key": { "name": "slow" }, "count": 26, "errors": 0, "rate_per_second": 0.26, "p50_nanos": 1000, "p99_nanos": 1000 },
        ])
    );
    assert_eq!((&by_name["seconds"], &by_name["more"]), (&json!(100.0), &json!(false)));
    let of_two =
        server.ask("/api/group/spans?by=service&by=attribute:http.route&order=p99&limit=1");
    assert_eq!(
        (&of_two["groups"][0]["key"]["attribute:http.route"], &of_two["left_out"]),
        (&json!("/slow"), &json!(3)),
        "{of_two}"
    );
    let failing = server.ask("/api/group/spans?by=status&by=service&service=cart&order=errors");
    assert_eq!(failing["groups"][0]["key"], json!({ "status": "error", "service": "cart" }));
    let without = server.ask("/api/group/spans?by=attribute:resource:k8s.pod.name");
    assert_eq!(without["groups"][0]["key"]["attribute:resource:k8s.pod.name"], Value::Null);
    assert_eq!(server.ask("/api/group/logs?by=severity")["groups"], json!([]));
    for (query, words) in [
        ("", "give by="),
        ("by=colour", "trace, service, name, kind, status"),
        ("by=attribute:", "name is missing"),
        ("by=attribute:span.x", "write record:x"),
        ("by=name&by=kind&by=status&by=service", "once to 3 times"),
        ("by=name&order=newest", "count, errors or p99"),
        ("by=name&after=x", "no parameter after"),
    ] {
        let answer = server.get(&format!("/api/group/spans?{query}"));
        assert!(answer.status == 400 && answer.text().contains(words), "{query}: {answer}");
    }
}

#[test]
fn series_tell_rates_in_steps_and_sums() {
    let server = Server::start(&[]);
    let kind = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
    let point = |service: &str, second: u64, total: i64| {
        let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
        MetricPoint::builder()
            .source(&source.with_metric(&Metric::new("orders", kind)))
            .start_unix_nanos(BEGAN - SECOND)
            .time_unix_nanos(BEGAN + second * SECOND)
            .value(total)
            .build()
    };
    let points = [
        point("cart", 0, 100),
        point("cart", 10, 150),
        point("cart", 20, 250),
        point("shop", 0, 0),
        point("shop", 20, 20),
    ];
    assert_eq!(
        server.post("/v1/metrics", PROTOBUF, &encode(&points, Encoding::Protobuf)).status,
        200
    );
    let told = server.ask("/api/series?name=orders&step=10s&sum_by=name");
    let rates = |steps: &Value| -> Vec<f64> {
        steps
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["rate_per_second"].as_f64().unwrap())
            .collect()
    };
    assert_eq!(rates(&told["series"][0]["steps"]), [5.0, 10.0], "{told}");
    assert_eq!(rates(&told["series"][1]["steps"]), [1.0, 1.0], "{told}");
    assert_eq!(told["series"][0]["steps"][1]["time"], "2026-01-31T12:00:10.000000000Z");
    let sum = &told["sums"][0];
    assert_eq!((&sum["key"], &sum["series"]), (&json!({ "name": "orders" }), &json!(2)));
    assert_eq!(rates(&sum["steps"]), [6.0, 11.0]);
    // A limit leaves series out, and nothing of their sums.
    let of_one = server.ask("/api/series?name=orders&step=10s&sum_by=all&limit=1");
    assert_eq!(
        (of_one["left_out"].as_u64(), rates(&of_one["sums"][0]["steps"])),
        (Some(1), vec![6.0, 11.0])
    );
    assert!(server.ask("/api/series?name=orders")["series"][0].get("steps").is_none());
    for (query, words) in [
        ("step=0s", "not 0"),
        ("step=10", "10s"),
        ("step=1us", "longer step"),
        ("sum_by=name", "give step"),
        ("step=10s&sum_by=colour", "name, service, type, unit"),
    ] {
        let answer = server.get(&format!("/api/series?{query}"));
        assert!(answer.status == 400 && answer.text().contains(words), "{query}: {answer}");
    }
}

/// Returns a validator of a schema inside the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut root = schema.clone();
    root["components"] = document["components"].clone();
    jsonschema::draft202012::new(&root).expect("it is a schema")
}

#[test]
fn the_document_holds_for_every_question_and_every_answer() {
    let server = with_shop(60, 2_000);
    let document = server.ask("/api/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let trace = server.ask("/api/traces?limit=1")["traces"][0]["trace_id"].clone();
    let paths = document["paths"].as_object().unwrap();
    let directory = server.ask("/api");
    for (path, operations) in paths {
        assert!(directory.get(path).is_some(), "{path} is not in the directory");
        let concrete = path
            .replace("{id}", trace.as_str().unwrap())
            .replace("{signal}", "spans")
            .replace("{index}", "name");
        let asked = &operations["get"];
        let told = asked["responses"]["200"]["content"].as_object().unwrap();
        let (kind, content) = told.iter().next().unwrap();
        let needed = if path.starts_with("/api/group/") { "by=service" } else { "" };
        let separator = if needed.is_empty() { "" } else { "&" };
        for parameter in asked["parameters"].as_array().unwrap() {
            if parameter["in"] == "path" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let example = match &parameter["example"] {
                Value::Array(several) => several[0].as_str(),
                one => one.as_str(),
            };
            // What only an answer gives, and orders, which differ.
            let Some(example) = example else {
                assert!(
                    ["after", "moment", "order"].contains(&name),
                    "{path}: {name} has no example"
                );
                continue;
            };
            let value = example.replace(' ', "%20");
            let before = match name {
                "by" => "",
                "sum_by" => "step=1h&",
                _ => needed,
            };
            let separator = if before.is_empty() || name == "sum_by" { "" } else { separator };
            let question = format!("{concrete}?{before}{separator}{name}={value}");
            if kind != "text/event-stream" {
                let answer = server.get(&question);
                assert_eq!(answer.status, 200, "{question}: {answer}");
            }
        }
        let unknown = server.get(&format!("{concrete}?{needed}{separator}colour=red"));
        assert_eq!(unknown.status, 400, "{path} takes what is not in the document: {unknown}");
        if kind == "application/json" {
            let answer = server.ask(&format!("{concrete}?{needed}"));
            let validator = validator(&document, &content["schema"]);
            let wrong: Vec<String> = validator
                .iter_errors(&answer)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .take(3)
                .collect();
            assert!(wrong.is_empty(), "{path}: {wrong:?}");
            if content["schema"].get("$ref").is_some() {
                assert!(!validator.is_valid(&json!({})), "{path}: the schema takes everything");
            }
        }
        if let Some(posted) = operations.get("post") {
            let takes = &posted["requestBody"]["content"]["application/json"]["schema"];
            let body = if needed.is_empty() { json!({}) } else { json!({ "by": "service" }) };
            assert!(validator(&document, takes).is_valid(&body), "{path}");
            let answer = server.post(&concrete, "application/json", body.to_string().as_bytes());
            assert_eq!(answer.status, 200, "{path}: {answer}");
        }
    }
    // Each path that the directory names is in the document.
    let listed: BTreeSet<&String> =
        directory.as_object().unwrap().keys().filter(|key| key.starts_with('/')).collect();
    assert_eq!(listed, paths.keys().collect());
}

#[test]
fn the_reference_explains_what_answers_say_of_themselves() {
    let server = Server::start(&[]);
    let page = server.get("/api/reference");
    assert_eq!(page.status, 200, "{page}");
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(
        header(&page, "content-security-policy")
            .is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    let text = page.text();
    for word in
        ["partial", "report.cut", "report.missed", "report.led_by", "_unix_nanos", "openapi.json"]
    {
        assert!(text.contains(word), "{word} is not explained");
    }
    let directory = server.ask("/api");
    for path in directory.as_object().unwrap().keys().filter(|key| key.starts_with('/')) {
        assert!(text.contains(&format!("<code>{path}</code>")), "{path} is not explained");
    }
    for linked in text.split("href=\"#").skip(1) {
        let name = linked.split('"').next().unwrap();
        assert!(text.contains(&format!("id=\"{name}\"")), "nothing is at #{name}");
    }
}
