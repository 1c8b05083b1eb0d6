//! What lies between a request and its records: taken apart without parsing the records, and counted where they lie.

use super::super::Kind;
use super::fields::Wrong;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) type Raw<'a> = &'a RawValue;

/// A list; `null` says that there is none.
pub(super) type List<'a> = Option<Vec<Raw<'a>>>;

/// `ExportTraceServiceRequest`, and those of the other signals.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) resource_spans: List<'a>,
    #[serde(borrow)]
    pub(super) resource_logs: List<'a>,
    #[serde(borrow)]
    pub(super) resource_metrics: List<'a>,
    // As protobuf writes them, which OTLP's JSON does not take.
    #[serde(borrow, rename = "resource_spans")]
    pub(super) snake_spans: List<'a>,
    #[serde(borrow, rename = "resource_logs")]
    pub(super) snake_logs: List<'a>,
    #[serde(borrow, rename = "resource_metrics")]
    pub(super) snake_metrics: List<'a>,
}

/// `ResourceSpans`, and so on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfResource<'a> {
    #[serde(borrow)]
    pub(super) resource: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) scope_spans: List<'a>,
    #[serde(borrow)]
    pub(super) scope_logs: List<'a>,
    #[serde(borrow)]
    pub(super) scope_metrics: List<'a>,
    pub(super) schema_url: Option<String>,
    #[serde(borrow, rename = "scope_spans")]
    pub(super) snake_spans: List<'a>,
    #[serde(borrow, rename = "scope_logs")]
    pub(super) snake_logs: List<'a>,
    #[serde(borrow, rename = "scope_metrics")]
    pub(super) snake_metrics: List<'a>,
    // As the protocol's first versions had them.
    #[serde(borrow, alias = "instrumentationLibraryLogs", alias = "instrumentationLibraryMetrics")]
    pub(super) instrumentation_library_spans: List<'a>,
}

/// `ScopeSpans`, and so on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfScope<'a> {
    #[serde(borrow)]
    pub(super) scope: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) spans: List<'a>,
    #[serde(borrow)]
    pub(super) log_records: List<'a>,
    #[serde(borrow)]
    pub(super) metrics: List<'a>,
    pub(super) schema_url: Option<String>,
    #[serde(borrow, rename = "log_records")]
    pub(super) snake_logs: List<'a>,
}

/// `Metric`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfMetric<'a> {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) unit: Option<String>,
    #[serde(borrow)]
    pub(super) metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) gauge: Option<Points<'a>>,
    #[serde(borrow)]
    pub(super) sum: Option<Points<'a>>,
    #[serde(borrow)]
    pub(super) histogram: Option<Points<'a>>,
    #[serde(borrow)]
    pub(super) exponential_histogram: Option<Points<'a>>,
    #[serde(borrow)]
    pub(super) summary: Option<Points<'a>>,
}

/// `Gauge`, `Sum` and so on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Points<'a> {
    #[serde(borrow)]
    pub(super) data_points: List<'a>,
    #[serde(borrow)]
    pub(super) aggregation_temporality: Option<Raw<'a>>,
    pub(super) is_monotonic: Option<bool>,
}

/// A message that is only taken apart; an array is none, though serde would take one.
pub(super) fn envelope<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Result<T, Wrong> {
    if !raw.get().starts_with('{') {
        return Err("something else instead of an object".to_owned());
    }
    serde_json::from_str(raw.get()).map_err(|error| error.to_string())
}

/// How many records a list of them has, if they are of metrics their points.
pub(super) fn records_in(kind: Kind, list: &[Raw<'_>]) -> u64 {
    let of_one = |raw: &Raw<'_>| match kind {
        Kind::Metrics => envelope::<OfMetric<'_>>(raw).map_or(1, |metric| metric.points().max(1)),
        _ => 1,
    };
    list.iter().map(of_one).sum()
}

impl OfMetric<'_> {
    /// How many it has.
    pub(super) fn points(&self) -> u64 {
        let data = [&self.gauge, &self.sum, &self.histogram, &self.exponential_histogram, &self.summary];
        data.into_iter().flatten().map(|data| data.data_points.as_ref().map_or(0, |points| points.len() as u64)).sum()
    }
}

/// How many records a resource has, whichever way its lists are called; at least one, since something is lost.
pub(super) fn records_in_resource(kind: Kind, raw: Raw<'_>) -> u64 {
    let Ok(of) = envelope::<OfResource<'_>>(raw) else { return 1 };
    let scopes = match kind {
        Kind::Traces => of.scope_spans.or(of.snake_spans),
        Kind::Logs => of.scope_logs.or(of.snake_logs),
        Kind::Metrics => of.scope_metrics.or(of.snake_metrics),
    };
    let in_scope = |raw: &Raw<'_>| {
        let Ok(of) = envelope::<OfScope<'_>>(raw) else { return 1 };
        let list = match kind {
            Kind::Traces => of.spans,
            Kind::Logs => of.log_records.or(of.snake_logs),
            Kind::Metrics => of.metrics,
        };
        records_in(kind, &list.unwrap_or_default())
    };
    let records: u64 = scopes.unwrap_or_default().iter().map(in_scope).sum();
    records.max(1)
}
