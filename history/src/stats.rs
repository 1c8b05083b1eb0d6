//! What a history holds, and what it could not keep.

/// The counts and sizes of a [`MetricHistory`](crate::MetricHistory).
///
/// Each point that the store evicted since the history was started is counted once:
/// `evicted = held + queued + missed + cleared + summaries + too_large + expired`, in points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes that the history may take.
    pub max_bytes: usize,
    /// Bytes that it takes: the sum of the next three.
    pub bytes: usize,
    /// Bytes of compressed blocks.
    pub block_bytes: usize,
    /// Bytes of points that wait to be compressed.
    pub open_bytes: usize,
    /// Bytes of what is stored once a series, a metric, a scope or a resource.
    pub dictionary_bytes: usize,
    /// Bytes of the queue, in addition to `bytes`.
    pub queue_bytes: usize,
    /// Series held.
    pub series: usize,
    /// Blocks held.
    pub blocks: usize,
    /// Points held, in blocks or waiting to be compressed.
    pub held: u64,
    /// Of these, points that wait to be compressed.
    pub open: u64,
    /// Points that the store has evicted since the history was started.
    pub evicted: u64,
    /// Points that are in the queue.
    pub queued: u64,
    /// Points that were lost because the queue was full.
    pub missed: u64,
    /// Points that were in the store or in the history when it was cleared, and those that were in
    /// the store when it was shut down.
    pub cleared: u64,
    /// Points of summaries, which the history does not keep.
    pub summaries: u64,
    /// Points that were too large: their buckets, attributes or resource would take more than a
    /// sixteenth of the history.
    pub too_large: u64,
    /// Points that the history has evicted, the blocks whose last point is oldest first.
    pub expired: u64,
    /// Points whose exemplars were not kept. They are held all the same.
    pub without_exemplars: u64,
    /// Points that had fields which the protocol does not know. They are held without those.
    pub without_unknown_fields: u64,
    /// Answers that lacked points, because these did not arrive from the store in time.
    pub incomplete_answers: u64,
}
