//! Series of metrics, and what they measured in steps of time.

use super::find::find;
use super::group::{MOST_PROPERTIES, Property};
use super::problem::{Problem, take};
use crate::answer::{self, Nanos, Number, Time};
use crate::serve::app::App;
use crate::serve::ask::Asked;
use crate::serve::given::Given;
use crate::serve::history;
use crate::units;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use slipring::MetricPoint;
use slipring::metric::{MetricKind, Series, SeriesStep, Temporality};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

/// Parameters of series, beside the conditions on their points.
pub const OF_SERIES: [&str; 4] = ["limit", "points", "step", "sum_by"];

/// Upper bound of the steps that are told of a series.
const MOST_STEPS: u64 = 1_000;

/// Upper bounds of the steps of all series together: of those that are told, and of those that are
/// summed.
const MOST_TOLD: usize = 200_000;
const MOST_SUMMED: usize = 10_000_000;

/// Refuses more steps than these.
fn within(most: usize, series: usize, times: &Range<u64>, step: NonZeroU64) -> Result<(), Problem> {
    let steps = (times.end - times.start).div_ceil(step.get()) as usize;
    if steps.saturating_mul(series) <= most {
        return Ok(());
    }
    Err(Problem::Bad(format!(
        "step: {steps} steps for each of {series} are more than {most}; give a longer step, a smaller limit, or conditions"
    )))
}

/// Answers with series.
pub async fn series(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let mut given = given.read()?;
    let most = take(&mut given, "points")?.map(|points| {
        let most = points.parse().ok().filter(|&most: &usize| most > 0);
        most.ok_or_else(|| Problem::Bad(format!("points={points}: give a number from 1 on")))
    });
    let most = most.transpose()?.unwrap_or(usize::MAX);
    let step = take(&mut given, "step")?.map(|step| {
        let nanos = units::duration(&step).and_then(|nanos| {
            NonZeroU64::new(nanos).ok_or_else(|| "give a time that is not 0".to_owned())
        });
        nanos.map_err(|what| Problem::Bad(format!("step={step}: {what}")))
    });
    let step = step.transpose()?;
    let sums: Vec<String> =
        given.extract_if(.., |(name, _)| name == "sum_by").map(|(_, by)| by).collect();
    if !sums.is_empty() && step.is_none() {
        return Err(Problem::Bad(format!(
            "sum_by={}: give step, too: series are summed step by step",
            sums[0]
        )));
    }
    if sums.len() > MOST_PROPERTIES {
        return Err(Problem::Bad(format!("give sum_by up to {MOST_PROPERTIES} times")));
    }
    let common = |name: &String| match name.as_str() {
        "all" => Ok(None),
        _ => Property::read::<MetricPoint>(name)
            .map(Some)
            .map_err(|what| Problem::Bad(format!("sum_by={name}: {what}, or all"))),
    };
    let common = sums.iter().map(common).collect::<Result<Vec<_>, _>>()?;
    let asked = Asked::read::<MetricPoint>(&given, &OF_SERIES).map_err(Problem::Bad)?;
    let history = app.history.clone();
    let kept_asked = app.keep.as_ref().map(|_| false);
    find(app, move |telemetry| {
        let query = asked.conditions(telemetry.metrics().query());
        let (mut series, recalled) = history::series(history.as_ref(), query)?;
        let steps = match step {
            Some(step) => Some((times(&series, asked.times(), step)?, step)),
            None => None,
        };
        // Sums are of all series, told or not.
        let sums = match &steps {
            Some((times, step)) if !sums.is_empty() => {
                within(MOST_SUMMED, series.len(), times, *step)?;
                Some(summed(&series, times, *step, &sums, &common)?)
            }
            _ => None,
        };
        let all = series.len();
        series.truncate(asked.limit());
        if let Some((times, step)) = &steps {
            within(MOST_TOLD, series.len(), times, *step)?;
        }
        let mut sources = answer::Sources::default();
        let shown = |one| {
            let mut shown = answer::Series::of(one, most, &mut sources);
            shown.steps =
                steps.as_ref().map(|(times, step)| told(&one.steps(times.clone(), *step)));
            shown
        };
        let shown = series.iter().map(shown).collect();
        let told = answer::SeriesList {
            series: shown,
            left_out: all - series.len(),
            history: recalled,
            kept_asked,
            sums,
            resources: sources.all_resources,
            scopes: sources.all_scopes,
        };
        Ok(Json(told).into_response())
    })
    .await
}

/// Returns the times to be told, beginning with a whole step.
fn times(
    series: &[Series],
    (since, until): (Option<u64>, Option<u64>),
    step: NonZeroU64,
) -> Result<Range<u64>, Problem> {
    let times = series.iter().flat_map(|one| {
        let is_delta = matches!(
            one.metric().kind(),
            MetricKind::Sum { temporality: Temporality::Delta, .. }
                | MetricKind::Histogram { temporality: Temporality::Delta }
                | MetricKind::ExponentialHistogram { temporality: Temporality::Delta }
        );
        // A delta counts from its start, a cumulative series from its first point.
        let start = one.points.first().filter(|_| is_delta).map(MetricPoint::start_unix_nanos);
        one.points.iter().map(MetricPoint::time_unix_nanos).chain(start)
    });
    let known = times.filter(|&time| time > 0);
    let (first, last) =
        known.fold((u64::MAX, 0), |(first, last), time| (first.min(time), last.max(time)));
    let first = since.map_or(first, |since| since.max(first));
    let last = until.map_or(last, |until| until.saturating_add(1).min(last));
    if first >= last {
        return Ok(0..0);
    }
    let first = first / step * step.get();
    let count = (last - first).div_ceil(step.get());
    if count > MOST_STEPS {
        return Err(Problem::Bad(format!(
            "step: these times are {count} steps, and {MOST_STEPS} are the most; give a longer step, or since and until"
        )));
    }
    Ok(first..last)
}

fn told(steps: &[SeriesStep]) -> Vec<answer::Step> {
    let step = |one: &SeriesStep| {
        let quantile = |share| one.distribution.as_ref()?.quantile(share).map(Number::from);
        answer::Step {
            time: Time(one.start),
            time_unix_nanos: Nanos(one.start),
            amount: one.amount.into(),
            rate_per_second: one.per_second.map(Number::from),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
        }
    };
    // Of what no point covers there is nothing to tell.
    steps.iter().filter(|one| one.per_second.is_some()).map(step).collect()
}

/// Sums the steps of series that have the same in common.
fn summed(
    series: &[Series],
    times: &Range<u64>,
    step: NonZeroU64,
    names: &[String],
    common: &[Option<Property>],
) -> Result<Vec<answer::StepSum>, Problem> {
    let mut sums: BTreeMap<Vec<Option<String>>, (usize, Vec<SeriesStep>)> = BTreeMap::new();
    for one in series {
        let steps = one.steps(times.clone(), step);
        if steps.is_empty() {
            continue;
        }
        let key: Vec<Option<String>> =
            common.iter().map(|of| of.as_ref()?.of(&one.points[0])).collect();
        if !sums.contains_key(&key) {
            within(MOST_TOLD, sums.len() + 1, times, step)?;
        }
        let (count, sum) = sums.entry(key).or_default();
        *count += 1;
        if sum.is_empty() {
            *sum = steps;
        } else {
            sum.iter_mut().zip(&steps).for_each(|(sum, step)| sum.add(step));
        }
    }
    let sum =
        |(key, (series, steps)): (Vec<Option<String>>, (usize, Vec<SeriesStep>))| answer::StepSum {
            key: names.iter().cloned().zip(key).filter(|(name, _)| name != "all").collect(),
            series,
            steps: told(&steps),
        };
    Ok(sums.into_iter().map(sum).collect())
}
