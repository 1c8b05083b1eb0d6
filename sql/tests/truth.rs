//! The counts of real telemetry, in SQL over stores that hold half of it, and files that have the other
//! half.

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::Int64Type;
use datafusion::prelude::SessionContext;
use serde_json::Value;
use slipring::Telemetry;
use slipring::otlp::Request;
use slipring_archive::{Archive, Place, Settings, Snapshot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

/// Returns the folder of the real telemetry, if it is there.
fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("SLIPRING_CORPUS").map_or_else(beside, PathBuf::from);
    let folder = folder.join("otlp");
    if folder.join("truth.json").exists() {
        return Some(folder);
    }
    println!("skipped: {} has no truth.json; set SLIPRING_CORPUS", folder.display());
    None
}

/// A session over a file of the corpus, of which the stores hold about a half.
struct Half {
    session: SessionContext,
    runtime: tokio::runtime::Runtime,
    snapshot: Snapshot,
    _archive: Archive,
    _folder: tempfile::TempDir,
}

fn half(file: &Path) -> Half {
    let text = std::fs::read(file).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let requests: Vec<Request> = lines.map(|line| Request::read_json(line).unwrap()).collect();
    let sum = |count: fn(&Request) -> usize| requests.iter().map(count).sum::<usize>();
    let most = [sum(|one| one.spans.len()), sum(|one| one.logs.len()), sum(|one| one.points.len())];
    let [traces, logs, metrics] = most.map(|all| (all / 2).max(1));
    let telemetry =
        Telemetry::builder().traces(traces).logs(logs).metrics(metrics).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path().to_str().unwrap()).unwrap();
    let mut settings = Settings::default();
    settings.queue_records = 1 << 20;
    settings.queue_bytes = 1 << 30;
    let archive = Archive::start(&telemetry, place, &settings).unwrap();
    for request in requests {
        telemetry.traces().push_batch(request.spans).unwrap();
        telemetry.logs().push_batch(request.logs).unwrap();
        telemetry.metrics().push_batch(request.points).unwrap();
    }
    let snapshot = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    let session = SessionContext::new();
    slipring_sql::register(&session, &snapshot).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let in_files: u64 =
        snapshot.parts().iter().flat_map(|part| &part.files).map(|file| file.records).sum();
    let all = most.iter().sum::<usize>() as u64;
    let report = snapshot.report();
    assert_eq!(report.from_stores + report.moved + in_files, all, "{report:?}");
    assert!(
        in_files >= all / 3 && report.from_stores >= all / 3,
        "{report:?}, {in_files} in files"
    );
    Half { session, runtime, snapshot, _archive: archive, _folder: folder }
}

impl Half {
    /// Returns the counts that a question has for keys.
    fn counts(&self, sql: &str) -> BTreeMap<String, i64> {
        let ask = async { self.session.sql(sql).await.unwrap().collect().await.unwrap() };
        let mut counts = BTreeMap::new();
        for batch in self.runtime.block_on(ask) {
            let keys = batch.column(0).as_string::<i32>();
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            for (key, number) in keys.iter().zip(numbers.values()) {
                *counts.entry(key.unwrap_or("").to_owned()).or_default() += number;
            }
        }
        counts
    }

    fn by(&self, table: &str, column: &str) -> BTreeMap<String, i64> {
        self.counts(&format!("SELECT \"{column}\", count(*) FROM {table} GROUP BY 1"))
    }

    fn number(&self, sql: &str) -> i64 {
        let ask = async { self.session.sql(sql).await.unwrap().collect().await.unwrap() };
        self.runtime.block_on(ask)[0].column(0).as_primitive::<Int64Type>().value(0)
    }
}

/// Checks counts by key against those of the truth, which has the first ones.
fn has(counts: &BTreeMap<String, i64>, truth: &Value, what: &str) {
    let truth = truth.as_object().unwrap_or_else(|| panic!("{what}: {truth}"));
    assert!(!truth.is_empty(), "{what}");
    for (key, count) in truth {
        assert_eq!(counts.get(key).copied(), count.as_i64(), "{what}: {key}");
    }
}

#[test]
fn counts_over_memory_and_files_are_those_of_the_corpus() {
    let Some(folder) = corpus() else { return };
    let truth = std::fs::read_to_string(folder.join("truth.json")).unwrap();
    let truth: BTreeMap<String, Value> = serde_json::from_str(&truth).unwrap();
    for (file, truth) in &truth {
        let half = half(&folder.join(file));
        let number = |name: &str| truth[name].as_i64();
        if truth.get("spans").is_some() {
            let [traces, services, names] =
                ["TraceId", "ServiceName", "SpanName"].map(|column| half.by("otel_traces", column));
            assert_eq!(Some(services.values().sum()), number("spans"), "{file}");
            let ids = half.number("SELECT count(DISTINCT \"SpanId\") FROM otel_traces");
            assert_eq!(Some(ids), number("distinct_span_ids"), "{file}");
            assert_eq!(Some(traces.len() as i64), number("traces"), "{file}");
            assert_eq!(Some(services.len() as i64), number("services"), "{file}");
            assert_eq!(Some(names.len() as i64), number("names"), "{file}");
            has(&traces, &truth["top_trace"], file);
            has(&services, &truth["top_service"], file);
            has(&names, &truth["top_name"], file);
        } else if truth.get("logs").is_some() {
            let [traces, services, severities] = ["TraceId", "ServiceName", "SeverityText"]
                .map(|column| half.by("otel_logs", column));
            assert_eq!(Some(services.values().sum()), number("logs"), "{file}");
            let traced = traces.keys().filter(|id| !id.is_empty()).count() as i64;
            assert_eq!(Some(traced), number("traces"), "{file}");
            assert_eq!(Some(services.len() as i64), number("services"), "{file}");
            has(&services, &truth["top_service"], file);
            has(&severities, &truth["severity"], file);
        } else {
            let tables = ["gauge", "sum", "histogram", "exponential_histogram", "summary"];
            let all = tables
                .map(|kind| format!("SELECT * FROM (SELECT \"MetricName\", \"ServiceName\", '{kind}' AS kind FROM otel_metrics_{kind})"))
                .join(" UNION ALL ");
            let by = |column: &str| {
                half.counts(&format!("SELECT {column}, count(*) FROM ({all}) GROUP BY 1"))
            };
            let [names, services, types] = ["\"MetricName\"", "\"ServiceName\"", "kind"].map(by);
            assert_eq!(Some(types.values().sum()), number("points"), "{file}");
            assert_eq!(Some(names.len() as i64), number("names"), "{file}");
            assert_eq!(Some(services.len() as i64), number("services"), "{file}");
            has(&types, &truth["types"], file);
            has(&names, &truth["top_name"], file);
            has(&services, &truth["top_service"], file);
        }
    }
}

#[test]
fn callers_in_one_place_are_joined_with_callees_in_the_other() {
    let Some(folder) = corpus() else { return };
    let file = folder.join("shop_traces.jsonl");
    let half = half(&file);
    let calls = half.number(
        r#"SELECT count(*) FROM otel_traces callee JOIN otel_traces caller
           ON callee."TraceId" = caller."TraceId" AND callee."ParentSpanId" = caller."SpanId""#,
    );
    // The same, counted record by record.
    let text = std::fs::read(&file).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let spans: Vec<_> = lines.flat_map(|line| Request::read_json(line).unwrap().spans).collect();
    let ids: std::collections::HashSet<_> =
        spans.iter().map(|span| (span.trace_id(), span.span_id())).collect();
    let has_caller = |span: &&slipring::Span| {
        span.parent_span_id().is_some_and(|parent| ids.contains(&(span.trace_id(), parent)))
    };
    assert_eq!(calls, spans.iter().filter(has_caller).count() as i64);
    assert!(calls > 10_000);
    let spans = half.snapshot.parts()[0].memory_records;
    assert!(spans > 0 && spans < 28_718, "both places have some");
}
