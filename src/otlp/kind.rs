//! What a request carries, and in which encoding.

use thiserror::Error;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`, as the protocol maps it: ids in hexadecimal digits, 64-bit numbers as
    /// strings.
    Json,
}

/// What a request carries. Protobuf does not say; JSON does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
}

impl Kind {
    /// Returns its name, as paths have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Traces => "traces",
            Kind::Logs => "logs",
            Kind::Metrics => "metrics",
        }
    }

    /// Returns the name of the field that carries records in JSON.
    pub(super) fn container(self) -> &'static str {
        match self {
            Kind::Traces => "resourceSpans",
            Kind::Logs => "resourceLogs",
            Kind::Metrics => "resourceMetrics",
        }
    }
}

/// A request that is none: nothing of it can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this is no OTLP request in {}: {what}", match .encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
#[non_exhaustive]
pub struct OtlpError {
    /// What it should have been written in.
    pub encoding: Encoding,
    /// What is wrong with it.
    pub what: String,
}
