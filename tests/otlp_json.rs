//! Requests in JSON that are written in different ways: fields in any order, repeated fields, and
//! `null`.
#![cfg(feature = "otlp")]

use slipring::otlp::{Encoding, Kind, Request};

const IDS: &str = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;

fn read(kind: Kind, text: &str) -> Request {
    Request::read(kind, Encoding::Json, text.as_bytes()).unwrap()
}

/// A request of one span with these fields.
fn span(fields: &str) -> Request {
    read(
        Kind::Traces,
        &format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{IDS}{fields}}}]}}]}}]}}"#),
    )
}

/// A request of one log record whose body is this.
fn log(body: &str) -> Request {
    read(
        Kind::Logs,
        &format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{body}}}]}}]}}]}}"#),
    )
}

#[test]
fn fields_may_come_in_any_order() {
    let in_order = read(
        Kind::Metrics,
        r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},
            "scopeMetrics":[{"scope":{"name":"s"},"metrics":[{"name":"m","unit":"1","sum":{"dataPoints":[
            {"attributes":[{"key":"a","value":{"intValue":"1"}}],"timeUnixNano":"5","asInt":"7"}],
            "aggregationTemporality":2,"isMonotonic":true}}],"schemaUrl":"u"}],"schemaUrl":"v"}]}"#,
    );
    let reversed = read(
        Kind::Metrics,
        r#"{"resourceMetrics":[{"schemaUrl":"v","scopeMetrics":[{"schemaUrl":"u","metrics":[{"sum":{"isMonotonic":true,
            "aggregationTemporality":2,"dataPoints":[{"asInt":"7","timeUnixNano":"5",
            "attributes":[{"value":{"intValue":"1"},"key":"a"}]}]},"unit":"1","name":"m"}],"scope":{"name":"s"}}],
            "resource":{"attributes":[{"value":{"stringValue":"cart"},"key":"service.name"}]}}]}"#,
    );
    assert_eq!((in_order.len(), in_order.rejected.records()), (1, 0));
    assert_eq!(format!("{:?}", in_order.points), format!("{:?}", reversed.points));
}

#[test]
fn a_repeated_field_replaces_the_earlier_one() {
    let once = span(r#","name":"b","attributes":[{"key":"b"}],"status":{"code":2}"#);
    let again = span(
        r#","name":"a","attributes":[{"key":"a"}],"status":{"message":"m","code":1},
           "name":"b","attributes":[{"key":"b"}],"status":{"code":2}"#,
    );
    assert_eq!((again.rejected.records(), &again.spans), (0, &once.spans));
    assert_eq!(span(r#","name":"a","name":null"#).spans, span("").spans);
    // Each repetition searches for the field that it replaces, so the number of repetitions is
    // limited.
    let often = span(&r#","name":"a""#.repeat(100));
    assert_eq!(often.len(), 0);
    assert!(
        often.rejected.to_string().contains("repeats fields more than 16 times"),
        "{}",
        often.rejected
    );
}

#[test]
fn the_best_ranked_of_several_values_is_used() {
    let text = log(r#"{"stringValue":"x"}"#);
    for body in [
        r#"{"stringValue":"x","intValue":null,"boolValue":null}"#,
        r#"{"boolValue":null,"intValue":null,"stringValue":"x"}"#,
        r#"{"boolValue":true,"stringValue":"x"}"#,
        r#"{"stringValue":"x","boolValue":true}"#,
        r#"{"intValue":"none","stringValue":"x"}"#,
        r#"{"stringValue":"x","intValue":"none"}"#,
        r#"{"kvlistValue":{"values":[{"key":"k"}]},"bytesValue":"AA==","stringValue":"x"}"#,
    ] {
        let read = log(body);
        assert_eq!((read.rejected.records(), &read.logs), (0, &text.logs), "{body}");
    }
    let wrong = log(r#"{"boolValue":true,"intValue":"none"}"#);
    assert_eq!(
        wrong.rejected.to_string(),
        "1 record rejected: body: intValue: \"none\" instead of a whole number"
    );
}
