//! OTLP requests are read and written, for real telemetry and the protocol's own examples.
#![cfg(feature = "otlp")]

#[path = "support/corpus.rs"]
mod corpus;

use serde_json::Value as Json;
use slipring::otlp::{Encoding, Kind, Request, encode};
use slipring::{LogRecord, MetricPoint, Signal, Span, Store, Telemetry};
use std::collections::BTreeMap;

fn truth(file: &str) -> Option<Json> {
    let truth: Json = serde_json::from_slice(&corpus::read("otlp/truth.json")?).unwrap();
    Some(truth[file].clone())
}

fn requests(file: &str) -> Option<Vec<Request>> {
    let text = corpus::read(&format!("otlp/{file}"))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Some(lines.map(|line| Request::read_json(line).unwrap()).collect())
}

/// Returns stores that hold all records of these files.
fn holding(files: &[&str]) -> Option<Telemetry> {
    let telemetry =
        Telemetry::builder().traces(50_000).logs(10_000).metrics(200_000).build().unwrap();
    for file in files {
        for request in requests(file)? {
            let rejected = telemetry.ingest_request(request);
            assert!(rejected.is_empty(), "{file}: {rejected}");
        }
    }
    telemetry.flush().unwrap();
    Some(telemetry)
}

/// The keys of an index by name, as texts.
fn keys<T: Signal>(store: &Store<T>, index: &str) -> BTreeMap<String, u64> {
    store
        .key_counts(index)
        .unwrap()
        .into_iter()
        .map(|key| (key.key.to_string(), key.count))
        .collect()
}

/// Checks the number of an index's keys, and the counts of those in the list of truths.
fn check_keys<T: Signal>(store: &Store<T>, index: &str, truth: &Json, distinct: &str, top: &str) {
    let keys = keys(store, index);
    assert_eq!(keys.len() as u64, truth[distinct].as_u64().unwrap(), "{distinct}");
    for (key, count) in truth[top].as_object().unwrap() {
        assert_eq!(keys.get(key), count.as_u64().as_ref(), "{top}: {key}");
    }
}

#[test]
fn spans_agree_with_an_independent_count() {
    for file in ["shop_traces.jsonl", "train_traces.jsonl", "train_traces_redelivered.jsonl"] {
        let (Some(truth), Some(telemetry)) = (truth(file), holding(&[file])) else { return };
        let store = telemetry.traces();
        assert_eq!(store.len() as u64, truth["spans"].as_u64().unwrap(), "{file}");
        check_keys(store, "trace", &truth, "traces", "top_trace");
        check_keys(store, "service", &truth, "services", "top_service");
        check_keys(store, "name", &truth, "names", "top_name");
        let mut ids: Vec<_> =
            store.query().collect().unwrap().iter().map(|span| span.span_id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len() as u64, truth["distinct_span_ids"].as_u64().unwrap(), "{file}");
        store.audit().unwrap();
    }
}

#[test]
fn logs_agree_with_an_independent_count() {
    for file in ["shop_logs.jsonl", "train_logs.jsonl"] {
        let (Some(truth), Some(telemetry)) = (truth(file), holding(&[file])) else { return };
        let store = telemetry.logs();
        assert_eq!(store.len() as u64, truth["logs"].as_u64().unwrap(), "{file}");
        check_keys(store, "trace", &truth, "traces", "top_trace");
        check_keys(store, "service", &truth, "services", "top_service");
        let (mut by_text, mut without_time) = (BTreeMap::<String, u64>::new(), 0);
        store
            .query()
            .for_each(|_, log| {
                *by_text.entry(log.severity_text().to_string()).or_default() += 1;
                without_time += u64::from(log.time_unix_nanos() == 0);
            })
            .unwrap();
        assert_eq!(serde_json::to_value(by_text).unwrap(), truth["severity"], "{file}");
        assert_eq!(without_time, truth["zero_time"].as_u64().unwrap(), "{file}");
        store.audit().unwrap();
    }
}

#[test]
fn points_agree_with_an_independent_count() {
    let file = "shop_metrics.jsonl";
    let (Some(truth), Some(telemetry)) = (truth(file), holding(&[file])) else { return };
    let store = telemetry.metrics();
    assert_eq!(store.len() as u64, truth["points"].as_u64().unwrap());
    check_keys(store, "name", &truth, "names", "top_name");
    check_keys(store, "service", &truth, "services", "top_service");
    let types = keys(store, "type");
    assert_eq!(serde_json::to_value(types).unwrap(), truth["types"]);
    store.audit().unwrap();
}

/// With one shard of default capacity, filled by one thread, exactly the newest records are held.
#[test]
fn the_newest_records_of_a_large_file_are_kept() {
    let Some(requests) = requests("shop_traces.jsonl") else { return };
    let store: Store<Span> = Store::builder().shards(1).build().unwrap();
    let spans: Vec<Span> = requests.into_iter().flat_map(|request| request.spans).collect();
    store.push_batch(spans.clone()).unwrap();
    let newest: Vec<&Span> = spans.iter().rev().take(store.capacity()).collect();
    assert!(store.query().collect().unwrap().iter().eq(newest.iter().copied()));
    for index in Span::INDEXES {
        let mut expected = BTreeMap::<String, u64>::new();
        newest.iter().filter_map(|span| index.key(span)).for_each(|key| {
            *expected.entry(key.to_owned().to_string()).or_default() += 1;
        });
        assert_eq!(keys(&store, index.name()), expected, "{}", index.name());
    }
    store.audit().unwrap();
}

#[test]
fn a_redelivered_span_is_kept_and_shown_once() {
    let files = ["train_traces.jsonl", "train_traces_redelivered.jsonl"];
    let Some(telemetry) = holding(&files) else { return };
    let truths = files.map(|file| truth(file).unwrap());
    let spans = truths.each_ref().map(|truth| truth["spans"].as_u64().unwrap());
    assert_eq!(
        telemetry.traces().len() as u64,
        spans[0] + spans[1],
        "the store keeps what it is sent"
    );
    let mut duplicates = 0;
    for key in telemetry.traces().key_counts("trace").unwrap() {
        let id = key.key.to_string().parse::<slipring::TraceId>().unwrap();
        let trace = telemetry.traces().trace(id).unwrap();
        assert_eq!(trace.spans.len() as u64 + trace.duplicates, key.count);
        duplicates += trace.duplicates;
    }
    assert_eq!(duplicates, spans[1]);
}

/// The fields that may be present with a default value, so that leaving them out means the same.
fn without_empty(value: Json) -> Json {
    match value {
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, without_empty(value)));
            // A kind, code or count of 0, or an empty list or message, is the default.
            let says = |name: &str, value: &Json| match value {
                Json::Null | Json::Bool(false) => name.ends_with("Value"),
                Json::Array(list) => !list.is_empty(),
                Json::Object(fields) => !fields.is_empty(),
                Json::String(text) => {
                    !text.is_empty() && (text != "0" || matches!(name, "asInt" | "intValue"))
                        || name.ends_with("Value")
                }
                Json::Number(number) => {
                    number.as_f64() != Some(0.0)
                        || name.ends_with("Value")
                        || name.starts_with("as")
                }
                Json::Bool(true) => true,
            };
            Json::Object(fields.filter(|(name, value)| says(name, value)).collect())
        }
        Json::Array(list) => list.into_iter().map(without_empty).collect(),
        Json::Number(number) => number.as_f64().into(),
        other => other,
    }
}

/// Returns every record of a JSON request with what it shares, sorted, so that the grouping does
/// not matter.
fn flat(request: &Json) -> Vec<String> {
    let mut all = Vec::new();
    let kinds = [
        ("resourceSpans", "scopeSpans", "spans"),
        ("resourceLogs", "scopeLogs", "logRecords"),
        ("resourceMetrics", "scopeMetrics", "metrics"),
    ];
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    for (resources, scopes, records) in kinds {
        for resource in list(&request[resources]) {
            for scope in list(&resource[scopes]) {
                for record in list(&scope[records]) {
                    let shared = [
                        &resource["resource"],
                        &resource["schemaUrl"],
                        &scope["scope"],
                        &scope["schemaUrl"],
                    ];
                    let mut points = Vec::new();
                    for data in ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] {
                        for point in list(&record[data]["dataPoints"]) {
                            let mut metric = record.clone();
                            metric[data]["dataPoints"] = Json::Array(vec![point]);
                            points.push(metric);
                        }
                    }
                    let records =
                        if resources == "resourceMetrics" { points } else { vec![record] };
                    for record in records {
                        let whole =
                            Json::Array(shared.into_iter().cloned().chain([record]).collect());
                        all.push(without_empty(whole).to_string().replace("null", "{}"));
                    }
                }
            }
        }
    }
    all.sort_unstable();
    all
}

/// Converts ids to lower case, as the library writes them.
fn lower_ids(value: Json) -> Json {
    match value {
        Json::Object(fields) => {
            let lower = |(name, value): (String, Json)| match value {
                Json::String(id) if name.ends_with("Id") => (name, Json::String(id.to_lowercase())),
                value => (name, lower_ids(value)),
            };
            Json::Object(fields.into_iter().map(lower).collect())
        }
        Json::Array(list) => list.into_iter().map(lower_ids).collect(),
        other => other,
    }
}

/// Writes the records in both encodings, and reads them back.
fn round_trips(request: &Request) -> [Request; 2] {
    [Encoding::Protobuf, Encoding::Json].map(|encoding| {
        let mut all = Request::default();
        let (spans, logs, points) = (&request.spans, &request.logs, &request.points);
        let mut read = |kind, bytes: Vec<u8>| {
            let read = Request::read(kind, encoding, &bytes).unwrap();
            assert!(read.rejected.is_empty());
            all.spans.extend(read.spans);
            all.logs.extend(read.logs);
            all.points.extend(read.points);
        };
        read(Kind::Traces, encode::<Span>(spans, encoding));
        read(Kind::Logs, encode::<LogRecord>(logs, encoding));
        read(Kind::Metrics, encode::<MetricPoint>(points, encoding));
        all
    })
}

/// Sorts records.
fn sorted<T: serde::Serialize>(records: &[T]) -> Vec<String> {
    let mut all: Vec<String> =
        records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    all.sort_unstable();
    all
}

#[test]
fn records_are_written_and_read_back_equal() {
    let Some(examples) = corpus::path("golden/opentelemetry-proto") else { return };
    let files = std::fs::read_dir(examples)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let otlp = [
        "shop_logs",
        "train_logs",
        "train_traces",
        "train_traces_redelivered",
        "shop_traces",
        "shop_metrics",
    ];
    let lines = otlp.into_iter().flat_map(|name| {
        let text = corpus::read(&format!("otlp/{name}.jsonl")).unwrap();
        // Take some of each, because all of them would take a debug build over a minute.
        text.split(|byte| *byte == b'\n').step_by(7).map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    let mut records = 0;
    for body in files.chain(lines).filter(|body| !body.is_empty()) {
        let request = Request::read_json(&body).unwrap();
        assert!(request.rejected.is_empty(), "{}", request.rejected);
        records += request.len();
        let Ok(given) = serde_json::from_slice(&body) else {
            // Twelve lines have NaN without quotes.
            assert!(body.windows(4).any(|window| window == b":NaN"));
            continue;
        };
        let given = flat(&lower_ids(given));
        assert_eq!(given.len(), request.len());
        let written: Vec<String> = [
            encode(&request.spans, Encoding::Json),
            encode(&request.logs, Encoding::Json),
            encode(&request.points, Encoding::Json),
        ]
        .iter()
        .flat_map(|json| flat(&serde_json::from_slice(json).unwrap()))
        .collect();
        let mut written = written;
        written.sort_unstable();
        assert!(given == written, "{:#?}", given.iter().zip(&written).find(|(a, b)| a != b));
        for back in round_trips(&request) {
            assert_eq!(sorted(&back.spans), sorted(&request.spans));
            assert_eq!(sorted(&back.logs), sorted(&request.logs));
            assert_eq!(sorted(&back.points), sorted(&request.points));
        }
    }
    assert!(records > 20_000, "{records}");
}
