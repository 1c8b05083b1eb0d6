//! `slipring serve --keep`: kept traces stay whole when the stores have evicted their records.

mod support;

use slipring::Span;
use std::process::Command;
use std::time::{Duration, Instant};
use support::kept::{
    CONFIG, SEVEN, count, file, flood, log, send, send_spans, start, wait_for, with_seven,
};
use support::{SLIPRING, Server};

#[test]
fn a_kept_trace_is_answered_whole_after_the_stores_have_evicted_it() {
    let server = with_seven("whole.toml", &[]);
    let path = format!("/api/traces/{SEVEN}");
    let before = server.ask(&path);
    assert_eq!(before["kept"]["policy"], "errors");
    assert_eq!(before["kept"]["spans"], 0, "the store has them all");
    flood(&server);
    assert_eq!(server.ask(&format!("/api/count/spans?trace={SEVEN}&kept=no"))["count"], 0);
    let mut after = server.ask(&path);
    for (what, number) in [("spans", 5), ("logs", 2), ("exemplars", 1)] {
        assert_eq!(count(&after[what]), number, "{after}");
    }
    for (what, number) in [("spans", 5), ("logs", 2), ("points", 1), ("refused", 0)] {
        assert_eq!(after["kept"][what], number, "{after}");
    }
    after["kept"] = before["kept"].clone();
    after["summary"]["kept"] = before["summary"]["kept"].clone();
    assert_eq!(after, before, "beside that, it is the same answer");

    // Later ones follow, and stand in the store as well.
    send_spans(&server, 7, 6..=6);
    send(&server, "/v1/logs", &[log(7, 3)]);
    wait_for(&server, "slipring_kept_records{signal=\"span\"} 6");
    wait_for(&server, "slipring_kept_records{signal=\"log\"} 3");
    let late = server.ask(&path);
    assert_eq!((count(&late["spans"]), count(&late["logs"])), (6, 3));
    assert_eq!((&late["kept"]["spans"], &late["kept"]["logs"]), (&5.into(), &2.into()));
    assert_eq!((&late["duplicates"], &late["partial"]), (&0.into(), &false.into()));
    assert_eq!(server.get(&format!("/api/traces/{:032x}", 1_000)).status, 404);

    let stats = server.ask("/api/stats");
    assert_eq!(
        (&stats["kept"]["traces"], &stats["kept"]["records"]["spans"]),
        (&1.into(), &6.into())
    );
    assert_eq!(stats["kept"]["policies"][0]["kept"]["traces"], 1);
    assert!(stats["traces"]["span_count"].is_u64(), "{stats}");
}

#[test]
fn a_giant_trace_is_cut_and_told() {
    let config = format!("{CONFIG}\n[kept]\nmax_trace_bytes = \"8K\"");
    let server = start("giant.toml", &config, &[]);
    send_spans(&server, 7, 1..=90);
    wait_for(&server, "slipring_kept_traces 1");
    let path = format!("/api/traces/{SEVEN}");
    let trace = server.ask(&path);
    assert_eq!((count(&trace["spans"]), &trace["partial"]), (90, &false.into()));
    flood(&server);
    let trace = server.ask(&path);
    let (left, refused) = (count(&trace["spans"]) as u64, trace["kept"]["refused"].as_u64());
    assert!((10..90).contains(&left), "{left}");
    assert_eq!((refused, &trace["partial"]), (Some(90 - left), &true.into()));
    let figures = server.get("/metrics").text();
    let refused = format!("slipring_kept_refused_records_total{{signal=\"span\"}} {}", 90 - left);
    assert!(figures.contains(&refused), "{figures}");
}

#[test]
fn old_traces_leave_whole_and_are_counted() {
    let config = format!("{CONFIG}\n[kept]\nmax_age = \"1s\"");
    let server = start("age.toml", &config, &[]);
    send(&server, "/v1/logs", &[log(7, 1)]);
    send_spans(&server, 7, 1..=5);
    wait_for(&server, "slipring_kept_evicted_records_total{signal=\"span\"} 5");
    wait_for(&server, "slipring_kept_evicted_traces_total 1");
    wait_for(&server, "slipring_kept_bytes 0");
    flood(&server);
    assert_eq!(server.get(&format!("/api/traces/{SEVEN}")).status, 404);
}

#[test]
fn without_the_flag_no_answer_speaks_of_kept_traces_and_a_wrong_file_is_told() {
    let server = Server::start(&[]);
    send_spans(&server, 7, 1..=5);
    let paths = ["/api/traces".to_owned(), format!("/api/traces/{SEVEN}"), "/api/stats".to_owned()];
    for path in paths.into_iter().chain(["/metrics".to_owned()]) {
        let told = server.get(&path).text();
        assert!(!told.contains("kept_") && !told.contains("\"kept\""), "{told}");
    }
    let wrong = file("wrong-kept.toml", "[kept]\nmax_age = 7\n");
    let tried = Command::new(SLIPRING).arg("serve").arg("--keep").arg(wrong).output().unwrap();
    let told = String::from_utf8_lossy(&tried.stderr);
    assert_eq!(tried.status.code(), Some(3), "{told}");
    assert!(told.contains("--keep") && told.contains("line 2"), "{told}");
}

#[test]
fn the_file_is_read_again() {
    let server = start("again.toml", CONFIG, &[]);
    file("again.toml", &CONFIG.replace("\"error\"", "\"always\""));
    server.signal("-HUP");
    let deadline = Instant::now() + Duration::from_secs(60);
    // Nothing tells when it was read but what it does.
    for trace in 100.. {
        send_spans(&server, trace, 1..=1);
        let stats = server.ask("/api/stats");
        if stats["kept"]["traces"] != 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{stats}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn names_of_policies_are_labels_as_prometheus_reads_them() {
    let name = "a\tb\u{200b}\\c\"d\ne";
    let config = CONFIG.replace("\"errors\"", r#""a\tb\u200b\\c\"d\ne""#);
    let server = start("labels.toml", &config, &[]);
    let figures = server.get("/metrics").text();
    let escaped = name.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let line = format!("slipring_decided_traces_total{{policy=\"{escaped}\",outcome=\"kept\"}} 0");
    assert!(figures.lines().any(|one| one == line), "not {line}:\n{figures}");
}

#[test]
fn spans_that_the_sampler_rejects_or_evicts_undecided_are_counted() {
    let config = format!("max_span_bytes = 200\nmax_traces = 1\non_full = \"evict\"\n{CONFIG}")
        .replace("20ms", "20s");
    let server = start("rejected.toml", &config, &[]);
    let long = Span::builder().trace_id(5).span_id(1).name("x".repeat(1_000)).build();
    send(&server, "/v1/traces", &[long]);
    for trace in [100, 101, 102] {
        send_spans(&server, trace, 1..=1);
    }
    wait_for(&server, "slipring_undecidable_spans_total{reason=\"too_large\"} 1");
    wait_for(&server, "slipring_evicted_undecided_spans_total 2");
    let kept = &server.ask("/api/stats")["kept"];
    assert_eq!(kept["evicted_undecided"]["spans"], 2, "{kept}");
    assert_eq!(kept["rejected_spans"]["too_large"], 1, "{kept}");
}

#[test]
fn an_error_of_the_file_is_told_in_one_line() {
    let wrong = file("wrong-line.toml", "[kept]\nmax_age = 7\n");
    let tried = Command::new(SLIPRING).arg("serve").arg("--keep").arg(wrong).output().unwrap();
    let told = String::from_utf8_lossy(&tried.stderr);
    let line = told.lines().find(|line| line.contains("--keep")).unwrap_or_default();
    assert!(line.contains("line 2") && line.contains("max_age = 7"), "{told}");
}
