//! What is written can be read back, and is then written the same.

use super::*;
use serde::de::DeserializeOwned;
use shop::Shop;
use slipring::{KeyBuf, Telemetry};

/// Telemetry of the shop.
fn held() -> Telemetry {
    let telemetry = Telemetry::builder().build().expect("such stores can be");
    let mut shop = Shop::new(3);
    for request in shop.requests().take(20) {
        telemetry.traces().push_batch(request.spans).expect("it is open");
        telemetry.logs().push_batch(request.logs).expect("it is open");
    }
    let points: Vec<_> = shop.points().take(1_000).collect();
    telemetry.metrics().push_batch(points).expect("it is open");
    telemetry
}

fn comes_back<T: Serialize + DeserializeOwned>(shown: &impl Serialize, what: &str) {
    let written = serde_json::to_value(shown).expect("it can be written");
    let read: T = serde_json::from_value(written.clone())
        .unwrap_or_else(|error| panic!("{what} can't be read: {error}"));
    assert_eq!(serde_json::to_value(&read).expect("it can be written"), written, "{what}");
}

#[test]
fn answers_come_back_as_they_were_written() {
    let telemetry = held();
    let spans = telemetry.traces().query().collect().unwrap();
    comes_back::<Spans<'_>>(
        &slipring::Span::answer(&spans, Some("next".to_owned()), None),
        "spans",
    );
    let logs = telemetry.logs().query().collect().unwrap();
    comes_back::<Logs<'_>>(&slipring::LogRecord::answer(&logs, None, None), "logs");
    let points = telemetry.metrics().query().collect().unwrap();
    comes_back::<Points<'_>>(&slipring::MetricPoint::answer(&points, None, None), "points");
    comes_back::<Point<'_>>(&points.records[0].alone(points.positions[0]), "a point alone");

    let (traces, report) = telemetry.traces().query().traces().assemble_with_report().unwrap();
    let list = TraceList {
        traces: traces.iter().map(TraceSummary::of).collect(),
        more: false,
        report: Report::of(&report),
    };
    comes_back::<TraceList<'_>>(&list, "a list of traces");
    for trace in &traces {
        let found = telemetry.trace(trace.trace_id);
        comes_back::<Trace<'_>>(&Trace::of(trace.trace_id, &found), "a trace");
    }
    let graph = telemetry.traces().query().service_graph().unwrap();
    comes_back::<Graph<'_>>(&Graph::of(&graph), "a graph");
    let series = telemetry.metrics().query().series().unwrap();
    let mut sources = Sources::default();
    for one in &series {
        comes_back::<Series<'_>>(&Series::of(one, usize::MAX, &mut sources), "a series");
    }
    comes_back::<Services<'_>>(&Services::of([("cart", [1, 2, 3])]), "services");
    comes_back::<Keys<'_>>(
        &Keys::of(&[(KeyBuf::Int(17), 2), (KeyBuf::Text("a".into()), 1)]),
        "keys",
    );
}

#[test]
fn each_record_names_its_own_resource_scope_and_metric() {
    let telemetry = held();
    let points = telemetry.metrics().query().collect().unwrap();
    let shown = slipring::MetricPoint::answer(&points, None, None);
    for (point, shown_point) in points.iter().zip(&shown.points) {
        let resource = shown_point.resource.find(&shown.resources).expect("it is there");
        let scope = shown_point.scope.find(&shown.scopes).expect("it is there");
        let metric = shown_point.metric.find(&shown.metrics).expect("it is there");
        let json =
            |value: &Attributes<'_>| serde_json::to_string(value).expect("it can be written");
        assert_eq!(
            json(&resource.attributes),
            json(&Attributes::from(point.resource().attributes()))
        );
        assert_eq!(scope.name, point.scope().name());
        assert_eq!(
            (&*metric.name, &*metric.description),
            (point.metric().name(), point.metric().description())
        );
        assert_eq!(shown_point.service.as_deref(), point.resource().service());
    }
}
