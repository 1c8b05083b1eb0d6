//! Jaeger's query API: its errors, traces that are odd, and who may ask.

mod support;

use serde_json::{Value, json};
use std::process::Command;
use support::jaeger::{TRACE, ask, get, nanos, request, send, start, text};
use support::tls::Files;
use support::{SLIPRING, Server};

#[test]
fn what_is_wrong_is_told_in_jaegers_words() {
    let server = start(&[]);
    let int = r#"strconv.ParseInt: parsing "x": invalid syntax"#;
    let older = [
        ("traces/x", 400, r#"strconv.ParseUint: parsing "x": invalid syntax"#),
        ("traces/2a", 404, "trace not found"),
        ("traces/0", 404, "trace not found"),
        ("traces/2a?start=x", 400, &format!("unable to parse param 'start': {int}")),
        ("traces/2a?end=x", 400, &format!("unable to parse param 'end': {int}")),
        (
            "traces/2a?raw=x",
            400,
            r#"unable to parse param 'raw': strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
        ("traces?start=x", 400, &format!("unable to parse param 'start': {int}")),
        ("traces?limit=x", 400, int),
        ("traces?limit=0", 400, "search depth must be greater than 0 and less than max traces"),
        ("traces?limit=10001", 400, "search depth must be greater than 0"),
        ("traces?limit=9999999999", 400, "value out of range"),
        (
            "traces?minDuration=20",
            400,
            r#"unable to parse param 'minDuration': time: missing unit in duration "20""#,
        ),
        ("traces?maxDuration=1d", 400, r#"time: unknown unit "d" in duration "1d""#),
        (
            "traces?minDuration=25s&maxDuration=1s",
            400,
            "'maxDuration' should be greater than 'minDuration'",
        ),
        ("traces/%ff", 400, "Invalid UTF-8"),
        ("services/%ff/operations", 400, "Invalid UTF-8"),
        ("traces?tag=k", 400, "malformed 'tag' parameter, expecting key:value, received: k"),
        ("traces?tags=%7B", 400, "malformed 'tags' parameter, cannot unmarshal JSON"),
        ("traces?tags=%7B%22x%22:1%7D", 400, "malformed 'tags' parameter, cannot unmarshal JSON"),
        ("traces?traceID=x200", 400, "cannot parse traceID param: strconv.ParseUint: parsing"),
        ("operations", 400, "parameter 'service' is required"),
        ("dependencies?endTs=x", 400, &format!("unable to parse param 'endTs': {int}")),
        ("dependencies?lookback=x", 400, &format!("unable to parse param 'lookback': {int}")),
        ("dependencies?lookback=-1", 400, "end time must be greater than start time"),
        ("none", 404, "there is nothing at /api/none"),
    ];
    for (path, status, words) in older {
        let answer = get(&server, &format!("/api/{path}"));
        assert_eq!(answer.status, status, "{path}: {answer}");
        let told = answer.json();
        let said = told["errors"][0]["msg"].as_str().unwrap_or_default();
        assert!(said.contains(words), "{path}: {told}");
        let expected = json!([{ "code": status, "msg": said }]);
        assert_eq!(
            told,
            json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": expected })
        );
    }
    send(&server, &request());
    let told = ask(&server, "/api/traces?traceID=1&traceID=2a");
    assert_eq!(told["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        told["errors"],
        json!([{ "msg": "trace not found", "traceID": "0000000000000001" }])
    );

    let times = "query.startTimeMin=2020-01-01T00:00:00Z&query.startTimeMax=2020-01-02T00:00:00Z";
    let with = |more: &str| format!("traces?{times}&{more}");
    let third = [
        ("traces/x".to_owned(), 400, "malformed parameter trace_id: strconv.ParseUint"),
        ("traces/%ff".to_owned(), 400, "Invalid UTF-8"),
        ("traces/1".to_owned(), 404, "No traces found"),
        ("traces/2a?start_time=x".to_owned(), 400, "malformed parameter start_time: parsing time"),
        ("traces/2a?endTime=x".to_owned(), 400, "malformed parameter endTime: parsing time"),
        (
            "traces/2a?rawTraces=x".to_owned(),
            400,
            "malformed parameter rawTraces: strconv.ParseBool",
        ),
        (with(""), 404, "No traces found"),
        ("traces".to_owned(), 400, "query.startTimeMin and query.startTimeMax are required"),
        (
            "trace-summaries?query.startTimeMin=2020-01-01T00:00:00Z".to_owned(),
            400,
            "query.startTimeMin and query.startTimeMax are required",
        ),
        (
            "traces?query.start_time_min=NaN&query.startTimeMax=x".to_owned(),
            400,
            "malformed parameter query.start_time_min: parsing time",
        ),
        (
            times
                .replace("2020-01-02", "2020-01-01")
                .replace("query.startTimeMin", "traces?query.startTimeMin"),
            400,
            "query.startTimeMin must be before query.startTimeMax",
        ),
        (
            with("query.searchDepth=NaN"),
            400,
            r#"malformed parameter query.searchDepth: strconv.Atoi: parsing "NaN": invalid syntax"#,
        ),
        (with("query.num_traces=NaN"), 400, "malformed parameter query.num_traces"),
        (with("query.search_depth=-1"), 400, "search depth must be greater than 0"),
        (with("query.durationMin=NaN"), 400, "malformed parameter query.durationMin: time:"),
        (with("query.duration_max=NaN"), 400, "malformed parameter query.duration_max: time:"),
        (with("query.attributes=x"), 400, "malformed parameter query.attributes: "),
        (
            with("query.raw_traces=x"),
            400,
            "malformed parameter query.raw_traces: strconv.ParseBool",
        ),
        (with("query.filter=%7B%7D"), 400, "structured filters are not served"),
        ("dependencies".to_owned(), 400, "start_time is required"),
        ("dependencies?startTime=2020-01-01T00:00:00Z".to_owned(), 400, "end_time is required"),
        (
            "dependencies?startTime=2020-01-01T00:00:00Z&endTime=2020-01-01T00:00:00Z".to_owned(),
            400,
            "end_time must be after start_time",
        ),
        ("none".to_owned(), 404, "there is nothing at /api/v3/none"),
    ];
    for (path, status, words) in third {
        let answer = get(&server, &format!("/api/v3/{path}"));
        assert_eq!(answer.status, status, "{path}: {answer}");
        let told = answer.json();
        let said = told["error"]["message"].as_str().unwrap_or_default();
        assert!(said.contains(words), "{path}: {told}");
        assert_eq!(told, json!({ "error": { "httpCode": status, "message": said } }));
    }
}

/// Sends a span of so many; its trace and its id are numbers.
fn send_span(server: &Server, trace: u64, id: u64, parent: u64) {
    let span = json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": "work",
        "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
        "startTimeUnixNano": nanos(id), "endTimeUnixNano": nanos(id + 1),
    });
    let resource = json!({ "attributes": [text("service.name", "cart")] });
    send(
        server,
        &json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": [span] }] }] }),
    );
}

#[test]
fn a_trace_that_was_evicted_in_part_says_so() {
    let server = start(&["--traces", "16"]);
    send_span(&server, 1, 1, 0);
    (2..10).for_each(|id| send_span(&server, id, id, 0));
    send_span(&server, 1, 100, 1);
    (11..20).for_each(|id| send_span(&server, id, id, 0));
    let told = ask(&server, "/api/traces/1");
    let trace = &told["data"][0];
    assert_eq!(trace["spans"].as_array().unwrap().len(), 1, "{told}");
    for warnings in [&trace["warnings"], &trace["spans"][0]["warnings"]] {
        let all: Vec<&str> =
            warnings.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(all.iter().any(|one| one.contains("were evicted from memory")), "{told}");
    }
    let told = ask(&server, "/api/v3/traces/1").to_string();
    assert!(told.contains("@jaeger@warnings") && told.contains("were evicted"), "{told}");
}

#[test]
fn a_limit_keeps_the_newest_traces_of_all_services() {
    let server = start(&[]);
    (1..=5).for_each(|id| send_span(&server, id, id, 0));
    let found = |more: &str| -> Vec<Value> {
        let told = ask(&server, &format!("/api/traces?{more}"));
        told["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].clone()).collect()
    };
    assert_eq!(found("start=0&limit=2"), ["0000000000000005", "0000000000000004"]);
    assert_eq!(found("start=0").len(), 5);
    // Two days are looked back, unless told otherwise, and nothing began before 1970.
    assert!(
        found("").is_empty() && found("end=-1").is_empty() && found("start=9&end=8").is_empty()
    );
}

#[tokio::test]
async fn the_port_speaks_tls_where_the_others_do() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("jaeger-tls");
    std::fs::create_dir_all(&folder).unwrap();
    let files = Files::make(&folder);
    let server = start(&files.arguments());
    let port = server.jaeger.unwrap();
    assert_eq!(support::tls::get(port, &files, "http/1.1", "/api/services").await, 200);
    assert_eq!(support::tls::get(port, &files, "h2", "/api/v3/services").await, 200);
}

#[test]
fn sides_of_a_call_that_share_an_id_and_cycles_are_told_apart() {
    let server = start(&[]);
    let span = |id: u8, parent: u8, kind: u8, name: &str| {
        json!({
            "traceId": TRACE, "spanId": format!("{id:016x}"), "parentSpanId": format!("{parent:016x}"),
            "name": name, "kind": kind, "startTimeUnixNano": nanos(1), "endTimeUnixNano": nanos(9),
        })
    };
    let of = |service: &str, spans: Value| {
        let resource = json!({ "attributes": [text("service.name", service)] });
        json!({ "resource": resource, "scopeSpans": [{ "spans": spans }] })
    };
    let client = of("web", json!([span(1, 0, 3, "client")]));
    let server_side = of("cart", json!([span(1, 0, 2, "server"), span(7, 1, 1, "inside")]));
    send(&server, &json!({ "resourceSpans": [client, server_side] }));
    let told = ask(&server, "/api/traces/2a");
    let spans = told["data"][0]["spans"].as_array().unwrap();
    let seen: Vec<[&Value; 3]> = spans
        .iter()
        .map(|span| [&span["operationName"], &span["spanID"], &span["references"][0]["spanID"]])
        .collect();
    let (one, two, seven) =
        (json!("0000000000000001"), json!("0000000000000002"), json!("0000000000000007"));
    let [client, server_side, inside] = ["client", "server", "inside"].map(Value::from);
    assert_eq!(
        seen,
        [[&client, &one, &Value::Null], [&server_side, &two, &one], [&inside, &seven, &two]]
    );
    let third = ask(&server, "/api/v3/traces/2a").to_string();
    assert!(third.contains("\"parentSpanId\":\"0000000000000002\""), "{third}");

    let cycle = of("cart", json!([span(8, 9, 1, "a"), span(9, 8, 1, "b")]));
    let cycle = json!({ "resourceSpans": [cycle] }).to_string().replace(TRACE, &"b".repeat(32));
    send(&server, &serde_json::from_str(&cycle).unwrap());
    let told = ask(&server, &format!("/api/traces/{}", "b".repeat(32)));
    let spans = told["data"][0]["spans"].as_array().unwrap();
    assert_eq!((&spans[0]["references"], spans.len()), (&json!([]), 2), "{told}");
    assert!(spans[0]["warnings"][0].as_str().unwrap().contains("cycle"), "{told}");
}

#[test]
fn the_port_has_the_rules_of_the_others() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("jaeger");
    std::fs::create_dir_all(&folder).unwrap();
    let (token, file) = ("correct-horse-battery-staple", folder.join("token"));
    std::fs::write(&file, token).unwrap();
    let server =
        start(&["--token-file", file.to_str().unwrap(), "--cors", "https://ui.example.com"]);
    let port = server.jaeger.unwrap();
    let origin = ("origin", "https://ui.example.com");
    assert_eq!(server.get_at(port, "/api/services", &[origin]).status, 401);
    let bearer = ("authorization", "Bearer correct-horse-battery-staple");
    let answer = server.get_at(port, "/api/services", &[origin, bearer]);
    assert_eq!(answer.status, 200, "{answer}");
    assert!(
        answer.head.contains("access-control-allow-origin: https://ui.example.com"),
        "{answer}"
    );
    let packed = server.get_at(port, "/api/services", &[bearer, ("accept-encoding", "gzip")]);
    assert!(packed.status == 200, "{packed}");

    // Another host's name, and another method.
    let server = start(&[]);
    let port = server.jaeger.unwrap();
    let foreign = b"GET /api/services HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let posted = support::request("POST", "/api/traces", &[], b"", 0);
    for (request, status) in [(&foreign[..], 403), (&posted, 405)] {
        let mut stream = std::net::TcpStream::connect(port).unwrap();
        std::io::Write::write_all(&mut stream, request).unwrap();
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        assert_eq!(support::parse(&answer).status, status);
    }
    // OTLP and the program's own API are not here.
    assert_eq!(get(&server, "/api/spans").status, 404);

    let said = Command::new(SLIPRING)
        .args(["serve", "--http", "0", "--grpc", "0", "--jaeger", "0.0.0.0:0"])
        .output()
        .unwrap();
    let wrong = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(3) && wrong.contains("--jaeger 0.0.0.0:0"), "{wrong}");
}
