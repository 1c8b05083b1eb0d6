//! Jaeger's query API: the shapes of its answers, against what Jaeger's own handlers write.

mod support;

use serde_json::{Value, json};
use support::jaeger::{SHORT, TRACE, ask, get, nanos, request, send, start};

const SKEW: &str = "clock skew adjustment disabled; not applying calculated delta of 7ms";
const LOST: &str =
    "parent span ID=0000000000000009 is not in the trace; skipping clock skew adjustment";

fn tag(key: &str, kind: &str, value: impl Into<Value>) -> Value {
    json!({ "key": key, "type": kind, "value": value.into() })
}

fn span(id: u8, name: &str, micros: (u64, u64), references: Value, rest: [Value; 4]) -> Value {
    let [tags, logs, process, warnings] = rest;
    json!({
        "traceID": SHORT, "spanID": format!("{id:016x}"), "operationName": name, "references": references,
        "startTime": 1_700_000_000_000_000 + micros.0, "duration": micros.1,
        "tags": tags, "logs": logs, "processID": process, "warnings": warnings,
    })
}

fn reference(kind: &str, trace: &str, span: &str) -> Value {
    json!({ "refType": kind, "traceID": trace, "spanID": span })
}

fn envelope(data: Value, total: usize) -> Value {
    json!({ "data": data, "total": total, "limit": 0, "offset": 0, "errors": null })
}

#[test]
fn a_trace_of_the_older_api_has_references_tags_logs_processes_and_warnings() {
    let server = start(&[]);
    send(&server, &request());
    let parent = "0000000000000001";
    let root = span(
        1,
        "GET /cart",
        (5_000, 10_000),
        json!([reference("FOLLOWS_FROM", "000000000000000100000000000000ff", "00000000000000ee")]),
        [
            json!([
                tag("otel.scope.name", "string", "lib"),
                tag("otel.scope.version", "string", "1.2"),
                tag("blob", "binary", "AQID"),
                tag("cached", "bool", true),
                tag("http.route", "string", "/cart"),
                tag("ids", "string", "[1,2]"),
                tag("large", "int64", "9007199254740993"),
                tag("ratio", "float64", 0.5),
                tag("retries", "int64", 3),
                tag("span.kind", "string", "server"),
                tag("otel.status_code", "string", "OK"),
                tag("w3c.tracestate", "string", "a=b"),
            ]),
            json!([{ "timestamp": 1_700_000_000_006_000_u64, "fields": [
                tag("event", "string", "exception"),
                tag("exception.type", "string", "Timeout"),
            ] }]),
            json!("p1"),
            Value::Null,
        ],
    );
    let child_of = json!([reference("CHILD_OF", SHORT, parent)]);
    let internal = json!([tag("span.kind", "string", "internal")]);
    let rest = [internal, json!([]), json!("p2"), json!([SKEW])];
    let early = span(4, "early", (2_000, 2_000), child_of, rest);
    let failed = json!([
        tag("span.kind", "string", "server"),
        tag("otel.status_code", "string", "ERROR"),
        tag("error", "bool", true),
        tag("otel.status_description", "string", "no stock"),
    ]);
    // The link says what the parent is.
    let follows = json!([reference("FOLLOWS_FROM", SHORT, parent)]);
    let rest = [failed, json!([]), json!("p2"), Value::Null];
    let stock = span(2, "stock", (6_000, 3_000), follows, rest);
    let logs = json!([{ "timestamp": 1_700_000_000_007_001_u64, "fields": [tag("event", "string", "retry")] }]);
    let orphan = json!([reference("CHILD_OF", SHORT, "0000000000000009")]);
    let lost = span(3, "lost", (7_000, 1), orphan, [json!([]), logs, json!("p2"), json!([LOST])]);
    let trace = json!({
        "traceID": SHORT,
        "spans": [root, early, stock, lost],
        "processes": {
            "p1": { "serviceName": "frontend", "tags": [tag("host.name", "string", "a")] },
            "p2": { "serviceName": "cart", "tags": [] },
        },
        "warnings": null,
    });
    let expected = envelope(json!([trace]), 0);
    // With or without leading zeros, in either case, and in base64.
    for id in [TRACE, "2a", "000000000000002A", "AAAAAAAAAAAAAAAAAAAAKg==", "AAAAAAAAACo"] {
        assert_eq!(ask(&server, &format!("/api/traces/{id}")), expected, "{id}");
    }
    let searched = "/api/traces?service=cart&start=1700000000000000&end=1700000001000000";
    assert_eq!(ask(&server, searched), expected);
    let tagged = "tag=error:true&tag=span.kind:SERVER&tags=%7B%22service.name%22:%22cart%22%7D";
    assert_eq!(ask(&server, &format!("/api/traces?start=0&{tagged}")), expected);
    for tag in ["blob:AQID", "ids:%5B1,2%5D", "ratio:0.5", "cached:true"] {
        let found = ask(&server, &format!("/api/traces?start=0&tag={tag}"));
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{tag}");
    }
    let none = ask(&server, "/api/traces?start=0&tag=error:true&tag=retries:3");
    assert_eq!(none, envelope(json!([]), 0), "no span has both");
    assert_eq!(ask(&server, "/api/traces?traceID=2A&traceID=2a"), expected);

    let raw = ask(&server, "/api/traces/2a?raw=true&start=1&end=2&unknown=x");
    let spans = raw["data"][0]["spans"].as_array().unwrap();
    assert!(spans.iter().all(|span| span["warnings"].is_null()), "{raw}");
    assert_eq!(spans[0]["tags"][2], tag("http.route", "string", "/cart"), "{raw}");

    let pretty = get(&server, "/api/traces/2a?prettyPrint=true");
    assert!(pretty.text().starts_with("{\n    \"data\": [\n        {"), "{pretty}");
    assert_eq!(pretty.json(), expected);
}

#[test]
fn a_trace_of_the_third_api_is_what_was_sent_and_its_warnings_are_attributes() {
    let server = start(&[]);
    let sent = request();
    send(&server, &sent);
    let times =
        "query.startTimeMin=2023-11-14T22:13:20Z&query.startTimeMax=2023-11-14T23:13:21%2B01:00";
    let asked = |more: &str| ask(&server, &format!("/api/v3/traces{more}"));
    let raw = json!({ "result": sent });
    assert_eq!(asked(&format!("/{TRACE}?rawTraces=true")), raw);
    assert_eq!(asked("/2a?raw_traces=1&start_time=2023-11-14T22:13:20Z"), raw);
    // The plus of an offset that nobody escaped.
    let times_of_grafana = times.replace("%2B", "+");
    for times in [times, &times_of_grafana] {
        assert_eq!(asked(&format!("?{times}&query.rawTraces=true")), raw, "{times}");
    }

    let mut warned = sent;
    let attribute = |warning: &str| {
        let values = json!([{ "stringValue": warning }]);
        json!([{ "key": "@jaeger@warnings", "value": { "arrayValue": { "values": values } } }])
    };
    let spans = &mut warned["resourceSpans"][1]["scopeSpans"][0]["spans"];
    spans[0]["attributes"] = attribute(SKEW);
    spans[2]["attributes"] = attribute(LOST);
    let warned = json!({ "result": warned });
    assert_eq!(asked("/2a"), warned);
    assert_eq!(asked(&format!("?{times}&query.serviceName=cart")), warned);
}

#[test]
fn summaries_leave_out_what_is_zero() {
    let server = start(&[]);
    let times =
        "query.start_time_min=2023-11-14T22:13:20Z&query.start_time_max=2023-11-14T22:13:21Z";
    let summaries = |more: &str| ask(&server, &format!("/api/v3/trace-summaries?{times}{more}"));
    assert_eq!(summaries(""), json!({ "summaries": [] }));
    send(&server, &request());
    let expected = json!({ "summaries": [{
        "traceId": TRACE,
        "rootServiceName": "frontend",
        "rootOperationName": "GET /cart",
        "minStartTimeUnixNano": nanos(2_000),
        "maxEndTimeUnixNano": nanos(15_000),
        "spanCount": 4,
        "errorSpanCount": 1,
        "orphanSpanCount": 1,
        "services": [
            { "name": "cart", "spanCount": 3, "errorSpanCount": 1 },
            { "name": "frontend", "spanCount": 1 },
        ],
    }] });
    for more in [
        "",
        "&query.serviceName=cart&query.operationName=stock&query.durationMin=3ms&query.durationMax=3ms",
        "&query.service_name=cart&query.operation_name=stock&query.duration_min=3000us&query.duration_max=.003s",
        "&query.attributes={\"error\":\"true\",\"span.kind\":\"server\"}&query.num_traces=1",
        "&query.attributes={\"retries\":\"3\",\"resource.host.name\":\"a\",\"scope.version\":\"1.2\",\"scope.name\":\"lib\"}",
        "&query.attributes={\"span.status\":\"ok\",\"error\":\"false\",\"cached\":\"true\"}&query.search_depth=5",
        "&query.attributes=null&unknown=1",
    ] {
        assert_eq!(summaries(&more.replace('"', "%22")), expected, "{more}");
    }
    for more in [
        "&query.serviceName=none",
        "&query.serviceName=frontend&query.operationName=stock",
        "&query.durationMax=-1s",
        "&query.attributes={\"error\":\"perhaps\"}",
        "&query.attributes={\"resource.retries\":\"3\"}",
        "&query.attributes={\"error\":\"true\",\"span.kind\":\"client\"}",
        "&query.attributes={\"retries\":null}",
    ] {
        let told = summaries(&more.replace('"', "%22"));
        assert_eq!(told, json!({ "summaries": [] }), "{more}");
    }
}

#[test]
fn services_operations_and_dependencies_are_told_by_both_apis() {
    let server = start(&[]);
    assert_eq!(ask(&server, "/api/services"), envelope(json!([]), 0));
    assert_eq!(ask(&server, "/api/v3/services"), json!({ "services": [] }));
    send(&server, &request());
    assert_eq!(ask(&server, "/api/services"), envelope(json!(["cart", "frontend"]), 2));
    assert_eq!(ask(&server, "/api/v3/services"), json!({ "services": ["cart", "frontend"] }));

    let names = ask(&server, "/api/services/cart/operations");
    assert_eq!(names, envelope(json!(["early", "lost", "stock"]), 3));
    assert_eq!(ask(&server, "/api/services/none/operations"), envelope(Value::Null, 0));
    let of = |name: &str, kind: &str| json!({ "name": name, "spanKind": kind });
    let all = json!([of("early", "internal"), of("lost", ""), of("stock", "server")]);
    assert_eq!(ask(&server, "/api/operations?service=cart"), envelope(all, 3));
    let servers = ask(&server, "/api/operations?service=cart&spanKind=server");
    assert_eq!(servers, envelope(json!([of("stock", "server")]), 1));
    assert_eq!(ask(&server, "/api/operations?service=none"), envelope(json!([]), 0));
    // The third one has no kind that is not said.
    let all = json!([of("early", "internal"), of("lost", "internal"), of("stock", "server")]);
    assert_eq!(ask(&server, "/api/v3/operations?service=cart"), json!({ "operations": all }));
    for spelling in ["spanKind", "span_kind"] {
        let servers = ask(&server, &format!("/api/v3/operations?service=cart&{spelling}=server"));
        assert_eq!(servers, json!({ "operations": [of("stock", "server")] }));
    }
    assert_eq!(ask(&server, "/api/v3/operations"), json!({ "operations": [] }));

    let link = json!([{ "parent": "frontend", "child": "cart", "callCount": 2 }]);
    let within = "endTs=1700000001000&lookback=2000";
    for more in ["", "&service=cart", "&service=frontend"] {
        let told = ask(&server, &format!("/api/dependencies?{within}{more}"));
        assert_eq!(told, envelope(link.clone(), 0), "{more}");
    }
    for none in [&format!("{within}&service=none"), "endTs=1&lookback=1", "", "endTs=-5"] {
        let told = ask(&server, &format!("/api/dependencies?{none}"));
        assert_eq!(told, envelope(json!([]), 0), "{none}");
    }
    let link = json!([{ "parent": "frontend", "child": "cart", "callCount": "2" }]);
    let told = ask(
        &server,
        "/api/v3/dependencies?startTime=2023-11-14T22:13:20Z&end_time=2023-11-14T22:13:21Z",
    );
    assert_eq!(told, json!({ "dependencies": link }));
}
