//! Tables over memory and files: the same columns, each record once while records leave, and files that
//! a question rules out.

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::Int64Type;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::SessionContext;
use slipring::{Span, Telemetry};
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::{Archive, Place, Settings, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
const HOUR: u64 = 3_600_000_000_000;

fn span(id: u64) -> Span {
    let at = HOUR * (1 + id / 1_000) + id;
    let span = Span::builder().trace_id(u128::from(id / 10 + 1)).span_id(id + 1).name("GET /");
    span.attribute("http.route", "/cart").start_unix_nanos(at).end_unix_nanos(at + 7).build()
}

fn numbers(session: &SessionContext, sql: &str) -> Vec<i64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = async { session.sql(sql).await.unwrap().collect().await.unwrap() };
    let rows = runtime.block_on(rows);
    rows[0].columns().iter().map(|one| one.as_primitive::<Int64Type>().value(0)).collect()
}

#[test]
fn each_record_counts_once_while_records_leave() {
    let telemetry = Telemetry::builder().traces(3_000).logs(10).metrics(10).build().unwrap();
    let place = Place::of_store(Arc::new(InMemory::new()), "history");
    let archive = Archive::start(&telemetry, place, &Settings::default()).unwrap();
    let pushed = AtomicU64::new(0);
    let session = SessionContext::new();
    let sql = "SELECT count(*), count(DISTINCT \"SpanId\") FROM otel_traces";
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for id in 0..20_000 {
                telemetry.traces().push(span(id)).unwrap();
                pushed.store(id + 1, Ordering::SeqCst);
                if id % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        while !pushing.is_finished() {
            let before = pushed.load(Ordering::SeqCst) as i64;
            let snapshot = Snapshot::take(&telemetry, &archive, LONG).unwrap();
            slipring_sql::register(&session, &snapshot).unwrap();
            let found = numbers(&session, sql);
            assert_eq!(found[0], found[1], "each once");
            assert!(found[0] >= before, "{found:?} of {before}");
            // Records leave between two questions to one snapshot, and it stays as it was.
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(numbers(&session, sql), found);
        }
    });
    let snapshot = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    slipring_sql::register(&session, &snapshot).unwrap();
    assert_eq!(numbers(&session, sql), [20_000, 20_000]);
    assert_eq!(archive.stats().lost.total(), 0);
}

#[test]
fn files_of_other_hours_are_not_opened() {
    let telemetry = Telemetry::builder().traces(500).logs(10).metrics(10).build().unwrap();
    let place = Place::of_store(Arc::new(InMemory::new()), "history");
    let archive = Archive::start(&telemetry, place, &Settings::default()).unwrap();
    (0..10_000).for_each(|id| _ = telemetry.traces().push(span(id)).unwrap());
    let snapshot = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    let session = SessionContext::new();
    slipring_sql::register(&session, &snapshot).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plan = |condition: &str| {
        let sql = format!("SELECT count(*) FROM otel_traces WHERE {condition}");
        let plan = async { session.sql(&sql).await.unwrap().create_physical_plan().await.unwrap() };
        let plan = displayable(runtime.block_on(plan).as_ref()).indent(true).to_string();
        (plan.matches("date=").count(), numbers(&session, &sql)[0])
    };
    let (all, count) = plan("\"SpanName\" = 'GET /'");
    assert_eq!(count, 10_000);
    assert!(all >= 10, "{all} files");
    let hour = "'1970-01-01T03:00:00' AND '1970-01-01T03:59:59'";
    let (some, count) = plan(&format!("\"Timestamp\" BETWEEN {hour}"));
    assert_eq!(count, 1_000);
    assert!(some <= 2, "{some} of {all} files");
    let route = "\"SpanAttributes\"['http.route'] = '/cart' AND \"Duration\" = 7 LIMIT 1";
    assert_eq!(plan(route).1, 10_000, "a limit of rows is not one of what is counted");
}

#[test]
fn a_session_lets_go_of_the_snapshot_before_once_no_plan_needs_it() {
    let telemetry = Telemetry::builder().traces(500).logs(10).metrics(10).build().unwrap();
    let place = Place::of_store(Arc::new(InMemory::new()), "history");
    let archive = Archive::start(&telemetry, place, &Settings::default()).unwrap();
    let session = SessionContext::new();
    let sql = "SELECT count(*) FROM otel_traces";
    (0..1_000).for_each(|id| _ = telemetry.traces().push(span(id)).unwrap());
    let first = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    slipring_sql::register(&session, &first).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let planned = async { session.sql(sql).await.unwrap().create_physical_plan().await.unwrap() };
    let planned = runtime.block_on(planned);

    (1_000..1_500).for_each(|id| _ = telemetry.traces().push(span(id)).unwrap());
    let second = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    slipring_sql::register(&session, &second).unwrap();
    assert_eq!(numbers(&session, sql), [1_500]);
    let rows = collect(Arc::clone(&planned), session.task_ctx());
    let rows = runtime.block_on(rows).unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 1_000);

    let is_held = |snapshot: &Snapshot| snapshot.parts().iter().any(|one| !one.memory.is_unique());
    assert!(is_held(&first) && is_held(&second));
    drop(planned);
    assert!(!is_held(&first));
}
