//! A decoded export request.

use super::rejected::Rejected;
use crate::signal::{LogRecord, MetricPoint, Span};

/// The records of an export request, and the records that were rejected.
///
/// The parts that records share with others of their request (resource, scope, metric) are stored
/// once, and freed with the last of these records.
///
/// ```
/// use slipring::otlp::{Encoding, Kind, Request};
///
/// let body = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [
///     {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "GET /"},
///     {"traceId": "5b8e", "spanId": "eee19b7ec3c1b174", "name": "GET /"}
/// ]}]}]}"#;
/// let request = Request::read(Kind::Traces, Encoding::Json, body)?;
/// assert_eq!(request.spans.len(), 1);
/// assert_eq!(request.rejected.to_string(), "1 record rejected: traceId has 2 bytes instead of 16");
/// # Ok::<(), slipring::otlp::OtlpError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The spans.
    pub spans: Vec<Span>,
    /// The log records.
    pub logs: Vec<LogRecord>,
    /// The metric points.
    pub points: Vec<MetricPoint>,
    /// The records that were rejected.
    pub rejected: Rejected,
}

impl Request {
    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.spans.len() + self.logs.len() + self.points.len()
    }

    /// Returns whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
