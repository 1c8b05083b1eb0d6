//! Traces in a line each, as the third API shows them: what is zero or empty is left out.

use super::adjusted::Adjusted;
use serde::{Serialize, Serializer};
use slipring::TraceId;
use slipring::span::StatusCode;
use std::collections::BTreeMap;

/// A trace in a line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    #[serde(serialize_with = "text")]
    trace_id: TraceId,
    #[serde(skip_serializing_if = "String::is_empty")]
    root_service_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    root_operation_name: String,
    #[serde(serialize_with = "text", skip_serializing_if = "is_zero")]
    min_start_time_unix_nano: u64,
    #[serde(serialize_with = "text", skip_serializing_if = "is_zero")]
    max_end_time_unix_nano: u64,
    #[serde(skip_serializing_if = "is_zero")]
    span_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    error_span_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    orphan_span_count: u64,
    /// By name.
    services: Vec<Service>,
}

/// A service's part in a trace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    #[serde(skip_serializing_if = "is_zero")]
    span_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    error_span_count: u64,
}

fn text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Summary {
    /// Shows a trace in a line.
    pub fn of(trace: &Adjusted<'_>) -> Self {
        let mut services: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for one in &trace.spans {
            let (spans, errors) = services.entry(one.span.service()).or_default();
            let is_error = one.span.status_code() == StatusCode::Error;
            (*spans, *errors) = (*spans + 1, *errors + u64::from(is_error));
        }
        let roots = trace.spans.iter().filter(|one| one.parent.is_none());
        let root = roots.min_by_key(|one| one.span.start_unix_nanos());
        // A time that is not known is none that is early.
        let known = |time: &u64| *time > 0;
        let starts = trace.spans.iter().map(|one| one.span.start_unix_nanos()).filter(known);
        let ends = trace.spans.iter().map(|one| one.span.end_unix_nanos()).filter(known);
        Self {
            trace_id: trace.id,
            root_service_name: root.map(|root| root.span.service().to_owned()).unwrap_or_default(),
            root_operation_name: root.map(|root| root.span.name().to_owned()).unwrap_or_default(),
            min_start_time_unix_nano: starts.min().unwrap_or(0),
            max_end_time_unix_nano: ends.max().unwrap_or(0),
            span_count: trace.spans.len() as u64,
            error_span_count: services.values().map(|(_, errors)| errors).sum(),
            orphan_span_count: trace.spans.iter().filter(|one| one.orphan).count() as u64,
            services: services
                .into_iter()
                .map(|(name, (span_count, error_span_count))| Service {
                    name: name.to_owned(),
                    span_count,
                    error_span_count,
                })
                .collect(),
        }
    }
}
