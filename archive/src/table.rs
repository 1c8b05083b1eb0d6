//! The tables: one folder of files each, named as the tables of the Collector's ClickHouse exporter.

use slipring::metric::MetricKind;

/// One of the seven tables. Spans and log records have one each, and metric points one for each type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Table {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Points of gauges.
    Gauge,
    /// Points of sums.
    Sum,
    /// Points of histograms.
    Histogram,
    /// Points of exponential histograms.
    ExponentialHistogram,
    /// Points of summaries.
    Summary,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 7] = [
        Self::Traces,
        Self::Logs,
        Self::Gauge,
        Self::Sum,
        Self::Histogram,
        Self::ExponentialHistogram,
        Self::Summary,
    ];

    /// The tables of metric points.
    pub const METRICS: [Self; 5] =
        [Self::Gauge, Self::Sum, Self::Histogram, Self::ExponentialHistogram, Self::Summary];

    /// Returns the table's name, which is its folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "otel_traces",
            Self::Logs => "otel_logs",
            Self::Gauge => "otel_metrics_gauge",
            Self::Sum => "otel_metrics_sum",
            Self::Histogram => "otel_metrics_histogram",
            Self::ExponentialHistogram => "otel_metrics_exponential_histogram",
            Self::Summary => "otel_metrics_summary",
        }
    }

    /// Returns the name of the column that holds a record's time.
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Traces | Self::Logs => "Timestamp",
            _ => "TimeUnix",
        }
    }

    /// Returns the columns by which the rows of a file are sorted.
    pub(crate) fn order(self) -> &'static [&'static str] {
        match self {
            Self::Traces | Self::Logs => &["ServiceName", "Timestamp"],
            _ => &["ServiceName", "MetricName"],
        }
    }

    /// Returns the table for the points of such a metric, if there is one.
    pub(crate) fn of_metric(kind: MetricKind) -> Option<Self> {
        Some(match kind {
            MetricKind::Gauge => Self::Gauge,
            MetricKind::Sum { .. } => Self::Sum,
            MetricKind::Histogram { .. } => Self::Histogram,
            MetricKind::ExponentialHistogram { .. } => Self::ExponentialHistogram,
            MetricKind::Summary => Self::Summary,
            _ => return None,
        })
    }
}
