//! Searches: what rules files, row groups and rows out, and what bounds them.

mod support;

use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span, TraceId};
use slipring_archive::object_store::ObjectStore;
use slipring_archive::object_store::memory::InMemory;
use slipring_archive::object_store::throttle::{ThrottleConfig, ThrottledStore};
use slipring_archive::{Archive, Cut, Files, Place, ReadReport, Search, Settings, Visitor};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;
use support::{in_memory, manual, patient, push};

const HOUR: u64 = 3_600_000_000_000;
const LONG: Duration = Duration::from_secs(60);

fn span(trace: u64, id: u64, nanos: u64, service: &str) -> Span {
    let source = Source::new(&Resource::new([("service.name", service)]), &Scope::default());
    let span = Span::builder().source(&source).trace_id(u128::from(trace)).span_id(id);
    span.start_unix_nanos(nanos).name("GET /").build()
}

/// Ten hours of a hundred spans each, of two services, a file each in row groups of 20.
fn ten_hours(place: Place) -> Archive {
    let telemetry = manual(1);
    let mut settings = patient();
    settings.row_group_records = 20;
    let archive = Archive::start(&telemetry, place, &settings).unwrap();
    for hour in 1..=10 {
        let service = |n| if n % 2 == 0 { "cart" } else { "shop" };
        let id = |n| hour * 1_000 + n;
        push(telemetry.traces(), (0..100).map(|n| span(id(n), n + 1, hour * HOUR + n, service(n))));
        assert!(archive.flush(LONG));
    }
    archive.finish().unwrap();
    archive
}

fn found(files: &Files, search: &Search) -> (Vec<Span>, ReadReport) {
    let mut spans = Vec::new();
    let report = files.search(search, &mut |span: Span| {
        spans.push(span);
        ControlFlow::Continue(())
    });
    (spans, report.unwrap())
}

#[test]
fn times_services_and_traces_rule_out_what_lacks_them() {
    let archive = ten_hours(in_memory());
    let files = archive.files();
    let (all, report) = found(files, &Search::new());
    assert_eq!((all.len(), report.records, report.complete), (1_000, 1_000, true), "{report:?}");
    assert_eq!((report.files_listed, report.files_opened), (report.files, report.files));

    let (of_hour, report) = found(files, &Search::new().between(3 * HOUR..4 * HOUR));
    assert_eq!(of_hour.len(), 100);
    assert!(report.files < report.files_listed / 4, "{report:?}");

    let search = Search::new().between(3 * HOUR..=3 * HOUR + 49).service("cart");
    let (of_cart, report) = found(files, &search);
    assert_eq!(of_cart.len(), 25);
    assert!(of_cart.iter().all(|span| span.service() == "cart"));
    assert!(report.row_groups_read <= report.row_groups / 2, "{report:?}");
    assert!(report.records == 25, "rows of others are no records: {report:?}");

    let ids = [TraceId::from(3_007), TraceId::from(8_008), TraceId::from(77)];
    let (of_traces, report) = found(files, &Search::new().traces(ids));
    assert_eq!(of_traces.len(), 2);
    assert!(report.row_groups_read <= 6, "of {}", report.row_groups);
    let both = Search::new().traces(ids).between(3 * HOUR..4 * HOUR).service("cart").service("x");
    assert_eq!(found(files, &both).0.len(), 0, "3,007 is of shop");
    assert_eq!(found(files, &both.service("shop")).0.len(), 1);
    for none in [Search::new().between(5..5), Search::new().between(..0), Search::new().traces([])]
    {
        assert_eq!(found(files, &none).0.len(), 0);
    }
}

#[test]
fn points_are_of_no_trace() {
    let telemetry = manual(1);
    let archive = Archive::start(&telemetry, in_memory(), &patient()).unwrap();
    push(telemetry.metrics(), vec![MetricPoint::builder().value(1_i64).build(); 10]);
    push(telemetry.logs(), vec![LogRecord::builder().trace_id(7).body("a").build(); 10]);
    archive.finish().unwrap();
    let count = |search: &Search| {
        let (mut points, mut logs) = (0, 0);
        let mut each_point = |_: MetricPoint| {
            points += 1;
            ControlFlow::Continue(())
        };
        archive.files().search(search, &mut each_point).unwrap();
        let mut each_log = |_: LogRecord| {
            logs += 1;
            ControlFlow::Continue(())
        };
        archive.files().search(search, &mut each_log).unwrap();
        (points, logs)
    };
    assert_eq!(count(&Search::new()), (10, 10));
    assert_eq!(count(&Search::new().traces([TraceId::from(7)])), (0, 10));
}

/// Takes the first `most` spans by time, and no file after these.
struct First {
    times: Vec<u64>,
    most: usize,
}

impl Visitor<Span> for First {
    fn wants(&self, times: RangeInclusive<u64>) -> bool {
        self.times.len() < self.most || self.times.iter().any(|one| one > times.start())
    }

    fn take(&mut self, span: Span) -> ControlFlow<Cut> {
        self.times.push(span.start_unix_nanos());
        self.times.sort_unstable();
        self.times.truncate(self.most);
        ControlFlow::Continue(())
    }
}

#[test]
fn a_visitor_that_has_enough_opens_no_more_files() {
    let archive = ten_hours(in_memory());
    let mut first = First { times: Vec::new(), most: 30 };
    let search = Search::new().earliest_first();
    let report = archive.files().search(&search, &mut first).unwrap();
    assert_eq!(first.times, (0..30).map(|n| HOUR + n).collect::<Vec<_>>());
    // Each hour has two files, as one span stays in the store until the next hour pushes it out.
    assert!(report.files_opened <= 3 && report.complete, "{report:?}");
    assert!(report.files >= 10);
    let last = archive.files().search(&Search::new(), &mut First { times: Vec::new(), most: 30 });
    assert!(last.unwrap().files_opened > 8, "the latest hours come first there");
}

fn with(archive: &Archive, change: impl FnOnce(&mut Settings)) -> ReadReport {
    let mut settings = Settings::default();
    change(&mut settings);
    let files = Files::new(archive.files().place().clone(), &settings);
    let (spans, report) = found(&files, &Search::new());
    assert_eq!(spans.len() as u64, report.records);
    report
}

#[test]
fn files_bytes_and_time_bound_a_search_which_says_what_ended_it() {
    let archive = ten_hours(in_memory());
    let all = with(&archive, |_| {});
    assert!(all.complete && all.cut.is_none() && all.bytes_read > 10_000, "{all:?}");
    let some = with(&archive, |settings| settings.answer_files = 3);
    assert_eq!((some.files_opened, some.cut, some.complete), (3, Some(Cut::Files), false));
    for most in [0, 1, 1_000, all.bytes_read / 2, all.bytes_read - 1] {
        let some = with(&archive, |settings| settings.answer_read_bytes = most);
        assert_eq!((some.cut, some.complete, some.failed), (Some(Cut::BytesRead), false, 0));
        assert!(some.bytes_read <= most && some.records < all.records, "{some:?}");
    }
    let exact = with(&archive, |settings| settings.answer_read_bytes = all.bytes_read);
    assert_eq!((exact.records, exact.complete), (all.records, true));
    let none = with(&archive, |settings| settings.answer_time = Duration::from_nanos(1));
    assert_eq!((none.cut, none.complete, none.failed), (Some(Cut::Time), false, 0), "{none:?}");
}

#[test]
fn a_store_that_stalls_costs_the_time_of_an_answer() {
    let inner = InMemory::new();
    let stalls = ThrottledStore::new(inner, ThrottleConfig::default());
    let stalls = Arc::new(stalls);
    let archive = ten_hours(Place::of_store(Arc::clone(&stalls) as _, "history"));
    stalls.config_mut(|config| config.wait_get_per_call = 100 * LONG);
    let report = with(&archive, |settings| settings.answer_time = Duration::from_millis(300));
    assert_eq!((report.cut, report.records, report.failed), (Some(Cut::Time), 0, 0), "{report:?}");
    // A request of its own has less time than the answer: that file alone could not be read.
    let report = with(&archive, |settings| {
        settings.attempt_timeout = Duration::from_millis(1);
        settings.answer_time = LONG;
    });
    assert_eq!((report.cut, report.records, report.failed), (None, 0, report.files), "{report:?}");
    assert!(report.last_error.unwrap().contains("not read in time"));
}

#[test]
fn what_was_found_before_the_time_is_over_is_told() {
    let inner = Arc::new(support::Failing::default());
    let stalls: Arc<dyn ObjectStore> = Arc::clone(&inner) as _;
    let stalls = Arc::new(ThrottledStore::new(stalls, ThrottleConfig::default()));
    let telemetry = manual(1);
    let place = Place::of_store(Arc::clone(&stalls) as _, "history");
    let archive = Archive::start(&telemetry, place, &patient()).unwrap();
    push(telemetry.metrics(), vec![MetricPoint::builder().value(1_i64).build(); 10]);
    archive.finish().unwrap();
    let mut settings = Settings::default();
    settings.answer_time = Duration::from_secs(2);
    let files = Files::new(archive.files().place().clone(), &settings);
    // The files of the first table are listed and read; then no list comes to its end.
    inner.before_list.call(move |folder| {
        if folder != "history/otel_metrics_gauge" {
            stalls.config_mut(|config| config.wait_list_per_call = 100 * LONG);
        }
    });
    let mut points = 0;
    let report = files.search(&Search::new(), &mut |_: MetricPoint| {
        points += 1;
        ControlFlow::Continue(())
    });
    inner.before_list.forget();
    let report = report.unwrap();
    assert_eq!((points, report.records, report.files_opened), (10, 10, 1), "{report:?}");
    assert_eq!((report.cut, report.complete), (Some(Cut::Time), false), "{report:?}");
}
