//! Pages and exports of records over stores and kept traces: each record once.

mod support;

use serde_json::Value;
use slipring::otlp::{Encoding, Kind, Request};
use slipring::{Span, SpanId};
use std::collections::BTreeSet;
use std::path::Path;
use support::Server;
use support::kept::{
    CONFIG, SEVEN, count, flood, log, point, send, send_spans, span, start, wait_for, with_seven,
};

#[test]
fn pages_of_all_records_have_those_of_kept_traces_once() {
    let server = with_seven("all-pages.toml", &[]);
    flood(&server);
    send_spans(&server, 7, 6..=6);
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 6");
    for order in ["newest", "oldest", "latest", "earliest"] {
        for limit in [7, 52, 104, 105, 1_000] {
            let question = format!("/api/spans?order={order}&limit={limit}");
            let (mut ids, mut after, mut from_kept, mut starts) =
                (Vec::new(), String::new(), 0, Vec::new());
            loop {
                let page = server.ask(&format!("{question}{after}"));
                let spans = page["spans"].as_array().unwrap();
                assert!(spans.len() <= limit, "{page}");
                ids.extend(
                    spans
                        .iter()
                        .map(|span| (span["trace_id"].to_string(), span["span_id"].to_string())),
                );
                starts.extend(spans.iter().map(|span| {
                    span["start_unix_nanos"].as_str().unwrap().parse::<u64>().unwrap()
                }));
                from_kept += page["report"]["from_kept"].as_u64().unwrap_or(0);
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            let distinct: BTreeSet<_> = ids.iter().collect();
            // 99 of the flood, and the late span, are in the store.
            assert_eq!(
                (ids.len(), distinct.len(), from_kept),
                (105, 105, 5),
                "{order}, {limit} a page"
            );
            match order {
                "latest" => assert!(starts.is_sorted_by(|one, next| one >= next)),
                "earliest" => assert!(starts.is_sorted()),
                "oldest" => assert!(ids[..5].iter().all(|(trace, _)| trace.contains(SEVEN))),
                _ => assert!(ids[100..].iter().all(|(trace, _)| trace.contains(SEVEN))),
            }
        }
    }
    let some = server.ask("/api/spans?status=error");
    assert_eq!((count(&some["spans"]), &some["spans"][0]["position"]), (1, &Value::Null));
    let none = server.ask("/api/spans?status=error&kept=no");
    assert_eq!(count(&none["spans"]), 0);
    assert_eq!(count(&server.ask("/api/metrics?limit=1000")["points"]), 101);
    assert_eq!(count(&server.ask("/api/traces?kept=no&status=error")["traces"]), 0);
}

#[test]
fn pages_of_a_kept_traces_records_show_each_once_in_every_order() {
    let server = with_seven("pages.toml", &[]);
    flood(&server);
    send(&server, "/v1/logs", &[log(7, 4), log(7, 3)]);
    wait_for(&server, "slipring_kept_records{signal=\"log\"} 4");
    for (order, wanted) in [
        ("newest", [3, 4, 2, 1]),
        ("oldest", [1, 2, 4, 3]),
        ("latest", [4, 3, 2, 1]),
        ("earliest", [1, 2, 3, 4]),
    ] {
        for limit in 1..=5 {
            let question = format!("/api/logs?trace={SEVEN}&order={order}&limit={limit}");
            let (mut bodies, mut after) = (Vec::new(), String::new());
            loop {
                let page = server.ask(&format!("{question}{after}"));
                let logs = page["logs"].as_array().unwrap();
                assert!(logs.len() <= limit, "{page}");
                bodies.extend(logs.iter().map(|log| log["body"].as_str().unwrap().to_owned()));
                let from_kept = logs.iter().filter(|log| log["position"].is_null()).count();
                assert_eq!(page["report"]["from_kept"].as_u64().unwrap_or(0), from_kept as u64);
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(bodies, wanted.map(|one| format!("log {one}")), "{order}, {limit} a page");
        }
    }
    let some = server.ask(&format!("/api/logs?trace={SEVEN}&body=log%201"));
    assert_eq!(count(&some["logs"]), 1, "conditions hold for kept records too");
    let moment = server.ask("/api/moment")["moment"].as_str().unwrap().to_owned();
    let since = server.ask(&format!("/api/logs?trace={SEVEN}&moment={moment}"));
    assert_eq!(count(&since["logs"]), 0, "what was kept before did not arrive since");

    let spans = server.get(&format!("/api/spans?trace={SEVEN}&format=otlp"));
    let spans = Request::read(Kind::Traces, Encoding::Json, &spans.body).unwrap().spans;
    let ids: BTreeSet<SpanId> = spans.iter().map(Span::span_id).collect();
    assert_eq!((spans.len(), ids.len()), (5, 5));
}

#[test]
fn an_export_and_a_saved_file_have_the_records_of_kept_traces_once() {
    let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept.jsonl");
    let server = with_seven("export.toml", &["--save", saved.to_str().unwrap()]);
    let check = |text: &str, late: usize| {
        let read = text.lines().map(|line| Request::read_json(line.as_bytes()).unwrap());
        let (mut spans, mut logs, mut points) = (Vec::new(), Vec::new(), Vec::new());
        for read in read {
            spans.extend(read.spans);
            logs.extend(read.logs);
            points.extend(read.points);
        }
        assert_eq!(spans.iter().filter(|span| span.trace_id() == 7.into()).count(), 5 + late);
        assert_eq!(logs.iter().filter(|log| log.trace_id() == Some(7.into())).count(), 2 + late);
        assert!(points.contains(&point(7)));
        assert_eq!(spans.len(), logs.len() + 3);
    };
    check(&server.get("/api/export").text(), 0);
    flood(&server);
    check(&server.get("/api/export").text(), 0);
    send_spans(&server, 7, 6..=6);
    send(&server, "/v1/logs", &[log(7, 3)]);
    wait_for(&server, "slipring_kept_records{signal=\"log\"} 3");
    check(&server.get("/api/export").text(), 1);
    let (ended_well, told) = server.stop();
    assert!(ended_well, "{told}");
    check(&std::fs::read_to_string(saved).unwrap(), 1);
}

/// Between two pages, the store evicts what was shown, what is yet to be shown, and both; and a
/// trace is kept of which records were shown.
#[test]
fn pages_show_each_record_once_while_the_store_evicts() {
    let fill = |server: &Server, from: u128, count: u128| {
        let spans: Vec<_> = (0..count).map(|one| span(from + one, 1)).collect();
        send(server, "/v1/traces", &spans);
    };
    let check = |order: &str| {
        // How many other spans come after the first, the second and the third page: the store has
        // room for a hundred.
        for come in [[0, 0, 0], [30, 0, 0], [60, 30, 30], [100, 0, 0], [0, 200, 0], [80, 80, 80]] {
            let server = start(&format!("evicting-{order}.toml"), CONFIG, &[]);
            // Two kept traces, of which the second is in the store when the first page is asked for.
            send_spans(&server, 7, 1..=5);
            fill(&server, 100, 97);
            send_spans(&server, 8, 1..=5);
            wait_for(&server, "slipring_kept_records{signal=\"span\"} 10");
            // Without its root, a third one is undecided.
            send_spans(&server, 9, 3..=3);
            let question = format!("/api/spans?order={order}&limit=4");
            let (mut shown, mut after, mut page_number) = (Vec::new(), String::new(), 0);
            loop {
                let page = server.ask(&format!("{question}{after}"));
                assert_eq!(page["report"]["may_repeat"], Value::Null);
                let again = server.ask(&format!("{question}{after}"));
                assert_eq!(again["spans"], page["spans"], "a page can be asked for again");
                shown.extend(page["spans"].as_array().unwrap().iter().map(|span| {
                    let trace = span["trace_id"].as_str().unwrap();
                    let trace = u128::from_str_radix(trace, 16).unwrap();
                    (trace, span["span_id"].as_str().unwrap().to_owned())
                }));
                let Some(next) = page["next"].as_str() else { break };
                assert!(page_number < 400, "{order} {come:?}: the list does not end");
                after = format!("&after={next}");
                if page_number == 0 {
                    // The third trace is kept after its first span was shown, or not yet.
                    send_spans(&server, 9, 1..=2);
                    wait_for(&server, "slipring_kept_traces 3");
                }
                fill(
                    &server,
                    1_000 + 1_000 * page_number as u128,
                    *come.get(page_number).unwrap_or(&0),
                );
                page_number += 1;
            }
            let distinct: BTreeSet<_> = shown.iter().collect();
            assert_eq!(shown.len(), distinct.len(), "{order} {come:?}: {shown:?}");
            for trace in [7, 8] {
                let of_trace = shown.iter().filter(|(id, _)| *id == trace).count();
                assert_eq!(of_trace, 5, "{order} {come:?}: {shown:?}");
            }
            assert!(shown.iter().any(|(id, _)| *id == 9), "{order} {come:?}: {shown:?}");
        }
    };
    std::thread::scope(|threads| {
        for order in ["newest", "oldest", "latest", "earliest"] {
            threads.spawn(move || check(order));
        }
    });
}

/// The server remembers 64 lists.
#[test]
fn a_list_that_was_forgotten_says_on_each_later_page_that_it_may_repeat() {
    let server = with_seven("forgotten.toml", &[]);
    flood(&server);
    let page = |after: &Value| {
        let after = after.as_str().map_or(String::new(), |next| format!("&after={next}"));
        server.ask(&format!("/api/spans?order=oldest&limit=2{after}"))
    };
    let first = page(&Value::Null);
    assert_eq!(first["report"]["may_repeat"], Value::Null);
    for _ in 0..64 {
        page(&Value::Null);
    }
    let mut next = first["next"].clone();
    for _ in 0..3 {
        let later = page(&next);
        assert_eq!(later["report"]["may_repeat"], Value::Bool(true), "{later}");
        next = later["next"].clone();
    }
}
