//! The 25 queries of Jaeger's storage integration test over its 32 traces, and wildcards over the
//! fixtures that no query uses.
#![cfg(feature = "otlp")]

#[path = "support/corpus.rs"]
mod corpus;

use serde::Deserialize;
use slipring::otlp::Request;
use slipring::{Match, Query, Span, Store, TraceId, Value};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    caption: String,
    query: Asked,
    expected_fixtures: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    service_name: String,
    operation_name: String,
    tags: Option<BTreeMap<String, serde_json::Value>>,
    start_time_min: String,
    start_time_max: String,
    duration_min: u64,
    duration_max: u64,
    num_traces: usize,
}

/// Parses a time such as `2017-01-26T15:46:31.639875Z` into nanoseconds since the Unix epoch.
fn nanos(time: &str) -> u64 {
    let (whole, fraction) = time.strip_suffix('Z').unwrap().split_once('.').unwrap();
    let parts: Vec<i64> = whole.split(['-', 'T', ':']).map(|part| part.parse().unwrap()).collect();
    let [year, month, day, hour, minute, second] = parts[..] else { panic!("{time}") };
    // Days from civil, by Howard Hinnant.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * (year - 1600) + (year - 1600) / 4 - (year - 1600) / 100 + (year - 1600) / 400;
    let days = days + (153 * month + 2) / 5 + day - 1 - 135_080;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    seconds as u64 * 1_000_000_000 + format!("{fraction:0<9}").parse::<u64>().unwrap()
}

/// Returns the store, and the fixture of each trace.
fn fixtures() -> Option<(Store<Span>, BTreeMap<TraceId, String>)> {
    let folder = corpus::path("golden/jaeger-storage-integration")?;
    let store: Store<Span> = Store::builder().build().unwrap();
    let mut names = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "queries" {
            continue;
        }
        let request = Request::read_json(&std::fs::read(&path).unwrap()).unwrap();
        assert!(request.rejected.is_empty(), "{name}: {}", request.rejected);
        for span in request.spans {
            names.insert(span.trace_id(), name.clone());
            store.push(span).unwrap();
        }
    }
    assert_eq!(names.len(), 32);
    Some((store, names))
}

fn found(query: Query<'_, Span>, names: &BTreeMap<TraceId, String>) -> BTreeSet<String> {
    query.collect().unwrap().iter().map(|span| names[&span.trace_id()].clone()).collect()
}

fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Bool(value) => value.into(),
        serde_json::Value::String(text) => Value::Text(text.into()),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Double(number.as_f64().unwrap()),
        },
        other => panic!("{other}"),
    }
}

#[test]
fn each_query_returns_the_traces_that_are_named() {
    let Some((store, names)) = fixtures() else { return };
    let cases: Vec<Case> = serde_json::from_slice(
        &corpus::read("golden/jaeger-storage-integration/queries.json").unwrap(),
    )
    .unwrap();
    assert_eq!(cases.len(), 25);
    for Case { caption, query: asked, expected_fixtures } in cases {
        let mut query = store
            .query()
            .key("service", &*asked.service_name)
            .between(nanos(&asked.start_time_min)..=nanos(&asked.start_time_max))
            .limit(asked.num_traces);
        if !asked.operation_name.is_empty() {
            query = query.key("name", &*asked.operation_name);
        }
        for (name, wanted) in asked.tags.unwrap_or_default() {
            query = query.attribute(name, Match::equals(value(wanted)));
        }
        query = query.duration(asked.duration_min..);
        if asked.duration_max != 0 {
            query = query.duration(..=asked.duration_max);
        }
        assert_eq!(found(query, &names), expected_fixtures, "{caption}");
    }
}

#[test]
fn wildcards_and_escapes_are_told_apart() {
    let Some((store, names)) = fixtures() else { return };
    let like = |service: &str, pattern: &str| {
        let query =
            store.query().key("service", service).attribute("sameplacetag1", Match::like(pattern));
        found(query, &names).into_iter().collect::<Vec<_>>()
    };
    let (one, other) = ("tags_wildcard_regex_1", "tags_wildcard_regex_2");
    assert_eq!(like("query24-service", "sameplacevalue*"), [one, other]);
    assert_eq!(like("query24-service", "sameplacevalue?"), [one, other]);
    assert_eq!(like("query24-service", "*1"), [one]);
    assert_eq!(like("query24-service", "same*value2"), [other]);
    assert!(like("query24-service", "sameplacevalue").is_empty());
    assert!(like("query24-service", "sameplacevalue.*").is_empty(), "no regular expression");
    let (star, different) = ("tags_escaped_operator_trace_1", "tags_escaped_operator_trace_2");
    assert_eq!(like("query23-service", r"same\*"), [star]);
    // Query 23's own fixture has the tag in its spans' scope or elsewhere, so it matches too.
    let all = like("query23-service", "same*");
    assert!(all.contains(&star.to_owned()) && all.contains(&different.to_owned()));
    assert_eq!(like("query23-service", "same?"), [star]);
    assert_eq!(like("query23-service", "*different*"), [different]);
    let wrong = store.query().attribute("sameplacetag1", Match::like(r"same\"));
    assert!(matches!(
        wrong.count(),
        Err(slipring::error::QueryError::BadPattern { found: None, .. })
    ));
}
