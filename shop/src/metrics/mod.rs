//! The shop's metrics: every instance's series, advanced from scrape to scrape.

mod measure;
mod table;

use slipring::attribute::{Attributes, KeyValue};
use slipring::metric::{Exemplar, Metric, MetricKind, Number, PointValue, Temporality};
use slipring::{MetricPoint, Source, SpanId, TraceId, Value};

use crate::fleet::{Fleet, Instance, Library};
use crate::rng::Rng;
use crate::service::Service;
use table::{ROWS, Row};

/// The type of a metric and the parameters of its values. Rates are events per second. An `f64`
/// before a rate is the median of the events' measurements.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A monotonic sum of events: the rate.
    Counter(f64),
    /// A monotonic sum of seconds: the increase per second.
    Seconds(f64),
    /// A delta sum of events since the previous point: the rate.
    Delta(f64),
    /// A sum that moves up and down around this value.
    Level(i64),
    /// An integer gauge around this value.
    Gauge(i64),
    /// A gauge around this value.
    Ratio(f64),
    /// A histogram of events: the median measurement, and the rate.
    Histogram(f64, f64),
    /// An exponential histogram of events: the median measurement, and the rate.
    Exponential(f64, f64),
    /// A summary of events: the median measurement, and the rate.
    Summary(f64, f64),
}

/// A recent trace id and span id of each service, for exemplars.
pub(crate) type Recent = [Option<(TraceId, SpanId)>; Service::ALL.len()];

/// All series of all instances.
pub(crate) struct Meters {
    rng: Rng,
    series: Vec<Series>,
    /// The time of the last scrape, in Unix nanoseconds.
    scraped: u64,
}

/// One series of one instance.
struct Series {
    instance: usize,
    shape: Shape,
    source: Source,
    attributes: Attributes,
    /// The series' share of its metric's events.
    share: f64,
    /// The last point's value.
    value: PointValue,
}

impl Meters {
    pub fn new(seed: u64, fleet: &Fleet, now: u64) -> Self {
        let series_of = |(index, instance): (usize, &Instance)| -> Vec<Series> {
            let rows = ROWS.iter().filter(|row| row.on.contains(&instance.service));
            rows.flat_map(|row| row.series(index, instance)).collect()
        };
        let series = fleet.instances().iter().enumerate().flat_map(series_of).collect();
        Self { rng: Rng::new(seed, 0x006d_6574_7269_6373), series, scraped: now }
    }

    /// Creates a point of each series.
    pub fn scrape(&mut self, fleet: &Fleet, recent: &Recent, now: u64) -> Vec<MetricPoint> {
        let seconds = (now - self.scraped) as f64 / 1e9;
        let before = std::mem::replace(&mut self.scraped, now);
        let mut points = Vec::with_capacity(self.series.len());
        for series in &mut self.series {
            let instance = &fleet.instances()[series.instance];
            measure::advance(&mut series.value, series.shape, series.share, seconds, &mut self.rng);
            let mut exemplars = None;
            if let (true, Some((typical, _))) =
                (self.rng.chance(3_000), series.shape.distribution())
            {
                exemplars = recent[instance.service as usize]
                    .map(|span| exemplar(span, typical, now, &mut self.rng));
            }
            // A gauge that reports no value this time (flag 1, "no recorded value").
            let silent = matches!(series.shape, Shape::Gauge(_)) && self.rng.chance(20);
            let point = MetricPoint::builder()
                .source(&series.source)
                .attributes(&series.attributes)
                .start_unix_nanos(series.start(instance, before))
                .time_unix_nanos(now)
                .exemplars(&exemplars);
            let point = if silent { point.flags(1) } else { point.value_of(&series.value) };
            points.push(point.build());
        }
        points
    }
}

impl Row {
    fn metric(&self) -> Metric {
        let (description, unit) = (self.description.into(), self.unit.into());
        Metric { description, unit, ..Metric::new(self.name, self.shape.kind()) }
    }

    fn series(&self, index: usize, instance: &Instance) -> impl Iterator<Item = Series> {
        let library = match self.name.split('.').next() {
            Some("http") => Library::Http,
            Some("rpc") => Library::Rpc,
            Some("db") => Library::Database,
            Some("messaging") => Library::Messaging,
            _ => Library::App,
        };
        let source = instance.source(library).with_metric(&self.metric());
        // Each series has half as many events as the previous one.
        self.series.iter().scan(1.0, move |share, labels| {
            *share /= 2.0;
            Some(Series {
                instance: index,
                shape: self.shape,
                source: source.clone(),
                attributes: labels
                    .iter()
                    .map(|(key, value)| KeyValue::new(*key, label(value)))
                    .collect(),
                share: *share,
                value: measure::start(self.shape),
            })
        })
    }
}

/// Returns a number if the text looks like one.
fn label(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::from(text), Value::Int)
}

impl Series {
    /// Returns the start time of the point. Gauges have none.
    fn start(&self, instance: &Instance, before: u64) -> u64 {
        match self.shape {
            Shape::Gauge(_) | Shape::Ratio(_) => 0,
            Shape::Delta(_) => before,
            _ => instance.started,
        }
    }
}

impl Shape {
    fn kind(self) -> MetricKind {
        let temporality = Temporality::Cumulative;
        match self {
            Shape::Counter(_) | Shape::Seconds(_) => {
                MetricKind::Sum { temporality, monotonic: true }
            }
            Shape::Delta(_) => MetricKind::Sum { temporality: Temporality::Delta, monotonic: true },
            Shape::Level(_) => MetricKind::Sum { temporality, monotonic: false },
            Shape::Gauge(_) | Shape::Ratio(_) => MetricKind::Gauge,
            Shape::Histogram(..) => MetricKind::Histogram { temporality },
            Shape::Exponential(..) => MetricKind::ExponentialHistogram { temporality },
            Shape::Summary(..) => MetricKind::Summary,
        }
    }

    /// Returns the median measurement and the rate, for types whose points can have exemplars.
    fn distribution(self) -> Option<(f64, f64)> {
        match self {
            Shape::Histogram(typical, rate) | Shape::Exponential(typical, rate) => {
                Some((typical, rate))
            }
            _ => None,
        }
    }
}

fn exemplar(
    (trace_id, span_id): (TraceId, SpanId),
    typical: f64,
    now: u64,
    rng: &mut Rng,
) -> Exemplar {
    Exemplar {
        filtered_attributes: Attributes::from([("app.user.id", rng.below(50_000) as i64)]),
        time_unix_nanos: now - rng.below(1_000_000_000),
        value: Some(Number::Double(rng.long_tail(typical))),
        span_id: Some(span_id),
        trace_id: Some(trace_id),
    }
}
