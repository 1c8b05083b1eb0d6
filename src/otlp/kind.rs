//! The kind and the encoding of a request.

use thiserror::Error;

/// The encoding of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`, in the protocol's mapping: ids as hexadecimal digits, 64-bit numbers as
    /// strings.
    Json,
}

/// The kind of records in a request. Requests in JSON name their kind; requests in protobuf do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
}

impl Kind {
    /// Returns the kind's name, as in the paths of OTLP/HTTP.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Traces => "traces",
            Kind::Logs => "logs",
            Kind::Metrics => "metrics",
        }
    }

    /// Returns the name of the JSON field that holds the records.
    pub(super) fn container(self) -> &'static str {
        match self {
            Kind::Traces => "resourceSpans",
            Kind::Logs => "resourceLogs",
            Kind::Metrics => "resourceMetrics",
        }
    }
}

/// An error from reading a request of which nothing can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this is not an OTLP request in {}: {what}", match .encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
#[non_exhaustive]
pub struct OtlpError {
    /// The encoding that was expected.
    pub encoding: Encoding,
    /// A description of what is wrong.
    pub what: String,
}
