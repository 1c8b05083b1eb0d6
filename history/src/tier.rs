//! The tier: the series, their blocks, and the budget that they share.

use crate::block::Block;
use crate::dictionary::Dictionary;
use crate::seen::Seen;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::taps::Taps;
use crate::wire::Shape;
use slipring::{Ledger, MetricPoint, Query, Source};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a block takes beside its bytes: itself with its counts, and its places in its series' list
/// and among all blocks.
const BLOCK: usize = size_of::<Block>() + 112;

/// What a series' place among those of a single point takes.
const SINGLE: usize = 32;

/// The share of the budget that points may take which wait to be compressed.
const OPEN_SHARE: usize = 3;

/// Everything that the history holds. One thread at a time has it.
pub(crate) struct Tier {
    pub(crate) max_bytes: usize,
    pub(crate) max_series: usize,
    pub(crate) block_points: usize,
    /// Resources with scopes, and metrics with those, as the history's own copies: the parts that
    /// records share are counted by the store that was offered them first.
    pub(crate) origins: Dictionary<Shared>,
    pub(crate) metrics: Dictionary<Shared>,
    pub(crate) dropped_metrics: u64,
    pub(crate) ledger: Ledger,
    pub(crate) series: Dictionary<Series>,
    /// The bytes of the points that stand for their series.
    pub(crate) like_bytes: usize,
    /// Series with open rows, by when the rows were begun; and blocks, by when their last point came.
    pub(crate) open: BTreeMap<u64, u32>,
    blocks: BTreeMap<u64, u32>,
    /// Series of a single point, by when that came.
    pub(crate) single: BTreeMap<u64, u32>,
    clock: u64,
    pub(crate) open_bytes: usize,
    block_bytes: usize,
    /// The place at which the search for an idle series goes on.
    hand: usize,
    /// For each shard, what the history has been handed.
    pub(crate) seen: Vec<Seen>,
    pub(crate) taps: Taps,
    pub(crate) counts: Stats,
    pub(crate) scratch: Vec<u8>,
}

/// A source, or the part of one, and how many metrics or series have it.
pub(crate) struct Shared {
    pub(crate) source: Source,
    pub(crate) users: u32,
    /// Of a metric: the number of its origin.
    pub(crate) origin: u32,
}

/// The points of one series, in the order in which they left the store.
pub(crate) struct Series {
    pub(crate) metric: u32,
    pub(crate) shape: Shape,
    /// A point with the series' source and attributes, and nothing else.
    pub(crate) like: MetricPoint,
    pub(crate) like_bytes: usize,
    /// Points that wait to be compressed, and when the first of them came.
    pub(crate) rows: Vec<u64>,
    pub(crate) points: u32,
    pub(crate) begun: u64,
    /// When the last point came.
    pub(crate) last: u64,
    blocks: VecDeque<(u64, Arc<Block>)>,
    /// Whether a point has come since the hand last passed, apart from the very first.
    pub(crate) touched: bool,
    pub(crate) is_new: bool,
    /// When the series' single point came, and `None` once there was another.
    pub(crate) single: Option<u64>,
}

/// What the history held of a series at one moment.
pub(crate) struct Kept {
    pub(crate) like: MetricPoint,
    pub(crate) shape: Shape,
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) rows: Vec<u64>,
}

impl Series {
    pub(crate) fn new(metric: u32, shape: Shape, like: MetricPoint, like_bytes: usize) -> Self {
        Self {
            metric,
            shape,
            like,
            like_bytes,
            rows: Vec::new(),
            points: 0,
            begun: 0,
            last: 0,
            blocks: VecDeque::new(),
            touched: false,
            is_new: true,
            single: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.points == 0 && self.blocks.is_empty()
    }
}

impl Tier {
    pub(crate) fn new(settings: &Settings, seen: Vec<Seen>) -> Self {
        // Readers that are slow hold as much as the queue does, each.
        let taps = Taps::new(settings.queue_points, settings.queue_bytes);
        Self {
            max_bytes: settings.max_bytes,
            max_series: settings.max_series,
            block_points: settings.block_points,
            origins: Dictionary::new(),
            metrics: Dictionary::new(),
            dropped_metrics: 0,
            ledger: Ledger::default(),
            series: Dictionary::new(),
            like_bytes: 0,
            open: BTreeMap::new(),
            blocks: BTreeMap::new(),
            single: BTreeMap::new(),
            clock: 0,
            open_bytes: 0,
            block_bytes: 0,
            hand: 0,
            seen,
            taps,
            counts: Stats::default(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn dictionary_bytes(&self) -> usize {
        self.origins.heap_bytes()
            + self.metrics.heap_bytes()
            + self.series.heap_bytes()
            + self.ledger.bytes()
            + self.like_bytes
            + self.single.len() * SINGLE
    }

    fn bytes(&self) -> usize {
        self.dictionary_bytes() + self.open_bytes + self.block_bytes
    }

    /// Compresses the open rows of a series into a block.
    pub(crate) fn close(&mut self, number: u32) {
        let Some(series) = self.series.get_mut(number).filter(|series| series.points > 0) else {
            return;
        };
        let rows = std::mem::take(&mut series.rows);
        let block = Block::of(&rows, series.shape, &mut self.scratch);
        self.open_bytes -= rows.capacity() * size_of::<u64>();
        self.counts.open -= u64::from(std::mem::take(&mut series.points));
        self.open.remove(&series.begun);
        self.block_bytes += block.heap_bytes() + BLOCK;
        series.blocks.push_back((series.last, Arc::new(block)));
        self.blocks.insert(series.last, number);
    }

    /// Compresses and evicts until the history keeps to its budget: open rows, those that were
    /// begun first, if they take more than their share; then the blocks whose last point is oldest.
    /// Open rows that were begun before that are compressed first. So a series that has ended
    /// leaves in its turn, and one that goes on keeps its newest points.
    pub(crate) fn keep_to_budget(&mut self) {
        while self.open_bytes > self.max_bytes / OPEN_SHARE
            && let Some((_, &number)) = self.open.first_key_value()
        {
            self.close(number);
        }
        while self.bytes() > self.max_bytes {
            let open = self.open.first_key_value().map(|(&begun, &number)| (begun, number));
            let block = self.blocks.first_key_value().map(|(&last, _)| last);
            match (open, block) {
                (Some((begun, number)), block) if block.is_none_or(|last| begun < last) => {
                    self.close(number);
                }
                (_, Some(_)) => {
                    if let Some((last, number)) = self.blocks.pop_first() {
                        self.drop_block(last, number);
                    }
                }
                _ => break,
            }
        }
    }

    /// Evicts a block that is no longer among `blocks`.
    fn drop_block(&mut self, last: u64, number: u32) {
        let Some(series) = self.series.get_mut(number) else { return };
        debug_assert_eq!(series.blocks.front().map(|(last, _)| *last), Some(last));
        if let Some((_, block)) = series.blocks.pop_front() {
            self.block_bytes -= block.heap_bytes() + BLOCK;
            self.counts.held -= block.points() as u64;
            self.counts.expired += block.points() as u64;
        }
        // What a list has room for is not counted, so it keeps little that it does not use.
        if series.blocks.len() < series.blocks.capacity() / 4 {
            series.blocks.shrink_to(2 * series.blocks.len());
        }
        if series.is_empty() {
            self.drop_series(number);
        }
    }

    /// Evicts a series, if there are as many as there may be. If half of them have a single point,
    /// the oldest of these goes: so a flood of names takes its own places. Otherwise one goes that
    /// has not had a point for long: each round over the series clears the marks of those that had
    /// one, and the first without a mark goes.
    pub(crate) fn make_room_for_series(&mut self) {
        while self.series.len() >= self.max_series {
            if self.single.len() >= self.max_series.div_ceil(2)
                && let Some((_, number)) = self.single.pop_first()
            {
                self.drop_series(number);
                continue;
            }
            let numbers = self.series.numbers();
            self.hand = if self.hand >= numbers { 0 } else { self.hand };
            let number = self.hand as u32;
            self.hand += 1;
            match self.series.get_mut(number) {
                Some(series) if series.touched => series.touched = false,
                Some(_) => self.drop_series(number),
                None => {}
            }
        }
    }

    /// Evicts a series with all its points.
    fn drop_series(&mut self, number: u32) {
        let Some(series) = self.series.remove(number) else { return };
        let mut points = u64::from(series.points);
        series.single.and_then(|since| self.single.remove(&since));
        if series.points > 0 {
            self.open.remove(&series.begun);
            self.counts.open -= points;
        }
        self.open_bytes -= series.rows.capacity() * size_of::<u64>();
        for (last, block) in &series.blocks {
            self.blocks.remove(last);
            self.block_bytes -= block.heap_bytes() + BLOCK;
            points += block.points() as u64;
        }
        self.counts.held -= points;
        self.counts.expired += points;
        self.like_bytes -= series.like_bytes;
        drop(series.like);
        self.release_metric(series.metric);
    }

    /// Takes one user from a metric. The last one takes the metric with it.
    fn release_metric(&mut self, number: u32) {
        let Some(metric) = self.metrics.get_mut(number) else { return };
        metric.users -= 1;
        if metric.users > 0 {
            return;
        }
        let origin = metric.origin;
        self.metrics.remove(number);
        self.dropped_metrics += 1;
        let Some(shared) = self.origins.get_mut(origin) else { return };
        shared.users -= 1;
        if shared.users == 0 {
            self.origins.remove(origin);
        }
    }

    /// Drops everything that is held.
    pub(crate) fn clear(&mut self) {
        let expired = self.counts.expired;
        (0..self.series.numbers() as u32).for_each(|number| self.drop_series(number));
        self.counts.cleared += self.counts.expired - expired;
        self.counts.expired = expired;
    }

    /// Returns what is held of the series that the query may ask for. Blocks are shared, open rows
    /// copied.
    pub(crate) fn kept(&self, query: &Query<'_, MetricPoint>) -> Vec<Kept> {
        let times = query.times();
        let asked = self.series.values().filter(|series| query.accepts_series(&series.like));
        let kept = |series: &Series| Kept {
            like: series.like.clone(),
            shape: series.shape,
            blocks: series
                .blocks
                .iter()
                .filter(|(_, block)| block.may_hold(&times))
                .map(|(_, block)| Arc::clone(block))
                .collect(),
            rows: series.rows.clone(),
        };
        asked.map(kept).collect()
    }

    /// Returns the counts and sizes of what is held. Those of the queue are left at 0.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            max_bytes: self.max_bytes,
            bytes: self.bytes(),
            block_bytes: self.block_bytes,
            open_bytes: self.open_bytes,
            dictionary_bytes: self.dictionary_bytes(),
            series: self.series.len(),
            blocks: self.blocks.len(),
            ..self.counts
        }
    }
}
