//! Decodes records into the protocol's own messages, on demand.

use super::proto::common::v1::InstrumentationScope;
use super::proto::metrics::v1::{Metric, ScopeMetrics};
use super::proto::{logs, resource::v1 as resource, trace};
use super::requests::sealed::Exported;
use crate::signal::{LogRecord, MetricPoint, ResourceRef, ScopeRef, Span};
use prost::Message;

/// Decodes bytes that were checked on arrival, or that a builder wrote.
fn decode<M: Message + Default>(bytes: &[u8]) -> M {
    M::decode(bytes).unwrap_or_else(|error| {
        debug_assert!(false, "checked bytes cannot be decoded: {error}");
        M::default()
    })
}

impl Span {
    /// Decodes the span into the protocol's own message, which owns its contents. O(bytes), with an
    /// allocation for each text, id and list.
    ///
    /// The parts that the span shares with others are decoded separately:
    /// [`ResourceRef::to_proto`], [`ScopeRef::to_proto`], and
    /// [`schema_url`](ResourceRef::schema_url) of both. Fields that the message type does not know
    /// are dropped.
    ///
    /// ```
    /// use slipring::otlp::proto;
    /// use slipring::{Resource, Scope, Source, Span};
    ///
    /// let source = Source::new(&Resource::new([("service.name", "cart")]), &Scope::default());
    /// let span = Span::builder().source(&source).trace_id(7).span_id(7).name("GET /").build();
    /// let decoded = proto::trace::v1::ResourceSpans {
    ///     resource: Some(span.resource().to_proto()),
    ///     schema_url: span.resource().schema_url().to_owned(),
    ///     scope_spans: vec![proto::trace::v1::ScopeSpans {
    ///         scope: Some(span.scope().to_proto()),
    ///         schema_url: span.scope().schema_url().to_owned(),
    ///         spans: vec![span.to_proto()],
    ///     }],
    /// };
    /// assert_eq!(decoded.scope_spans[0].spans[0].name, "GET /");
    /// assert_eq!(decoded.resource.unwrap().attributes[0].key, "service.name");
    /// ```
    pub fn to_proto(&self) -> trace::v1::Span {
        decode(self.bytes())
    }
}

impl LogRecord {
    /// Decodes the record into the protocol's own message, as [`Span::to_proto`] does.
    ///
    /// ```
    /// let log = slipring::LogRecord::builder().severity_text("loud").build();
    /// assert_eq!(log.to_proto().severity_text, "loud");
    /// ```
    pub fn to_proto(&self) -> logs::v1::LogRecord {
        decode(self.bytes())
    }
}

impl MetricPoint {
    /// Decodes the point into the protocol's own message, as [`Span::to_proto`] does. The message
    /// is a metric with this one point.
    ///
    /// ```
    /// use slipring::otlp::proto::metrics::v1::metric::Data;
    /// use slipring::{MetricPoint, Source};
    /// use slipring::metric::{Metric, MetricKind};
    ///
    /// let source = Source::default().with_metric(&Metric::new("orders", MetricKind::Gauge));
    /// let metric = MetricPoint::builder().source(&source).value(3).build().to_proto();
    /// assert_eq!(metric.name, "orders");
    /// assert!(matches!(metric.data, Some(Data::Gauge(gauge)) if gauge.data_points.len() == 1));
    /// ```
    pub fn to_proto(&self) -> Metric {
        let mut bytes = Vec::new();
        Self::write(&[self], &mut bytes);
        // `write` writes metrics as the field of a `ScopeMetrics`, so this decodes one.
        decode::<ScopeMetrics>(&bytes).metrics.pop().unwrap_or_default()
    }
}

impl ResourceRef<'_> {
    /// Decodes the resource into the protocol's own message. The [schema
    /// URL](ResourceRef::schema_url) is not part of it.
    pub fn to_proto(self) -> resource::Resource {
        decode(self.bytes())
    }
}

impl ScopeRef<'_> {
    /// Decodes the scope into the protocol's own message. The [schema URL](ScopeRef::schema_url) is
    /// not part of it.
    pub fn to_proto(self) -> InstrumentationScope {
        decode(self.bytes())
    }
}
