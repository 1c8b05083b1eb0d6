//! A program instrumented with OpenTelemetry's SDK that keeps its own recent telemetry, and asks it
//! what was slow and what failed.
//!
//! `cargo run --release --example own_telemetry --features opentelemetry`

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Span as _, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use slipring::Telemetry;
use slipring::otlp::Exporter;
use slipring::span::StatusCode;
use slipring::trace::TraceOrder;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::builder().build()?;
    // Beside the exporters that it has already, or alone.
    let exporter = Exporter::new(&telemetry);
    let resource = Resource::builder().with_service_name("baker").build();
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(exporter.clone())
        .build();
    let reader = PeriodicReader::builder(exporter).build();
    let metrics = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();

    let tracer = traces.tracer("example");
    let baked = metrics.meter("example").u64_counter("loaves.baked").build();
    for loaf in 0..20_u64 {
        let bake = tracer.start("bake");
        let context = Context::current_with_span(bake);
        let mut knead = tracer.start_with_context("knead", &context);
        std::thread::sleep(Duration::from_millis(loaf % 5));
        if loaf % 7 == 6 {
            knead.set_status(Status::error("out of flour"));
        } else {
            baked.add(1, &[KeyValue::new("kind", if loaf % 2 == 0 { "rye" } else { "wheat" })]);
        }
        knead.end();
        context.span().end();
    }
    traces.force_flush()?;
    metrics.force_flush()?;

    let slowest =
        telemetry.traces().query().traces().order(TraceOrder::Slowest).limit(3).collect()?;
    for trace in &slowest {
        println!(
            "{} of {}: {:.1} ms, {} spans",
            trace.root_name,
            trace.root_service,
            trace.duration as f64 / 1e6,
            trace.spans
        );
    }
    let failed = telemetry.traces().query().status(StatusCode::Error).collect()?;
    println!("{} failed: {}", failed.len(), failed.records[0].status().message);
    for series in telemetry.metrics().query().key("name", "loaves.baked").series()? {
        println!(
            "{} {}: {:?}",
            series.metric().name(),
            series.attributes,
            series.last().and_then(|point| point.number())
        );
    }
    assert_eq!((slowest.len(), failed.len()), (3, 2));
    Ok(())
}
