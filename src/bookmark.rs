//! Bookmarks: cuts through a store.

use crate::engine::Engine;
use crate::signal::Signal;

/// A cut through a store: everything that arrived before it, and everything after.
///
/// In each shard it stands at the first record whose push had not finished, so that none is lost to it: a record that was pushed
/// beside one whose push stalls comes after the cut, though it was visible already. Where no push stalls it keeps each thread's order:
/// what comes before it comes with all that its thread had pushed earlier.
///
/// ```
/// use slipring::{LogRecord, Store};
///
/// let logs: Store<LogRecord> = Store::builder().build()?;
/// logs.push(LogRecord::default())?;
/// let bookmark = logs.bookmark();
/// logs.push(LogRecord::builder().event_name("later").build())?;
///
/// let news = logs.query().since(&bookmark).collect()?;
/// assert_eq!(news.len(), 1);
/// assert_eq!(news.report.missed, 0);
/// let bookmark = news.report.bookmark.expect("a query from a bookmark on gives the next one");
/// assert!(logs.query().since(&bookmark).collect()?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is small, holds nothing back, and can be kept for as long as one likes: what was evicted since is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bookmark {
    pub(crate) store: u64,
    /// For each shard, the first sequence after the cut.
    pub(crate) next: Box<[u64]>,
}

impl Bookmark {
    /// The cut as it is now. O(shards + records not yet indexed).
    pub(crate) fn of<T: Signal>(engine: &Engine<T>) -> Self {
        Self { store: engine.identity, next: engine.cut().collect() }
    }

    /// The cut before everything.
    pub(crate) fn beginning<T: Signal>(engine: &Engine<T>) -> Self {
        Self { store: engine.identity, next: engine.shards.iter().map(|_| 0).collect() }
    }
}
