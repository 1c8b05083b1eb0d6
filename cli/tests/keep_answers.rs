//! Counts, groups, lists, keys and the graph over stores and kept traces: each record once.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::kept::{SEVEN, call, count, flood, send, send_spans, wait_for, with_seven};

#[test]
fn counts_groups_keys_and_the_graph_have_each_kept_record_once() {
    let server = with_seven("counts.toml", &[]);
    send(&server, "/v1/traces", &call(8, "shop", "old"));
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 7");
    let count = |question: &str| {
        let told = server.ask(&format!("/api/count/{question}"));
        (told["count"].as_u64().unwrap(), told["from_kept"].as_u64().unwrap_or(0))
    };
    assert_eq!((count("spans"), count("logs"), count("metrics")), ((7, 0), (2, 0), (1, 0)));
    let before = server.ask("/api/graph");
    flood(&server);
    assert_eq!((count("spans"), count("logs"), count("metrics")), ((107, 7), (102, 2), (101, 1)));
    assert_eq!(count(&format!("spans?trace={SEVEN}")), (5, 5));
    assert_eq!(count("spans?status=error"), (3, 3));
    assert_eq!(count("spans?service=cart&name=step%202"), (1, 1));
    assert_eq!(count("logs?body=log%201"), (1, 1));
    assert_eq!((count("spans?kept=no"), count("spans?kept=no&status=error")), ((100, 0), (0, 0)));
    assert_eq!(server.get("/api/count/spans?kept=maybe").status, 400);
    // A late one is in the store, and kept: each of its traces' records still counts once.
    send_spans(&server, 7, 6..=6);
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 8");
    assert_eq!(count("spans"), (107, 7));

    let groups = server.ask("/api/group/spans?by=service&order=errors");
    let group = |service: &str| {
        let all = groups["groups"].as_array().unwrap();
        all.iter().find(|one| one["key"]["service"] == service).unwrap().clone()
    };
    let (cart, old) = (group("cart"), group("old"));
    assert_eq!(
        (&cart["count"], &cart["from_kept"], &cart["errors"]),
        (&105.into(), &5.into(), &1.into())
    );
    assert_eq!((&old["count"], &old["from_kept"]), (&1.into(), &1.into()));
    assert_eq!(groups["report"]["from_kept"], 7);
    // Rates are those of the store, which has been here for a shorter time.
    let alone = server.ask("/api/group/spans?by=service&kept=no");
    assert_eq!(cart["rate_per_second"], alone["groups"][0]["rate_per_second"]);
    assert_eq!(
        (old["rate_per_second"].as_f64(), &groups["seconds"]),
        (Some(0.0), &alone["seconds"])
    );
    assert_eq!(alone["report"]["from_kept"], Value::Null);

    let keys = server.ask("/api/keys/spans/service");
    let keys: Vec<_> =
        keys["keys"].as_array().unwrap().iter().map(|one| (&one["key"], &one["count"])).collect();
    let wanted: [(Value, Value); 3] =
        [("cart".into(), 105.into()), ("old".into(), 1.into()), ("shop".into(), 1.into())];
    assert_eq!(keys, wanted.iter().map(|(key, count)| (key, count)).collect::<Vec<_>>());
    assert_eq!(server.get("/api/keys/spans/colour").status, 400);
    let services = server.ask("/api/services");
    let cart = &services["services"][0];
    assert_eq!(
        (&cart["service"], &cart["spans"], &cart["logs"], &cart["metrics"]),
        (&"cart".into(), &105.into(), &102.into(), &101.into())
    );

    let graph = server.ask("/api/graph");
    assert_eq!(graph["calls"], before["calls"], "the call is from shop to old");
    assert_eq!(
        (&graph["services"][0]["spans"], &graph["services"][0]["errors"]),
        (&105.into(), &1.into())
    );
    assert_eq!(graph["report"]["from_kept"], 7);
    assert_eq!(self::count(&server.ask("/api/graph?kept=no")["calls"]), 0);

    // A series with gaps has no rate: kept points are left out, and that is said.
    let series = server.ask("/api/series");
    assert_eq!((&series["kept_asked"], self::count(&series["series"])), (&false.into(), 1));
    assert_eq!(self::count(&series["series"][0]["points"]), 1, "of one moment");

    let document = server.ask("/api/openapi.json");
    for path in
        ["/api/count/spans", "/api/group/spans", "/api/graph", "/api/series", "/api/services"]
    {
        let told = &document["paths"][path]["get"]["responses"]["200"]["content"];
        let mut schema = told["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
        let question =
            if path.contains("group") { format!("{path}?by=service") } else { path.to_owned() };
        let answer = server.ask(&question);
        assert!(validator.is_valid(&answer), "{question}: {answer}");
    }
}

#[test]
fn lists_of_traces_have_each_kept_trace_once_and_whole() {
    let server = with_seven("lists.toml", &[]);
    let ids = |query: &str| -> Vec<u64> {
        let answer = server.ask(&format!("/api/traces?{query}"));
        let id =
            |trace: &Value| u64::from_str_radix(trace["trace_id"].as_str().unwrap(), 16).unwrap();
        answer["traces"].as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(ids(""), [7], "it is in the store and kept");
    flood(&server);
    send_spans(&server, 7, 6..=6);
    assert_eq!(ids("status=error"), [7], "by a span that is only kept");
    assert_eq!(ids("name=step%206"), [7], "by a span that the store has");
    assert_eq!(ids("name=step%201&order=slowest&limit=1"), [7], "by the duration of all spans");
    assert_eq!(ids("root_name=step%201&at_least=5us"), [7]);
    assert_eq!(ids("status=error&root_name=step%202"), [0; 0]);
    let all = ids("limit=1000");
    let distinct: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (100, 100), "99 of the flood, and the kept one");
    assert!(all.is_sorted_by(|one, next| one > next), "by their start, newest first: {all:?}");

    let answer = server.ask("/api/traces?status=error");
    assert_eq!(answer["report"]["from_kept"], 5);
    let trace = &answer["traces"][0];
    assert_eq!((&trace["spans"], &trace["errors"]), (&6.into(), &1.into()));
    assert_eq!((&trace["kept"]["policy"], &trace["partial"]), (&"errors".into(), &false.into()));
    assert_eq!(server.ask("/api/traces?limit=1")["more"], true);

    // The document describes these answers too.
    let document = server.ask("/api/openapi.json");
    for (path, asked) in [
        ("/api/traces", "/api/traces?status=error".to_owned()),
        ("/api/traces/{id}", format!("/api/traces/{SEVEN}")),
        ("/api/spans", format!("/api/spans?trace={SEVEN}&limit=2")),
        ("/api/logs", format!("/api/logs?trace={SEVEN}")),
    ] {
        let told = &document["paths"][path]["get"]["responses"]["200"]["content"];
        let mut schema = told["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
        let answer = server.ask(&asked);
        assert!(validator.is_valid(&answer), "{asked}: {answer}");
        assert!(answer.to_string().contains("kept\":"), "{answer}");
    }
}

#[test]
fn jaegers_api_shows_a_kept_trace() {
    let server = with_seven("jaeger.toml", &["--jaeger", "127.0.0.1:0"]);
    flood(&server);
    let older = support::jaeger::ask(&server, &format!("/api/traces/{SEVEN}"));
    assert_eq!(count(&older["data"][0]["spans"]), 5, "{older}");
    let v3 = support::jaeger::ask(&server, &format!("/api/v3/traces/{SEVEN}"));
    let spans = &v3["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(count(spans), 5, "{v3}");

    let search = "/api/traces?start=1&service=cart&tags=%7B%22error%22:%22true%22%7D";
    let found = support::jaeger::ask(&server, search);
    assert_eq!(count(&found["data"]), 1, "{found}");
    assert_eq!(
        (count(&found["data"][0]["spans"]), &found["data"][0]["warnings"]),
        (5, &Value::Null)
    );
}

#[test]
fn jaegers_directory_has_what_only_kept_traces_have() {
    let server = with_seven("directory.toml", &["--jaeger", "127.0.0.1:0"]);
    send(&server, "/v1/traces", &call(8, "shop", "old"));
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 7");
    let asked = [
        "/api/services",
        "/api/v3/services",
        "/api/services/cart/operations",
        "/api/operations?service=old",
        "/api/v3/operations?service=old",
        "/api/dependencies?endTs=4000000000000&lookback=4000000000000",
        "/api/v3/dependencies?start_time=2000-01-01T00:00:00Z&end_time=2100-01-01T00:00:00Z",
    ];
    let before = asked.map(|path| support::jaeger::ask(&server, path));
    flood(&server);
    for (path, before) in asked.into_iter().zip(before) {
        let after = support::jaeger::ask(&server, path);
        assert_eq!(after, before, "{path}");
        assert!(
            ["old", "step 5", "call"].iter().any(|one| after.to_string().contains(one)),
            "{after}"
        );
    }
}
