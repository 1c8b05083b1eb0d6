//! A server that answers as Jaeger does, and a trace to ask it for.

use super::{Answer, Server};
use serde_json::{Value, json};

pub const TRACE: &str = "0000000000000000000000000000002a";
/// As the older API shows it: an id of 64 bits has 16 digits.
pub const SHORT: &str = "000000000000002a";

pub fn start(arguments: &[&str]) -> Server {
    Server::start(&[&["--jaeger", "127.0.0.1:0", "--shards", "1"], arguments].concat())
}

pub fn get(server: &Server, path: &str) -> Answer {
    server.get_at(server.jaeger.expect("it was asked for"), path, &[])
}

pub fn ask(server: &Server, path: &str) -> Value {
    let answer = get(server, path);
    assert_eq!(answer.status, 200, "{path}: {answer}");
    assert!(answer.head.contains("content-type: application/json"), "{path}: {}", answer.head);
    answer.json()
}

pub fn send(server: &Server, request: &Value) {
    let body = request.to_string();
    let answer = server.post("/v1/traces", "application/json", body.as_bytes());
    assert_eq!(answer.status, 200, "{answer}");
}

/// A moment, in nanoseconds since the Unix epoch: so many microseconds after the tests' beginning.
pub fn nanos(microseconds: u64) -> String {
    (1_700_000_000_000_000_000 + microseconds * 1_000).to_string()
}

pub fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A trace of four spans, in the order in which they are answered: a root, a child that began
/// before it by the clock of its host, a child, and one whose parent is not there.
pub fn request() -> Value {
    let root = json!({
        "traceId": TRACE, "spanId": "0000000000000001", "traceState": "a=b", "name": "GET /cart", "kind": 2,
        "startTimeUnixNano": nanos(5_000), "endTimeUnixNano": nanos(15_000),
        "attributes": [
            text("http.route", "/cart"),
            { "key": "retries", "value": { "intValue": "3" } },
            { "key": "large", "value": { "intValue": "9007199254740993" } },
            { "key": "ratio", "value": { "doubleValue": 0.5 } },
            { "key": "cached", "value": { "boolValue": true } },
            { "key": "blob", "value": { "bytesValue": "AQID" } },
            { "key": "ids", "value": { "arrayValue": { "values": [{ "intValue": "1" }, { "intValue": "2" }] } } },
        ],
        "events": [{
            "timeUnixNano": nanos(6_000), "name": "exception",
            "attributes": [text("exception.type", "Timeout")],
        }],
        "links": [{ "traceId": "000000000000000100000000000000ff", "spanId": "00000000000000ee" }],
        "status": { "code": 1 },
    });
    let early = json!({
        "traceId": TRACE, "spanId": "0000000000000004", "parentSpanId": "0000000000000001",
        "name": "early", "kind": 1, "startTimeUnixNano": nanos(2_000), "endTimeUnixNano": nanos(4_000),
    });
    let stock = json!({
        "traceId": TRACE, "spanId": "0000000000000002", "parentSpanId": "0000000000000001",
        "name": "stock", "kind": 2, "startTimeUnixNano": nanos(6_000), "endTimeUnixNano": nanos(9_000),
        "links": [{
            "traceId": TRACE, "spanId": "0000000000000001",
            "attributes": [text("opentracing.ref_type", "follows_from")],
        }],
        "status": { "message": "no stock", "code": 2 },
    });
    let lost = json!({
        "traceId": TRACE, "spanId": "0000000000000003", "parentSpanId": "0000000000000009",
        "name": "lost", "startTimeUnixNano": nanos(7_000), "endTimeUnixNano": nanos(7_001),
        "events": [{ "timeUnixNano": nanos(7_001), "name": "told otherwise", "attributes": [text("event", "retry")] }],
    });
    json!({ "resourceSpans": [
        {
            "resource": { "attributes": [text("service.name", "frontend"), text("host.name", "a")] },
            "scopeSpans": [{ "scope": { "name": "lib", "version": "1.2" }, "spans": [root] }],
        },
        {
            "resource": { "attributes": [text("service.name", "cart")] },
            "scopeSpans": [{ "scope": {}, "spans": [early, stock, lost] }],
        },
    ] })
}
