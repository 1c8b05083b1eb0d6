//! The serialization of records as JSON for people.
#![cfg(feature = "otlp")]

use serde_json::{Value as Json, json};
use slipring::attribute::Attributes;
use slipring::metric::{
    Exemplar, ExponentialHistogram, Histogram, Number, PointValue, Quantile, Summary,
};
use slipring::otlp::{Encoding, Kind, Request};
use slipring::span::SpanEvent;
use slipring::trace::Trace;
use slipring::{LogRecord, MetricPoint, Span, TraceId, Value};

const AT: u64 = 1_795_800_000_123_456_789;

fn view(value: &impl serde::Serialize) -> Json {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn a_repeated_name_is_written_once_with_its_last_value() {
    let twice = Attributes::from([("k", Value::from(1)), ("other", 0.into()), ("k", 2.into())]);
    assert_eq!(serde_json::to_string(&twice).unwrap(), r#"{"other":0,"k":2}"#);
    let nested = Value::Map([("deep", Value::Map(twice.clone()))].into());
    assert_eq!(serde_json::to_string(&nested).unwrap(), r#"{"deep":{"other":0,"k":2}}"#);
    let many: Attributes = (0..100_000).map(|n| (format!("{}", n % 50_000), n)).collect();
    assert_eq!(view(&many).as_object().unwrap().len(), 50_000);
    assert_eq!(twice.get("k"), Some(&Value::Int(1)), "what was sent is kept");
}

#[test]
fn nan_and_infinities_are_written_as_strings() {
    let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5];
    let texts = [json!("NaN"), json!("Infinity"), json!("-Infinity"), json!(1.5)];
    for (double, text) in doubles.into_iter().zip(texts) {
        assert_eq!(view(&Value::Double(double)), text);
        assert_eq!(view(&PointValue::Double(double))["double"], text);
        assert_eq!(
            view(&Exemplar { value: Some(Number::Double(double)), ..Exemplar::default() })["value"],
            text
        );
        let bounds = Histogram {
            explicit_bounds: [double].into(),
            sum: Some(double),
            ..Histogram::default()
        };
        assert_eq!((&view(&bounds)["explicit_bounds"][0], &view(&bounds)["sum"]), (&text, &text));
        let exponential = ExponentialHistogram {
            zero_threshold: double,
            min: Some(double),
            ..Default::default()
        };
        assert_eq!(
            (&view(&exponential)["zero_threshold"], &view(&exponential)["min"]),
            (&text, &text)
        );
        let quantiles = [Quantile { quantile: double, value: double }].into();
        let summary = view(&Summary { sum: double, quantiles, count: 1 });
        assert_eq!((&summary["sum"], &summary["quantiles"][0]["value"]), (&text, &text));
    }
    assert_eq!(view(&Histogram::default())["sum"], Json::Null);
}

#[test]
fn numbers_that_readers_would_round_are_written_as_strings() {
    let event = SpanEvent { time_unix_nanos: AT, ..SpanEvent::default() };
    let owned = view(&event);
    let span = Span::builder().start_unix_nanos(AT).end_unix_nanos(AT + 1).events(&[event]).build();
    let shown = view(&span);
    assert_eq!(shown["events"][0], owned, "borrowed or owned, it is serialised alike");
    let at = json!(AT.to_string());
    assert_eq!([&shown["start_unix_nanos"], &shown["events"][0]["time_unix_nanos"]], [&at, &at]);
    let log = view(&LogRecord::builder().time_unix_nanos(AT).observed_unix_nanos(AT).build());
    assert_eq!([&log["time_unix_nanos"], &log["observed_unix_nanos"]], [&at, &at]);
    let point = view(&MetricPoint::builder().time_unix_nanos(AT).build());
    assert_eq!([&point["time_unix_nanos"], &point["start_unix_nanos"]], [&at, &json!("0")]);
    let trace = Trace::assemble(TraceId::from(7), vec![span]);
    assert_eq!(view(&trace.summary())["start_unix_nanos"], at);
    assert_eq!(view(&trace.critical_path())[0]["times"]["start"], at);
    assert_eq!(view(&Value::Int(1 << 53)), json!(1u64 << 53));
    assert_eq!(view(&Value::Int((1 << 53) + 1)), json!("9007199254740993"));
    assert_eq!(view(&Value::Int(i64::MIN)), json!("-9223372036854775808"));
    let far = (1u64 << 53) + 1;
    let long = Span::builder().start_unix_nanos(AT - far).end_unix_nanos(AT).build();
    let trace = Trace::assemble(TraceId::from(7), vec![long]);
    assert_eq!(view(&trace.summary())["duration"], json!("9007199254740993"));
    assert_eq!(view(&trace)["spans"][0]["self_time"], json!("9007199254740993"));
    let histogram =
        Histogram { count: far, bucket_counts: [far, 1].into(), ..Histogram::default() };
    let shown = view(&histogram);
    assert_eq!(
        (&shown["count"], &shown["bucket_counts"]),
        (&json!("9007199254740993"), &json!(["9007199254740993", 1]))
    );
}

#[test]
fn unpaired_surrogates_reject_no_record() {
    let body = r#"{"resourceSpans": [{"resource": {"attributes": [{"key": "a", "value": {"stringValue": "\udc00"}}]},
        "schemaUrl": "\ud800", "scopeSpans": [{"spans": [{"traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174", "name": "cut \ud83d", "startTimeUnixNano": 1.7958e18,
        "endTimeUnixNano": "1.7958e18", "attributes": [{"key": "NaN", "value": {"doubleValue": NaN}}]}]}]}]}"#;
    let request = Request::read(Kind::Traces, Encoding::Json, body.as_bytes()).unwrap();
    assert!(request.rejected.is_empty(), "{}", request.rejected);
    let span = &request.spans[0];
    assert_eq!((span.name(), span.start_unix_nanos()), ("cut \u{fffd}", 1_795_800_000_000_000_000));
    assert_eq!(
        span.resource().attributes().get("a"),
        Some(slipring::attribute::ValueRef::from("\u{fffd}"))
    );
    assert_eq!(span.start_unix_nanos(), span.end_unix_nanos());
}
