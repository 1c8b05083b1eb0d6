//! Snapshots: each record once, while records leave the stores for files.

mod support;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span, Telemetry};
use slipring_archive::object_store::ObjectStoreExt;
use slipring_archive::object_store::path::Path;
use slipring_archive::{Archive, Place, Settings, Snapshot, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::{in_memory, manual, patient, push};

const LONG: Duration = Duration::from_secs(60);

fn batches(file: Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// Returns the values of a column of texts, over memory and files.
fn texts(snapshot: &Snapshot, table: Table, column: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let part = snapshot.parts().iter().find(|part| part.table == table).unwrap();
    let mut all = batches(part.memory.clone());
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, part.memory_records);
    for file in &part.files {
        let path = Path::from(file.path.as_str());
        let get = async { snapshot.store().get(&path).await.unwrap().bytes().await.unwrap() };
        let of_file = batches(runtime.block_on(get));
        assert_eq!(of_file.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, file.records);
        all.extend(of_file);
    }
    let texts = all.iter().flat_map(|batch| {
        let column = batch.column_by_name(column).unwrap().as_string::<i32>();
        column.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
    });
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts
}

fn ids(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|id| format!("{id:016x}")).collect()
}

fn span(id: u64) -> Span {
    let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
    Span::builder()
        .source(&source)
        .trace_id(u128::from(id))
        .span_id(id)
        .start_unix_nanos(id)
        .build()
}

#[test]
fn what_is_held_what_waits_and_what_is_in_files_is_there_once() {
    let telemetry = manual(100);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.traces(), (1..=1_000).map(span));
    let first = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    assert_eq!(texts(&first, Table::Traces, "SpanId"), ids(1..=1_000));
    push(telemetry.traces(), (1_001..=1_500).map(span));
    push(telemetry.logs(), vec![LogRecord::builder().body("same").build(); 500]);
    push(telemetry.metrics(), vec![MetricPoint::builder().value(7_i64).build(); 300]);
    let second = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    assert_eq!(texts(&second, Table::Traces, "SpanId"), ids(1..=1_500));
    assert_eq!(texts(&second, Table::Logs, "Body").len(), 500, "equal ones count each");
    assert_eq!(texts(&second, Table::Gauge, "ServiceName").len(), 300);
    assert_eq!(texts(&second, Table::Summary, "ServiceName").len(), 0, "a table without rows");
    let report = second.report();
    assert_eq!((report.from_stores, report.moved, report.waiting), (300, 0, 0), "{report:?}");
    // What was taken stays as it was.
    assert_eq!(texts(&first, Table::Traces, "SpanId"), ids(1..=1_000));
}

/// Ends who waits for this.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn each_record_is_there_once_while_records_leave() {
    let telemetry =
        Telemetry::builder().traces(2_000).logs(10).metrics(10).shards(2).build().unwrap();
    let mut settings = patient();
    settings.file_age = Duration::from_millis(1);
    let archive = Archive::start(&telemetry, in_memory(), &settings).unwrap();
    // How many may have been pushed: some thousand more while each snapshot is taken.
    let (is_done, allowed) = (AtomicBool::new(false), AtomicU64::new(3_000));
    (1..=3_000).for_each(|id| _ = telemetry.traces().push(span(id)).unwrap());
    let pushed = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            let mut pushed = 3_000;
            while !is_done.load(Ordering::SeqCst) {
                if pushed < allowed.load(Ordering::SeqCst) {
                    (0..20)
                        .for_each(|n| _ = telemetry.traces().push(span(pushed + 1 + n)).unwrap());
                    pushed += 20;
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            pushed
        });
        // If something is wrong, the other thread ends, too.
        let _ending = Ending(&is_done);
        let mut left = 0;
        for taken in 1.. {
            allowed.fetch_add(4_000, Ordering::SeqCst);
            let before = telemetry.traces().stats().offered;
            let snapshot = Snapshot::take(&telemetry, &archive, LONG).unwrap();
            let found = texts(&snapshot, Table::Traces, "SpanId");
            assert!(found.len() as u64 >= before, "{} of {before}", found.len());
            assert!(found.is_sorted_by(|one, next| one < next), "each once");
            // One thread pushes, so all that came before what is there is there, too.
            assert_eq!(found[..before as usize], ids(1..=before)[..]);
            left += snapshot.report().moved + snapshot.report().left_out;
            assert!(taken < 30, "nothing left while snapshots were taken");
            if left > 0 && taken >= 3 {
                break;
            }
        }
        is_done.store(true, Ordering::SeqCst);
        pushing.join().unwrap()
    });
    let last = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    assert_eq!(texts(&last, Table::Traces, "SpanId"), ids(1..=pushed));
    assert_eq!(archive.stats().lost.total(), 0);
}

#[test]
fn what_leaves_before_files_are_listed_again_is_there_once() {
    let telemetry = Arc::new(manual(100));
    let store = Arc::new(support::Failing::default());
    let place = Place::of_store(Arc::clone(&store) as _, "history");
    let archive = Arc::new(Archive::start(&telemetry, place, &patient()).unwrap());
    push(telemetry.traces(), (1..=150).map(span));
    // A list is made twice, so that the third is the first one after the store was read. The thread
    // that tidies lists files, too.
    let (mine, mut lists) = (std::thread::current().id(), 0);
    let (to, by) = (Arc::clone(&telemetry), Arc::clone(&archive));
    store.before_list.call(move |folder| {
        if folder != "history/otel_traces" || std::thread::current().id() != mine {
            return;
        }
        lists += 1;
        if lists == 3 {
            push(to.traces(), (151..=200).map(span));
            assert!(by.flush(LONG));
        }
    });
    let snapshot = Snapshot::take(&telemetry, &archive, LONG).unwrap();
    store.before_list.forget();
    assert_eq!(texts(&snapshot, Table::Traces, "SpanId"), ids(1..=150));
    let report = snapshot.report();
    assert_eq!((report.from_stores, report.moved, report.left_out), (100, 0, 50), "{report:?}");
}

#[test]
fn what_cannot_be_written_in_time_is_missing_and_counted() {
    let telemetry = manual(100);
    let failing = Arc::new(support::Failing::default());
    failing.failures.store(u64::MAX, Ordering::SeqCst);
    let place = Place::of_store(failing, "history");
    let mut settings: Settings = patient();
    (settings.attempts, settings.finish_timeout) = (1_000_000, Duration::from_millis(100));
    let archive = Archive::start(&telemetry, place, &settings).unwrap();
    push(telemetry.traces(), (1..=150).map(span));
    let snapshot = Snapshot::take(&telemetry, &archive, Duration::from_millis(200)).unwrap();
    assert_eq!(texts(&snapshot, Table::Traces, "SpanId"), ids(51..=150));
    assert_eq!(snapshot.report().waiting, 50, "{snapshot:?}");
}
