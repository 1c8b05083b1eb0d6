//! Bad requests in JSON.

use super::Expected::{self, Read, Refused};
use super::{TRACE, beside, fine, good, logs, metrics, one_bad, span, spans};
use serde_json::{Value as Json, json};
use slipring::otlp::Kind;

pub fn cases() -> Vec<(&'static str, Kind, Vec<u8>, Expected)> {
    use Kind::{Logs, Metrics, Traces};
    let nested = |depth: usize| {
        format!("{}1{}", r#"{"arrayValue":{"values":["#.repeat(depth), "]}}".repeat(depth))
    };
    let deep = |depth| {
        let attribute = format!(
            r#"[{{"key":"deep","value":{}}}]"#,
            nested(depth).replace('1', r#"{"intValue":"1"}"#)
        );
        let bad = good().to_string().replacen('{', &format!(r#"{{"attributes":{attribute},"#), 1);
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{bad},{}]}}]}}]}}"#, good())
            .into_bytes()
    };
    let point = |fields: Json| json!({ "name": "m", "gauge": { "dataPoints": [fields, { "asInt": "1" }] } });
    vec![
        ("nothing", Traces, b"".to_vec(), Refused { why: "EOF" }),
        ("an empty object", Traces, b"{}".to_vec(), fine(0)),
        ("null for a list", Traces, br#"{"resourceSpans":null}"#.to_vec(), fine(0)),
        ("no object", Traces, b"7".to_vec(), Refused { why: "invalid type" }),
        ("truncated", Traces, spans(&[good()])[..60].to_vec(), Refused { why: "EOF" }),
        (
            "text after the end",
            Traces,
            [spans(&[good()]), b"}".to_vec()].concat(),
            Refused { why: "trailing" },
        ),
        (
            "no UTF-8",
            Traces,
            b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}".to_vec(),
            Refused { why: "unicode" },
        ),
        (
            "an object for a list",
            Traces,
            br#"{"resourceSpans":{}}"#.to_vec(),
            Refused { why: "invalid type" },
        ),
        (
            "another kind",
            Traces,
            logs(&[json!({})]),
            Read { records: 0, rejected: 1, why: "send them to /v1/logs" },
        ),
        (
            "fields that are not known",
            Traces,
            spans(&[span(json!({ "new": [1, { "a": null }] }))]),
            fine(1),
        ),
        (
            "a trace id too short",
            Traces,
            beside(span(json!({ "traceId": "5b8e" }))),
            one_bad("traceId has 2 bytes"),
        ),
        (
            "a trace id too long",
            Traces,
            beside(span(json!({ "traceId": format!("{TRACE}00") }))),
            one_bad("17 bytes"),
        ),
        (
            "an odd trace id",
            Traces,
            beside(span(json!({ "traceId": "5b8" }))),
            one_bad("traceId: \"5b8\" is not an even number"),
        ),
        (
            "no hexadecimal trace id",
            Traces,
            beside(span(json!({ "traceId": "x".repeat(32) }))),
            one_bad("traceId: "),
        ),
        (
            "a trace id of zeros",
            Traces,
            beside(span(json!({ "traceId": "0".repeat(32) }))),
            one_bad("traceId is all zero"),
        ),
        (
            "no span id",
            Traces,
            beside(span(json!({ "spanId": null }))),
            one_bad("spanId has 0 bytes"),
        ),
        (
            "a parent id too short",
            Traces,
            beside(span(json!({ "parentSpanId": "00" }))),
            one_bad("parentSpanId has 1 byte"),
        ),
        (
            "a parent id of zeros",
            Traces,
            spans(&[span(json!({ "parentSpanId": "0".repeat(16) }))]),
            fine(1),
        ),
        (
            "a number for a name",
            Traces,
            beside(span(json!({ "name": 7 }))),
            one_bad("name: a number instead of a string"),
        ),
        (
            "words for a time",
            Traces,
            beside(span(json!({ "startTimeUnixNano": "soon" }))),
            one_bad("\"soon\" instead of a whole"),
        ),
        (
            "a time below zero",
            Traces,
            beside(span(json!({ "startTimeUnixNano": "-1" }))),
            one_bad("-1 is out of range"),
        ),
        (
            "a time too large",
            Traces,
            beside(span(json!({ "endTimeUnixNano": 1e20 }))),
            one_bad("endTimeUnixNano: "),
        ),
        (
            "numbers for strings of numbers",
            Traces,
            spans(&[span(json!({ "startTimeUnixNano": 5, "flags": "1" }))]),
            fine(1),
        ),
        (
            "a kind by its name",
            Traces,
            spans(&[span(json!({ "kind": "SPAN_KIND_SERVER" }))]),
            fine(1),
        ),
        (
            "a kind of no known name",
            Traces,
            beside(span(json!({ "kind": "SPAN_KIND_BIG" }))),
            one_bad("kind: \"SPAN_KIND_BIG\""),
        ),
        ("a kind of no known number", Traces, spans(&[span(json!({ "kind": 99 }))]), fine(1)),
        (
            "an object for a list of attributes",
            Traces,
            beside(span(json!({ "attributes": { "a": 1 } }))),
            one_bad("attributes: an object"),
        ),
        (
            "a plain attribute",
            Traces,
            beside(span(json!({ "attributes": [{ "key": "a", "value": 1 }] }))),
            one_bad("attributes: a: a number"),
        ),
        (
            "bytes that are no base64",
            Traces,
            beside(span(json!({ "attributes": [{ "key": "a", "value": { "bytesValue": "*" } }] }))),
            one_bad("not valid base64"),
        ),
        (
            "duplicate attributes",
            Traces,
            spans(&[span(json!({ "attributes": [{ "key": "a" }, { "key": "a" }] }))]),
            fine(1),
        ),
        ("nested thirty deep", Traces, deep(30), fine(2)),
        ("nested a thousand deep", Traces, deep(1_000), one_bad("recursion limit")),
        (
            "half of a surrogate pair",
            Traces,
            String::from_utf8(beside(span(json!({ "name": "SURROGATE" }))))
                .unwrap()
                .replace("SURROGATE", r"\ud800")
                .into(),
            fine(2),
        ),
        ("a list for a record", Traces, beside(json!([1])), one_bad("a list instead of an object")),
        ("null for a record", Traces, beside(Json::Null), one_bad("traceId has 0 bytes")),
        (
            "a resource that is none",
            Traces,
            json!({ "resourceSpans": [
                { "resource": { "attributes": 7 }, "scopeSpans": [{ "spans": [good(), good()] }] },
                { "scopeSpans": [{ "scope": [], "spans": [good()] }, { "spans": [good()] }] }
            ] })
            .to_string()
            .into(),
            Read {
                records: 1,
                rejected: 3,
                why: "resource: attributes: a number instead of a list (2); scope: a list",
            },
        ),
        (
            "records directly in the request",
            Traces,
            json!({ "spans": [good(), good()], "resourceSpans": [] }).to_string().into(),
            Read {
                records: 0,
                rejected: 2,
                why: "spans in the request; it belongs in resourceSpans.scopeSpans",
            },
        ),
        (
            "scopes directly in the request",
            Metrics,
            json!({ "scopeSpans": [{ "spans": [good(), good()] }, { "spans": [good()] }] })
                .to_string()
                .into(),
            Read {
                records: 0,
                rejected: 3,
                why: "scopeSpans in the request; it belongs in resourceSpans",
            },
        ),
        (
            "lists of another kind, or one level too high or too low",
            Logs,
            json!({ "resourceLogs": [
                { "scopeSpans": [{ "spans": [good()] }], "scopeLogs": [{ "logRecords": [{}] }] },
                { "logRecords": [{}, {}] },
                { "scopeLogs": [{ "spans": [good()] }, { "log_records": null, "spans": null }] },
                { "scopeLogs": [{ "scopeLogs": [{}, {}], "resourceSpans": [], "metrics": {} }] },
                { "resource_logs": [{}] },
            ] })
            .to_string()
            .into(),
            Read {
                records: 1,
                rejected: 8,
                why: "scopeSpans in resourceLogs; it belongs in resourceSpans (1); logRecords in \
                      resourceLogs; it belongs in resourceLogs.scopeLogs (2); spans in \
                      resourceLogs.scopeLogs; it belongs in resourceSpans.scopeSpans (1); metrics in resourceLogs.scopeLogs; \
                      it belongs in resourceMetrics.scopeMetrics (1); scopeLogs \
                      in resourceLogs.scopeLogs; it belongs in resourceLogs (2)",
            },
        ),
        (
            "lists in wrong places in lists in wrong places, however deep",
            Logs,
            format!(
                r#"{{"resourceLogs":[{}{{}}{}]}}"#,
                r#"{"scopeLogs":[{"scopeLogs":[{"resourceLogs":["#.repeat(100_000),
                "]}]}]}".repeat(100_000)
            )
            .into(),
            Read {
                records: 0,
                rejected: 1,
                why: "scopeLogs in resourceLogs.scopeLogs; it belongs in resourceLogs",
            },
        ),
        (
            "a span with a field in snake case",
            Traces,
            beside(span(json!({ "start_time_unix_nano": "5" }))),
            one_bad(
                "start_time_unix_nano instead of startTimeUnixNano; names in JSON are in lowerCamelCase",
            ),
        ),
        (
            "a log record with a field in snake case, and one that has it in camel case too",
            Logs,
            logs(&[
                json!({ "severity_number": 9 }),
                json!({ "trace_id": TRACE, "traceId": TRACE, "severity_text": null }),
            ]),
            one_bad("severity_number instead of severityNumber"),
        ),
        (
            "values in snake case, at any depth",
            Logs,
            logs(&[
                json!({ "body": { "string_value": "x" } }),
                json!({ "attributes": [{ "key": "k", "value": { "arrayValue": { "values": [{ "int_value": 1 }] } } }] }),
                json!({}),
            ]),
            Read {
                records: 1,
                rejected: 2,
                why: "body: string_value instead of stringValue; names in JSON are in lowerCamelCase (1); attributes: k: arrayValue: values: int_value",
            },
        ),
        (
            "a resource and a schema URL in snake case",
            Logs,
            json!({ "resourceLogs": [
                { "resource": { "dropped_attributes_count": 1 }, "scopeLogs": [{ "logRecords": [{}, {}] }] },
                { "schema_url": "u", "scopeLogs": [{ "logRecords": [{}] }] },
                { "scopeLogs": [{ "logRecords": [{}], "schema_url": null }] }
            ] })
            .to_string()
            .into(),
            Read {
                records: 1,
                rejected: 3,
                why: "resource: dropped_attributes_count instead of droppedAttributesCount; names in JSON are in lowerCamelCase (2); resource: schema_url instead of schemaUrl",
            },
        ),
        (
            "metrics in snake case",
            Metrics,
            metrics(&[
                json!({ "name": "m", "gauge": { "data_points": [{}, {}] } }),
                json!({ "name": "m", "exponential_histogram": { "dataPoints": [{}] } }),
                json!({ "name": "m", "sum": { "dataPoints": [{}, {}], "is_monotonic": true } }),
                json!({ "name": "m", "sum": { "dataPoints": [{ "as_int": "1" }, { "asInt": "1" }] } }),
                json!({ "name": "m", "dataPoints": [{}, {}] }),
            ]),
            Read {
                records: 1,
                rejected: 8,
                why: "gauge: data_points instead of dataPoints; names in JSON are in lowerCamelCase (2); exponential_histogram instead of exponentialHistogram",
            },
        ),
        (
            "unknown names, in snake case too",
            Traces,
            json!({
                "traces": [], "schema_url": "u", "resource_span": [{}],
                "resourceSpans": [{ "scope_span": [{}], "log_record": 1, "scopeSpans": [{
                    "span": [{}], "spans": [span(json!({ "service_name": "x", "trace_ids": [], "severity_number": 1 }))],
                }] }],
            })
            .to_string()
            .into(),
            fine(1),
        ),
        (
            "an id of a log that is no hexadecimal",
            Logs,
            logs(&[json!({ "traceId": "xyz", "spanId": "5b8" })]),
            fine(1),
        ),
        (
            "a link's id that is none",
            Traces,
            spans(&[span(json!({ "links": [{ "traceId": "xyz" }] }))]),
            fine(1),
        ),
        (
            "an exemplar's id that is none",
            Metrics,
            metrics(&[point(json!({ "exemplars": [{ "spanId": "x" }] }))]),
            fine(2),
        ),
        (
            "scopes and resources of which some are none",
            Logs,
            json!({ "resourceLogs": [
                null,
                [],
                { "schemaUrl": 5, "scopeLogs": [] },
                { "scopeLogs": [{ "logRecords": {} }, { "logRecords": [{}] }] }
            ] })
            .to_string()
            .into(),
            Read {
                records: 1,
                rejected: 4,
                why: "resource: a value of another type instead of an object (2)",
            },
        ),
        (
            "a metric of three points with bad metadata",
            Metrics,
            metrics(&[
                json!({ "metadata": 7, "gauge": { "dataPoints": [{}, {}, {}] } }),
                json!({ "gauge": { "dataPoints": [{}] } }),
            ]),
            Read { records: 1, rejected: 3, why: "metadata" },
        ),
        (
            "a metric of three points with a bad temporality",
            Metrics,
            metrics(&[
                json!({ "sum": { "aggregationTemporality": "X", "dataPoints": [{}, {}, {}] } }),
            ]),
            Read { records: 0, rejected: 3, why: "aggregationTemporality" },
        ),
        (
            "ids of a log that are none",
            Logs,
            logs(&[json!({ "traceId": "00", "spanId": "0".repeat(16) })]),
            fine(1),
        ),
        (
            "a log's id that is no text",
            Logs,
            logs(&[json!({ "traceId": 7 }), json!({})]),
            one_bad("traceId: a number"),
        ),
        ("a severity beyond those known", Logs, logs(&[json!({ "severityNumber": 99 })]), fine(1)),
        ("a body of no known type", Logs, logs(&[json!({ "body": { "newValue": 1 } })]), fine(1)),
        ("a metric without data", Metrics, metrics(&[json!({ "name": "m" })]), fine(0)),
        (
            "NaN and infinities",
            Metrics,
            metrics(&[
                point(json!({ "asDouble": "NaN" })),
                point(json!({ "asDouble": "-Infinity" })),
            ]),
            fine(4),
        ),
        (
            "a bad point",
            Metrics,
            metrics(&[point(json!({ "asInt": "1.5" }))]),
            one_bad("asInt: \"1.5\" instead of a whole number"),
        ),
        (
            "words for a count",
            Metrics,
            metrics(&[
                json!({ "name": "m", "histogram": { "dataPoints": [{ "count": "few" }, {}] } }),
            ]),
            one_bad("count: "),
        ),
        (
            "a temporality of no known name",
            Metrics,
            metrics(&[
                json!({ "sum": { "aggregationTemporality": "X", "dataPoints": [{}] } }),
                point(json!({})),
            ]),
            Read { records: 2, rejected: 1, why: "aggregationTemporality" },
        ),
    ]
}
