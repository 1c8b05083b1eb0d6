//! Series of metrics.

use super::point::Metric;
use super::{Attributes, Measured, Nanos, Number, Origin, Resource, Scope, Sources, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Series of the points that fit a question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SeriesList<'a> {
    pub series: Vec<Series<'a>>,
    /// How many other series there are.
    pub left_out: usize,
    /// With a history of metrics: what came from where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Recalled>,
    /// With kept traces: false, since they are not asked. They have the points whose exemplars point
    /// at them, a choice with gaps, from which no rate can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_asked: Option<bool>,
    /// With `step` and `sum_by`: the steps of all series, summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Vec<StepSum>>,
    /// What `resource` of the series counts in.
    pub resources: Vec<Resource<'a>>,
    /// What `scope` of the series counts in.
    pub scopes: Vec<Scope<'a>>,
}

/// Where the points of an answer came from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Recalled {
    /// Whether the history was asked. It is not about what arrived after a `moment`.
    pub asked: bool,
    /// How many points came from the history.
    pub points: u64,
    /// How many points came from the store.
    pub points_of_store: u64,
    /// Whether no point is missing that was on its way from the store to the history.
    pub complete: bool,
}

/// The points of one metric that carry the same attributes and come from the same source.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Series<'a> {
    #[serde(flatten)]
    pub metric: Metric<'a>,
    /// The resource's `service.name`; null if it has none.
    pub service: Option<Cow<'a, str>>,
    pub attributes: Attributes<'a>,
    pub resource: Origin<Resource<'a>>,
    pub scope: Origin<Scope<'a>>,
    /// By time; with `points`, the latest ones.
    pub points: Vec<Measured<'a>>,
    /// How many earlier points are not told.
    pub points_left_out: usize,
    /// The growth per second over all points: of a sum's value, or of a histogram's count.
    pub rate_per_second: Option<Number>,
    /// Of a histogram or a summary.
    pub median: Option<Number>,
    pub p99: Option<Number>,
    /// With `step`: what was measured in each step of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
}

/// What was measured in one step of time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When the step begins.
    pub time: Time,
    pub time_unix_nanos: Nanos,
    /// The growth of a sum's value or of a histogram's count.
    pub amount: Number,
    /// The growth per second of the part of the step that points cover.
    pub rate_per_second: Option<Number>,
    /// Of a histogram; null for what is none, and where its buckets change.
    pub p50: Option<Number>,
    pub p90: Option<Number>,
    pub p99: Option<Number>,
}

/// Steps of several series, summed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepSum {
    /// What the series have in common, by what was asked for in `sum_by`.
    pub key: std::collections::BTreeMap<String, Option<String>>,
    /// How many series were summed.
    pub series: usize,
    pub steps: Vec<Step>,
}

impl<'a> Series<'a> {
    /// Shows a series with its latest points, at most so many. What is worked out is of all points.
    pub fn of(
        series: &'a slipring::metric::Series,
        most: usize,
        sources: &mut Sources<'a>,
    ) -> Self {
        let place = sources.place(series.resource(), series.scope());
        let points_left_out = series.points.len().saturating_sub(most);
        Self {
            metric: Metric::of(series.metric()),
            service: place.service,
            attributes: slipring::attribute::AttributesRef::from(&series.attributes).into(),
            resource: place.resource,
            scope: place.scope,
            points: series.points[points_left_out..].iter().map(Measured::of).collect(),
            points_left_out,
            rate_per_second: series.rate().map(Number::from),
            median: series.quantile(0.5).map(Number::from),
            p99: series.quantile(0.99).map(Number::from),
            steps: None,
        }
    }
}
