//! `Telemetry`: the three stores together.

use slipring::error::QueryError;
use slipring::metric::Exemplar;
use slipring::telemetry::TelemetryBookmark;
use slipring::{LogRecord, MetricPoint, Resource, Scope, Source, Span, SpanId, Telemetry, TraceId};

fn telemetry() -> Telemetry {
    Telemetry::builder().traces(10).logs(10).metrics(10).manual().build().unwrap()
}

fn source(service: &str) -> Source {
    Source::new(&Resource::new([("service.name", service)]), &Scope::default())
}

#[test]
fn a_trace_is_collected_from_all_three_stores() {
    let telemetry = telemetry();
    let id = TraceId::from(7);
    telemetry.traces().push(Span::builder().trace_id(id).span_id(SpanId::from(1)).build()).unwrap();
    for (trace, time) in [(7, 30), (8, 10), (7, 20)] {
        let record =
            LogRecord::builder().trace_id(TraceId::from(trace)).time_unix_nanos(time).build();
        telemetry.logs().push(record).unwrap();
    }
    let exemplar = |trace: u128, time_unix_nanos| Exemplar {
        trace_id: Some(TraceId::from(trace)),
        time_unix_nanos,
        ..Exemplar::default()
    };
    for exemplars in
        [vec![exemplar(7, 2), exemplar(8, 3)], vec![exemplar(8, 1)], vec![exemplar(7, 1)]]
    {
        let point = MetricPoint::builder().source(&source("shop")).exemplars(&exemplars);
        telemetry.metrics().push(point.build()).unwrap();
    }
    let all = telemetry.trace(id);
    assert_eq!(all.trace.unwrap().spans.len(), 1);
    assert_eq!(all.logs.iter().map(|log| log.time_unix_nanos()).collect::<Vec<_>>(), [20, 30]);
    assert_eq!(
        all.exemplars.iter().map(|one| one.exemplar.time_unix_nanos).collect::<Vec<_>>(),
        [1, 2]
    );
    let nothing = telemetry.trace(TraceId::from(9));
    assert!(nothing.trace.is_none() && nothing.logs.is_empty() && nothing.exemplars.is_empty());
}

#[test]
fn services_are_counted_for_each_signal() {
    let telemetry = telemetry();
    telemetry.traces().push(Span::builder().source(&source("cart")).build()).unwrap();
    telemetry.logs().push(LogRecord::builder().source(&source("cart")).build()).unwrap();
    telemetry.logs().push(LogRecord::builder().source(&source("cart")).build()).unwrap();
    telemetry.metrics().push(MetricPoint::builder().source(&source("ad")).build()).unwrap();
    let services: Vec<_> = telemetry
        .services()
        .into_iter()
        .map(|one| (one.service.to_string(), one.spans, one.logs, one.metrics))
        .collect();
    assert_eq!(services, [("ad".to_owned(), 0, 0, 1), ("cart".to_owned(), 1, 2, 0)]);
}

#[test]
fn bookmarks_cover_all_three_stores_and_can_be_named() {
    let telemetry = telemetry();
    telemetry.logs().push(LogRecord::default()).unwrap();
    let first = telemetry.bookmark();
    assert_eq!(telemetry.name_bookmark("first", first.clone()).unwrap(), None);
    telemetry.traces().push(Span::default()).unwrap();
    (0..15).for_each(|_| telemetry.logs().push(LogRecord::default()).map(drop).unwrap());
    let news = telemetry.clone().since(&telemetry.bookmark_named("first").unwrap()).unwrap();
    assert_eq!((news.traces.len(), news.logs.len(), news.metrics.len()), (1, 10, 0));
    assert_eq!((news.traces.report.missed, news.logs.report.missed), (0, 5));
    assert!(telemetry.since(&news.bookmark).unwrap().logs.is_empty());
    assert_eq!(telemetry.bookmark_names(), ["first".into()]);
    assert_eq!(telemetry.forget_bookmark("first"), Some(first));
    assert_eq!(telemetry.bookmark_named("first"), None);
}

#[test]
fn the_number_of_named_bookmarks_is_bounded() {
    let telemetry = telemetry();
    let name = |number: u32| telemetry.name_bookmark(number.to_string(), telemetry.bookmark());
    (0..1024).for_each(|number| assert!(name(number).is_ok()));
    assert!(name(2000).unwrap_err().to_string().contains("forget one"));
    assert!(name(3).unwrap().is_some(), "an existing name could not be replaced");
}

#[test]
fn a_bookmark_of_another_store_is_refused() {
    let (one, other) = (telemetry(), telemetry());
    assert_eq!(one.since(&other.bookmark()).unwrap_err(), QueryError::OtherStore);
    assert_eq!(
        one.traces().follow_from(other.traces().bookmark(), |query| query).unwrap_err(),
        QueryError::OtherStore
    );
}

#[test]
fn bookmarks_can_be_kept_as_text() {
    let telemetry = telemetry();
    telemetry.logs().push(LogRecord::default()).unwrap();
    let bookmark = telemetry.bookmark();
    let text = serde_json::to_string(&bookmark).unwrap();
    assert_eq!(serde_json::from_str::<TelemetryBookmark>(&text).unwrap(), bookmark);
}
