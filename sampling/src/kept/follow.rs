//! Log records and metric points that belong to kept traces.

use super::Kept;
use super::trace::points_at;
use slipring::error::QueryError;
use slipring::otlp::{Encoding, Kind, Reader, Request, encode};
use slipring::telemetry::TelemetryBookmark;
use slipring::{LogRecord, MetricPoint, Order, Telemetry, TraceId};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Brings the log records of kept traces, and the metric points whose exemplars point at them, from
/// the stores of a [`Telemetry`] to a [`Kept`].
///
/// Call [`follow`](Self::follow) every so often. For a trace that was kept since the last call, it
/// looks for what the stores hold; for the others, at what has come since. What the stores evict
/// before that is not found, and as far as it is known, [counted](Self::missed).
///
/// ```
/// use slipring::{LogRecord, Span, Telemetry};
/// use slipring_sampling::{Follower, Kept, KeptSettings, Policy, Rule, Sampler, Settings};
/// use std::sync::Mutex;
/// use std::time::Instant;
///
/// let telemetry = Telemetry::builder().build()?;
/// let mut settings = Settings::default();
/// settings.policies = vec![Policy::new("all", Rule::Always)];
/// let mut sampler = Sampler::new(&settings)?;
/// let kept = Mutex::new(Kept::new(&KeptSettings::default(), sampler.ledger()));
/// let mut follower = Follower::new(&telemetry);
///
/// telemetry.logs().push(LogRecord::builder().trace_id(7).body("hello").build())?;
/// let span = Span::builder().trace_id(7).span_id(1).name("GET /").build();
/// sampler.take([span], Instant::now(), &mut *kept.lock().unwrap());
/// sampler.flush(Instant::now(), &mut *kept.lock().unwrap());
/// follower.follow(&kept, Instant::now())?;
/// telemetry.logs().push(LogRecord::builder().trace_id(7).body("and more").build())?;
/// follower.follow(&kept, Instant::now())?;
///
/// assert_eq!(kept.lock().unwrap().get(7.into()).unwrap().logs.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Follower {
    telemetry: Telemetry,
    /// Everything before it has been looked at.
    cut: TelemetryBookmark,
    missed: u64,
    reader: Reader,
}

/// What was found of one trace.
#[derive(Default)]
struct Found {
    logs: Vec<LogRecord>,
    points: Vec<MetricPoint>,
    /// Metric points that have joined as many traces as one may.
    beyond: u64,
}

/// The number of traces that one metric point may join, by the order of its exemplars. It is copied
/// for each. An exponential histogram has 160 buckets unless it was set otherwise, and an exemplar
/// for each at most.
const JOINED: usize = 160;

/// The copies of one point may take this part of all that kept traces may. So it takes several to
/// evict what others sent. One copy is always made.
const PART: usize = 16;

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // It is intact after a panic: nothing in it calls foreign code.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Follower {
    /// Makes a follower of these stores.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            telemetry: telemetry.clone(),
            cut: telemetry.bookmark(),
            missed: 0,
            reader: Reader::default().in_place(),
        }
    }

    /// Brings what has come since the last call. The lock is held for a moment before, and
    /// for two for each trace that something is brought to. What there is room for is copied between
    /// these, so that it shares nothing with the stores.
    ///
    /// A metric point joins the traces of its first exemplars: at most 160, and so many that their
    /// copies of it take a sixteenth of [`max_bytes`](crate::KeptSettings::max_bytes) together. For
    /// others, it is refused.
    ///
    /// O(log records and metric points that came since the last call). If traces were kept since
    /// then, also O(their log records), and one look at every metric point, since exemplars have no
    /// index. Nothing if no trace is kept.
    ///
    /// # Errors
    /// As [`Query::collect`](slipring::Query::collect), which does not happen unless the stores
    /// were taken apart.
    pub fn follow(&mut self, kept: &Mutex<Kept>, now: Instant) -> Result<(), QueryError> {
        let (known, new, most) = {
            let kept = lock(kept);
            let (known, new) = kept.by_following();
            (known, new, kept.settings.max_bytes / PART)
        };
        let until = self.telemetry.bookmark();
        let mut found = HashMap::new();
        if !known.is_empty() {
            self.find_since(&known, &until, most, &mut found)?;
        }
        if !new.is_empty() {
            self.find_all(&new, &until, most, &mut found)?;
        }
        self.cut = until;
        for (id, mut found) in found {
            // One after the other, so that the copies of one trace are all that is not counted yet.
            let Found { logs, points, beyond } = &mut found;
            if !lock(kept).admit(id, logs, points, *beyond) {
                continue;
            }
            self.copy_out(&mut found);
            let mut kept = lock(kept);
            kept.attach(id, found.logs, found.points);
            kept.evict(now);
        }
        let mut kept = lock(kept);
        kept.set_followed(&new);
        kept.evict(now);
        Ok(())
    }

    /// Finds what has come since the last call and belongs to these traces.
    fn find_since(
        &mut self,
        known: &HashSet<TraceId>,
        until: &TelemetryBookmark,
        most: usize,
        found: &mut HashMap<TraceId, Found>,
    ) -> Result<(), QueryError> {
        let logs = self.telemetry.logs().query().since(&self.cut.logs).until(&until.logs);
        let is_known = |log: &LogRecord| log.trace_id().is_some_and(|id| known.contains(&id));
        let logs = logs.filter(is_known).collect()?;
        let points = self.telemetry.metrics().query().since(&self.cut.metrics);
        let points = points.until(&until.metrics);
        let points = points.filter(|point| points_at(point, |id| known.contains(&id))).collect()?;
        self.missed += logs.report.missed + points.report.missed;
        put(logs.records, points.records, known, most, found);
        Ok(())
    }

    /// Finds everything that the stores hold of these traces.
    fn find_all(
        &self,
        new: &HashSet<TraceId>,
        until: &TelemetryBookmark,
        most: usize,
        found: &mut HashMap<TraceId, Found>,
    ) -> Result<(), QueryError> {
        let logs = self.telemetry.logs().query().until(&until.logs).order(Order::Oldest);
        let logs = logs.any_of("trace", new.iter().copied()).collect()?;
        let points = self.telemetry.metrics().query().until(&until.metrics).order(Order::Oldest);
        let points = points.filter(|point| points_at(point, |id| new.contains(&id))).collect()?;
        put(logs.records, points.records, new, most, found);
        Ok(())
    }

    /// Copies records, and what they share, out of what the stores hold.
    fn copy_out(&self, found: &mut Found) {
        let copy = |kind, body| {
            let mut copied = Request::default();
            let read = self.reader.read(kind, Encoding::Protobuf, body, |part| {
                copied.logs.extend(part.logs);
                copied.points.extend(part.points);
            });
            read.ok().map(|_| copied)
        };
        if !found.logs.is_empty()
            && let Some(copied) = copy(Kind::Logs, encode(&found.logs, Encoding::Protobuf))
        {
            found.logs = copied.logs;
        }
        if !found.points.is_empty()
            && let Some(copied) = copy(Kind::Metrics, encode(&found.points, Encoding::Protobuf))
        {
            found.points = copied.points;
        }
        LogRecord::detach_together(&mut found.logs);
        MetricPoint::detach_together(&mut found.points);
    }

    /// Returns the number of log records and metric points that the stores evicted between two
    /// calls, so that nobody knows whether they belong to kept traces.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// Puts records to their traces, as far as these are wanted. The copies of a point may take `most`
/// bytes.
fn put(
    logs: Vec<LogRecord>,
    points: Vec<MetricPoint>,
    wanted: &HashSet<TraceId>,
    most: usize,
    found: &mut HashMap<TraceId, Found>,
) {
    for log in logs {
        if let Some(id) = log.trace_id() {
            found.entry(id).or_default().logs.push(log);
        }
    }
    for point in points {
        let most = (most / point.bytes().len().max(1)).clamp(1, JOINED);
        let mut seen = HashSet::new();
        let ids = point.exemplars().iter().filter_map(|one| one.trace_id());
        // All its traces count, those that are not kept as well: of each, it may come only once.
        for (number, id) in ids.filter(|id| seen.insert(*id)).enumerate() {
            if !wanted.contains(&id) {
                continue;
            }
            let found = found.entry(id).or_default();
            if number < most {
                found.points.push(point.clone());
            } else {
                found.beyond += 1;
            }
        }
    }
}
