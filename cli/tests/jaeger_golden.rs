//! The 25 queries of Jaeger's storage integration test over its 32 traces, asked of Jaeger's query
//! API in both generations.

#[path = "../../tests/support/corpus.rs"]
mod corpus;
mod support;

use serde_json::Value;
use slipring::otlp::Request;
use std::collections::{BTreeMap, BTreeSet};
use support::Server;

const FOLDER: &str = "golden/jaeger-storage-integration";

/// Sends the fixtures. Returns the name of each trace's.
fn send(server: &Server) -> Option<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for entry in std::fs::read_dir(corpus::path(FOLDER)?).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "queries" {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        let answer = server.post("/v1/traces", "application/json", &body);
        assert_eq!(answer.status, 200, "{name}: {answer}");
        for span in Request::read_json(&body).unwrap().spans {
            names.insert(span.trace_id().to_string(), name.clone());
        }
    }
    assert_eq!(names.len(), 32);
    Some(names)
}

fn url(path: &str, parameters: &[(&str, String)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    format!("{path}?{query}")
}

/// Asks; nothing where Jaeger answers so that there is nothing.
fn ask(server: &Server, path: &str) -> Value {
    let answer = server.get_at(server.jaeger.unwrap(), path, &[]);
    assert!(matches!(answer.status, 200 | 404), "{path}: {answer}");
    answer.json()
}

/// Returns the ids of traces in a list of messages, with all digits.
fn ids<'v>(messages: impl Iterator<Item = &'v Value>, name: &str) -> BTreeSet<String> {
    messages.map(|message| format!("{:0>32}", message[name].as_str().unwrap())).collect()
}

#[test]
fn each_query_returns_the_traces_that_are_named_over_both_apis() {
    let server = Server::start(&["--jaeger", "127.0.0.1:0"]);
    let Some(names) = send(&server) else { return };
    let queries = corpus::read(&format!("{FOLDER}/queries.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&queries).unwrap();
    assert_eq!(cases.len(), 25);
    for case in cases {
        let (caption, asked) = (&case["Caption"], &case["Query"]);
        let expected: BTreeSet<&str> =
            case["ExpectedFixtures"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let text = |name: &str| asked[name].as_str().unwrap().to_owned();
        let microseconds = |name: &str| {
            text(name).parse::<jiff::Timestamp>().unwrap().as_microsecond().to_string()
        };
        let duration = |name: &str| match asked[name].as_u64().unwrap() {
            0 => String::new(),
            nanos => format!("{nanos}ns"),
        };
        let tags: BTreeMap<&String, String> = asked["Tags"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, value.as_str().map_or(value.to_string(), str::to_owned)))
            .collect();
        let tags =
            if tags.is_empty() { String::new() } else { serde_json::to_string(&tags).unwrap() };
        let limit = asked["NumTraces"].to_string();

        let older = url(
            "/api/traces",
            &[
                ("service", text("ServiceName")),
                ("operation", text("OperationName")),
                ("start", microseconds("StartTimeMin")),
                ("end", microseconds("StartTimeMax")),
                ("minDuration", duration("DurationMin")),
                ("maxDuration", duration("DurationMax")),
                ("tags", tags.clone()),
                ("limit", limit.clone()),
            ],
        );
        let of_third = |camel: bool, path: &str| {
            let names = if camel {
                [
                    "serviceName",
                    "operationName",
                    "startTimeMin",
                    "startTimeMax",
                    "durationMin",
                    "durationMax",
                    "searchDepth",
                ]
            } else {
                [
                    "service_name",
                    "operation_name",
                    "start_time_min",
                    "start_time_max",
                    "duration_min",
                    "duration_max",
                    "search_depth",
                ]
            };
            let names = names.map(|name| format!("query.{name}"));
            let values = [
                text("ServiceName"),
                text("OperationName"),
                text("StartTimeMin"),
                text("StartTimeMax"),
                duration("DurationMin"),
                duration("DurationMax"),
                limit.clone(),
            ];
            let mut parameters: Vec<(&str, String)> =
                names.iter().map(String::as_str).zip(values).collect();
            parameters.push(("query.attributes", tags.clone()));
            url(path, &parameters)
        };
        let told = ask(&server, &older);
        let by_older = ids(told["data"].as_array().unwrap().iter(), "traceID");
        let told = ask(&server, &of_third(true, "/api/v3/trace-summaries"));
        let by_summaries = ids(told["summaries"].as_array().unwrap().iter(), "traceId");
        let told = ask(&server, &of_third(false, "/api/v3/traces"));
        let resources = told["result"]["resourceSpans"].as_array().into_iter().flatten();
        let scopes = resources.flat_map(|one| one["scopeSpans"].as_array().unwrap());
        let by_third = ids(scopes.flat_map(|one| one["spans"].as_array().unwrap()), "traceId");
        for found in [by_older, by_summaries, by_third] {
            let found: BTreeSet<&str> = found.iter().map(|id| &*names[id]).collect();
            assert_eq!(found, expected, "{caption}");
        }
    }
}
