//! OpenTelemetry's Rust SDK exports into slipring's stores: every signal arrives complete.
#![cfg(feature = "opentelemetry")]

use opentelemetry::logs::{
    AnyValue, LogRecord as _, Logger, LoggerProvider, Severity as SdkSeverity,
};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{
    Span as _, SpanKind as SdkSpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use slipring::attribute::ValueRef;
use slipring::metric::{MetricKind, PointValue, Temporality};
use slipring::otlp::Exporter;
use slipring::span::{SpanKind, StatusCode};
use slipring::{Severity, Telemetry};

#[test]
fn every_signal_arrives_complete() {
    let telemetry = Telemetry::builder().build().unwrap();
    let exporter = Exporter::new(&telemetry);
    let resource = Resource::builder()
        .with_service_name("shop")
        .with_attribute(KeyValue::new("zone", "b"))
        .build();
    let scope = InstrumentationScope::builder("library").with_version("1.2").build();

    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(exporter.clone())
        .build();
    let tracer = traces.tracer_with_scope(scope.clone());
    let parent = tracer.span_builder("parent").with_kind(SdkSpanKind::Server).start(&tracer);
    let context = Context::current_with_span(parent);
    let mut child = tracer.start_with_context("child", &context);
    child.set_attribute(KeyValue::new("items", 3));
    child.add_event("retry", vec![KeyValue::new("after", 1.5)]);
    child.set_status(Status::error("out of stock"));
    child.end();
    let trace_id = context.span().span_context().trace_id();
    context.span().end();
    traces.force_flush().unwrap();

    let trace = telemetry.traces().trace(trace_id.to_bytes()).unwrap();
    let [parent, child] = &trace.spans[..] else { panic!("{trace:?}") };
    assert_eq!(
        (parent.span.name(), parent.span.kind(), parent.span.service()),
        ("parent", SpanKind::Server, "shop")
    );
    assert_eq!(child.span.parent_span_id(), Some(parent.span.span_id()));
    assert_eq!(child.span.attributes().get("items"), Some(ValueRef::Int(3)));
    assert_eq!(
        child.span.events().first().unwrap().attributes().get("after"),
        Some(ValueRef::Double(1.5))
    );
    assert_eq!(
        (child.span.status().code, child.span.status().message),
        (StatusCode::Error, "out of stock")
    );
    assert_eq!((child.span.scope().name(), child.span.scope().version()), ("library", "1.2"));
    assert_eq!(
        child.span.resource().attributes().get("zone").and_then(ValueRef::as_str),
        Some("b")
    );
    assert!(parent.span.source().ptr_eq(child.span.source()), "what a batch shares is there once");

    let logs = SdkLoggerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(exporter.clone())
        .build();
    let logger = logs.logger("library");
    let mut record = logger.create_log_record();
    record.set_severity_number(SdkSeverity::Warn);
    record.set_body(AnyValue::String("low on stock".into()));
    record.add_attribute("left", 2);
    logger.emit(record);
    logs.force_flush().unwrap();
    let found = telemetry.logs().query().severity_at_least(Severity::WARN).collect().unwrap();
    assert_eq!(found.records[0].body().and_then(ValueRef::as_str), Some("low on stock"));
    assert_eq!(found.records[0].attributes().get("left"), Some(ValueRef::Int(2)));

    let reader = PeriodicReader::builder(exporter).build();
    let metrics = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
    let meter = metrics.meter("library");
    meter.u64_counter("orders").build().add(2, &[KeyValue::new("kind", "book")]);
    meter.f64_histogram("time").with_unit("ms").build().record(3.5, &[]);
    metrics.force_flush().unwrap();
    let orders = telemetry.metrics().query().key("name", "orders").collect().unwrap();
    let sum = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
    assert_eq!((orders.records[0].metric().kind(), orders.records[0].number()), (sum, Some(2.0)));
    let time = telemetry.metrics().query().key("name", "time").collect().unwrap();
    assert_eq!(time.records[0].metric().unit(), "ms");
    assert!(
        matches!(&time.records[0].value(), PointValue::Histogram(value) if value.sum == Some(3.5))
    );
    [traces.shutdown(), logs.shutdown(), metrics.shutdown()].into_iter().for_each(Result::unwrap);
    telemetry.audit().unwrap();
}
