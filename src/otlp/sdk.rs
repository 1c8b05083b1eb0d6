//! Exporters for OpenTelemetry's Rust SDK: a program's own telemetry into its own stores.

use super::records::{self, Origin, WirePoint};
use super::{Rejected, Request};
use crate::signal::{MetricKind, Resource, Shared};
use crate::telemetry::Telemetry;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{self as wire, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource as WireResource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::Arc;
use std::time::Duration;

/// Takes what OpenTelemetry's Rust SDK exports into a [`Telemetry`], so that an instrumented program can look at its own recent past.
/// It exports spans, log records and metrics; give a clone of it to each provider.
///
/// The SDK calls it on a thread of its own, where it may wait for room. Shutting a provider down leaves the stores open.
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

    fn take(&self, request: Request) -> OTelSdkResult {
        let rejected: Rejected = self.telemetry.take(request);
        if rejected.is_empty() { Ok(()) } else { Err(OTelSdkError::InternalFailure(rejected.to_string())) }
    }
}

fn resource(resource: Option<WireResource>, schema_url: &str) -> Result<Shared<Resource>, OTelSdkError> {
    records::resource(resource, schema_url).map(Resource::share).map_err(OTelSdkError::InternalFailure)
}

fn origin(
    resource: &Shared<Resource>,
    scope: Option<InstrumentationScope>,
    schema_url: &str,
) -> Result<Origin, OTelSdkError> {
    let scope = records::scope(scope, schema_url).map_err(OTelSdkError::InternalFailure)?;
    Ok(Origin { resource: resource.clone(), scope: scope.share() })
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut request = Request::default();
        for of in group_spans_by_resource_and_scope(batch, &self.resource) {
            let resource = resource(of.resource, &of.schema_url)?;
            for of in of.scope_spans {
                let origin = origin(&resource, of.scope, &of.schema_url)?;
                for span in of.spans {
                    match records::span(span, &origin) {
                        Ok(span) => request.spans.push(span),
                        Err(why) => request.rejected.add(1, &why),
                    }
                }
            }
        }
        self.take(request)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.resource = Arc::new(resource.into());
    }
}

impl LogExporter for Exporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let mut request = Request::default();
        for of in group_logs_by_resource_and_scope(&batch, &self.resource) {
            let resource = resource(of.resource, &of.schema_url)?;
            for of in of.scope_logs {
                let origin = origin(&resource, of.scope, &of.schema_url)?;
                for log in of.log_records {
                    match records::log(log, &origin) {
                        Ok(log) => request.logs.push(log),
                        Err(why) => request.rejected.add(1, &why),
                    }
                }
            }
        }
        self.take(request)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.resource = Arc::new(resource.into());
    }
}

impl PushMetricExporter for Exporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut request = Request::default();
        for of in ExportMetricsServiceRequest::from(metrics).resource_metrics {
            let resource = resource(of.resource, &of.schema_url)?;
            for of in of.scope_metrics {
                let origin = origin(&resource, of.scope, &of.schema_url)?;
                of.metrics.into_iter().for_each(|metric| take_metric(metric, &origin, &mut request));
            }
        }
        self.take(request)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    /// Cumulative: a reader who comes late misses nothing.
    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn take_metric(metric: wire::Metric, origin: &Origin, request: &mut Request) {
    let temporality = records::temporality;
    let (kind, points): (MetricKind, Vec<WirePoint>) = match metric.data {
        None => return,
        Some(Data::Gauge(of)) => (MetricKind::Gauge, of.data_points.into_iter().map(WirePoint::Number).collect()),
        Some(Data::Sum(of)) => {
            let kind =
                MetricKind::Sum { temporality: temporality(of.aggregation_temporality), monotonic: of.is_monotonic };
            (kind, of.data_points.into_iter().map(WirePoint::Number).collect())
        }
        Some(Data::Histogram(of)) => {
            let kind = MetricKind::Histogram { temporality: temporality(of.aggregation_temporality) };
            (kind, of.data_points.into_iter().map(WirePoint::Histogram).collect())
        }
        Some(Data::ExponentialHistogram(of)) => {
            let kind = MetricKind::ExponentialHistogram { temporality: temporality(of.aggregation_temporality) };
            (kind, of.data_points.into_iter().map(WirePoint::ExponentialHistogram).collect())
        }
        Some(Data::Summary(of)) => (MetricKind::Summary, of.data_points.into_iter().map(WirePoint::Summary).collect()),
    };
    let texts = [metric.name, metric.description, metric.unit];
    let shared = match records::metric(texts, metric.metadata, kind) {
        Ok(shared) => shared,
        Err(why) => return request.rejected.add(points.len() as u64, &why),
    };
    for point in points {
        match records::point(point, &shared, origin) {
            Ok(point) => request.points.push(point),
            Err(why) => request.rejected.add(1, &why),
        }
    }
}
