//! Exporters for OpenTelemetry's Rust SDK: a program's own telemetry into its own stores.

use super::Telemetry;
use crate::otlp::{Encoding, Kind};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;

/// Takes what OpenTelemetry's Rust SDK exports into a [`Telemetry`], so that an instrumented
/// program can look at its own recent past. It exports spans, log records and metrics; give a clone
/// of it to each provider.
///
/// The SDK calls it on a thread of its own, where it may wait for room. Shutting a provider down
/// leaves the stores open.
///
/// ```
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use slipring::{Telemetry, otlp::Exporter};
///
/// let telemetry = Telemetry::builder().build()?;
/// let provider = SdkTracerProvider::builder().with_batch_exporter(Exporter::new(&telemetry)).build();
/// provider.tracer("example").in_span("work", |_| ());
/// provider.force_flush()?;
/// assert_eq!(telemetry.traces().query().key("name", "work").count()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exporter {
    telemetry: Telemetry,
    resource: Arc<ResourceAttributesWithSchema>,
}

impl Exporter {
    /// Exports into these stores.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { telemetry: telemetry.clone(), resource: Arc::default() }
    }

    fn take(&self, kind: Kind, request: &impl Message) -> OTelSdkResult {
        let failed =
            |error: &dyn std::fmt::Display| Err(OTelSdkError::InternalFailure(error.to_string()));
        match self.telemetry.ingest(kind, Encoding::Protobuf, request.encode_to_vec()) {
            Ok(rejected) if rejected.is_empty() => Ok(()),
            Ok(rejected) => failed(&rejected),
            Err(error) => failed(&error),
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        self.take(Kind::Traces, &TracesData { resource_spans })
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.resource = Arc::new(resource.into());
    }
}

impl LogExporter for Exporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        self.take(Kind::Logs, &LogsData { resource_logs })
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.resource = Arc::new(resource.into());
    }
}

impl PushMetricExporter for Exporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.take(Kind::Metrics, &ExportMetricsServiceRequest::from(metrics))
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    /// Returns `Cumulative`: a reader who comes late misses nothing.
    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
