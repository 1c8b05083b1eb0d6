//! How a point enters the history.

use crate::dictionary::Key;
use crate::row::{self, Common};
use crate::tier::{Series, Shared, Tier};
use crate::wire::{Shape, look};
use slipring::metric::{MetricKind, PointValue};
use slipring::{MetricPoint, Position, Signal, Source};

/// A point may take this part of the budget, and its attributes and its source as much each.
const PART: usize = 16;

/// Open rows of so many bytes become a block, however few points they are.
const MOST_ROW_BYTES: usize = 64 << 10;

/// What a point takes beside its bytes, if it shares no message with others: its body, with the
/// reference counts, the list of its one source, and what allocators add.
pub(crate) const LIKE: usize = 224;

/// What is remembered from one point to the next of a batch: points that follow each other often
/// share their source.
#[derive(Default)]
pub(crate) struct Batch {
    /// The source, the number of its metric, and how many metrics had been dropped then: numbers
    /// are given again.
    source: Option<(Source, u32, u64)>,
    /// The number of that source's resource and scope.
    origin: u32,
    /// A source, and the bytes that it takes with its scope and its resource.
    sized: Option<(Source, usize)>,
    key: Vec<u8>,
}

impl Batch {
    fn source_bytes(&mut self, source: &Source) -> usize {
        if let Some((known, bytes)) = &self.sized
            && known.ptr_eq(source)
        {
            return *bytes;
        }
        let bytes = source.resource().bytes().len() + source.scope().bytes().len();
        let bytes = bytes + source.heap_bytes();
        self.sized = Some((source.clone(), bytes));
        bytes
    }
}

impl Tier {
    /// Takes a point in, or counts why not.
    pub(crate) fn absorb(&mut self, position: Position, point: &MetricPoint, batch: &mut Batch) {
        if let Some(seen) = self.seen.get_mut(position.shard()) {
            seen.add(position.sequence());
        }
        self.taps.offer(position, point);
        let value = point.value();
        let Some(shape) = Shape::of(&value) else {
            self.counts.summaries += 1;
            return;
        };
        let most = self.max_bytes / PART;
        let source_bytes = batch.source_bytes(point.source());
        if value_bytes(&value) > most || source_bytes > most || point.heap_bytes() > most {
            self.counts.too_large += 1;
            return;
        }
        let metric = self.metric(point, batch);
        let key = &mut batch.key;
        key.clear();
        key.extend_from_slice(&metric.to_le_bytes());
        key.push(shape as u8);
        let seen = look(point.bytes(), shape, key);
        self.counts.without_exemplars += u64::from(seen.exemplars);
        self.counts.without_unknown_fields += u64::from(seen.unknown_fields);
        let key = self.series.key(key);
        let number = match self.series.find(key) {
            Some(number) => number,
            None => self.add_series(point, shape, key, metric),
        };
        self.append(number, &seen.common(point), &value);
        self.keep_to_budget();
    }

    fn append(&mut self, number: u32, common: &Common, value: &PointValue) {
        let now = self.tick();
        let Some(series) = self.series.get_mut(number) else { return };
        let before = series.rows.capacity();
        row::write(common, value, &mut series.rows);
        self.open_bytes += (series.rows.capacity() - before) * size_of::<u64>();
        series.points += 1;
        series.last = now;
        self.counts.open += 1;
        self.counts.held += 1;
        // A series of one point has no claim to stay; one that goes on has.
        series.touched = !series.is_new;
        if std::mem::take(&mut series.is_new) {
            series.single = Some(now);
            self.single.insert(now, number);
        } else if let Some(since) = series.single.take() {
            self.single.remove(&since);
        }
        if series.points == 1 {
            series.begun = now;
            self.open.insert(now, number);
        }
        if series.points as usize >= self.block_points
            || size_of_val(&series.rows[..]) >= MOST_ROW_BYTES
        {
            self.close(number);
        }
    }

    /// Adds the point's series, with a copy of its own of the attributes.
    fn add_series(&mut self, point: &MetricPoint, shape: Shape, key: Key, metric: u32) -> u32 {
        let mut source = Source::default();
        if let Some(shared) = self.metrics.get_mut(metric) {
            // The metric has this series as its user before another series leaves, so it stays.
            shared.users += 1;
            source = shared.source.clone();
        }
        self.make_room_for_series();
        let like = MetricPoint::builder().source(&source).attributes(point.attributes());
        let like = like.build().detached();
        let like_bytes = like.heap_bytes() + LIKE;
        self.like_bytes += like_bytes;
        self.series.insert(key, Series::new(metric, shape, like, like_bytes))
    }

    /// Returns the number of the point's metric. A new one has no user yet.
    fn metric(&mut self, point: &MetricPoint, batch: &mut Batch) -> u32 {
        let (source, dropped) = (point.source(), self.dropped_metrics);
        if let Some((known, number, then)) = &batch.source
            && *then == dropped
            && known.ptr_eq(source)
        {
            return *number;
        }
        // Most points of a request share their resource, which may be as large as the request, so
        // it is looked up once for them and not once for each metric.
        let origin = match &batch.source {
            Some((known, _, then)) if *then == dropped && have_one_origin(known, source) => {
                batch.origin
            }
            _ => self.origin(source, &mut batch.key),
        };
        let key = &mut batch.key;
        key.clear();
        key.extend_from_slice(&origin.to_le_bytes());
        write_metric_key(source, key);
        let key = self.metrics.key(key);
        let number = match self.metrics.find(key) {
            Some(number) => number,
            None => {
                let mut own = Source::default();
                if let Some(shared) = self.origins.get_mut(origin) {
                    shared.users += 1;
                    own = shared.source.with_metric(&source.metric().to_metric());
                }
                own.charge(&self.ledger);
                self.metrics.insert(key, Shared { source: own, users: 0, origin })
            }
        };
        batch.origin = origin;
        batch.source = Some((source.clone(), number, dropped));
        number
    }

    /// Returns the number of the source's resource and scope. A new one has no user yet.
    fn origin(&mut self, source: &Source, key: &mut Vec<u8>) -> u32 {
        key.clear();
        write_origin_key(source, key);
        let key = self.origins.key(key);
        self.origins.find(key).unwrap_or_else(|| {
            let own = Source::new(&source.resource().to_resource(), &source.scope().to_scope());
            own.charge(&self.ledger);
            self.origins.insert(key, Shared { source: own, users: 0, origin: 0 })
        })
    }
}

/// Returns whether two sources that are both held have the same resource and scope in memory.
/// `false` is no proof that these differ.
fn have_one_origin(one: &Source, other: &Source) -> bool {
    let parts = |source: &Source| {
        let (resource, scope) = (source.resource(), source.scope());
        let texts = [resource.schema_url(), scope.schema_url()].map(str::as_bytes);
        // An empty part is the same as another wherever it is.
        [resource.bytes(), scope.bytes(), texts[0], texts[1]]
            .map(|bytes| (!bytes.is_empty()).then_some((bytes.as_ptr(), bytes.len())))
    };
    parts(one) == parts(other)
}

/// Returns the bytes that a value's buckets take in a row.
fn value_bytes(value: &PointValue) -> usize {
    let items = match value {
        PointValue::Histogram(one) => one.bucket_counts.len() + one.explicit_bounds.len(),
        PointValue::ExponentialHistogram(one) => {
            one.positive.bucket_counts.len() + one.negative.bucket_counts.len()
        }
        _ => 0,
    };
    items * size_of::<u64>()
}

/// Appends what tells a metric from others of its resource and scope: its name, its unit and its
/// kind.
fn write_metric_key(source: &Source, key: &mut Vec<u8>) {
    let metric = source.metric();
    write_part(metric.name().as_bytes(), key);
    write_part(metric.unit().as_bytes(), key);
    let (kind, temporality, monotonic) = match metric.kind() {
        MetricKind::Gauge => (0, 0, false),
        MetricKind::Sum { temporality, monotonic } => (1, temporality as u8, monotonic),
        MetricKind::Histogram { temporality } => (2, temporality as u8, false),
        MetricKind::ExponentialHistogram { temporality } => (3, temporality as u8, false),
        _ => (4, 0, false),
    };
    key.extend([kind, temporality, u8::from(monotonic)]);
}

fn write_origin_key(source: &Source, key: &mut Vec<u8>) {
    let (resource, scope) = (source.resource(), source.scope());
    write_part(resource.bytes(), key);
    write_part(resource.schema_url().as_bytes(), key);
    write_part(scope.bytes(), key);
    write_part(scope.schema_url().as_bytes(), key);
}

/// Appends bytes with their length, so that no two lists of parts have the same key.
fn write_part(bytes: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    key.extend_from_slice(bytes);
}
