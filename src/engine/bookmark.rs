//! Bookmarks: cuts through a store.

use crate::engine::reentrancy;
use crate::engine::state::Engine;
use crate::engine::tuning::WAIT_AT_MOST;
use crate::error::WaitError;
use crate::signal::Signal;
use std::time::Instant;

/// A cut through a store: it separates the records that arrived before it from those that arrive
/// after it.
///
/// In each shard the cut stands at the first record whose push had not finished, so a follower that
/// starts from the bookmark loses no record. If a push stalls, records that were pushed beside it
/// come after the cut, although queries could already see them. If no push stalls, the cut respects
/// each thread's order: a record comes before the cut only together with all that its thread had
/// pushed earlier.
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
/// let bookmark = news.report.bookmark.expect("a query since a bookmark returns the next one");
/// assert!(logs.query().since(&bookmark).collect()?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A bookmark is small and holds nothing back. You can keep it for as long as you like: records
/// that are evicted in the meantime are counted as missed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bookmark {
    pub(crate) store: u64,
    /// For each shard, the first sequence after the cut.
    pub(crate) next: Box<[u64]>,
}

impl Bookmark {
    /// Returns the cut as it is now. O(shards + records not yet indexed).
    pub(crate) fn of<T: Signal>(engine: &Engine<T>) -> Self {
        Self { store: engine.identity, next: engine.cut().collect() }
    }

    /// Returns the cut before all records.
    pub(crate) fn beginning<T: Signal>(engine: &Engine<T>) -> Self {
        Self { store: engine.identity, next: engine.shards.iter().map(|_| 0).collect() }
    }
}

impl<T: Signal> Engine<T> {
    /// Returns, for each shard, the first sequence after a cut through the store as it is now.
    pub(crate) fn cut(&self) -> impl Iterator<Item = u64> {
        // Read the stamp counter before the shards. A run whose stamp is below this value began
        // after its thread had published all that it pushed before the run, so the shards read
        // below show those records too.
        let now = self.router.next_stamp();
        self.shards.iter().map(move |shard| shard.published_before(now))
    }

    /// Sleeps until something has been published after the bookmark, or the store is shut down.
    ///
    /// A thread that indexes records wakes the sleeper, so producers pay nothing for it. The
    /// indexer thread indexes published records soon if no other thread does. In a store without an
    /// indexer thread, the sleeper looks for itself every [`WAIT_AT_MOST`].
    pub(crate) fn wait_for_arrivals(
        &self,
        bookmark: &Bookmark,
        deadline: Option<Instant>,
    ) -> Result<(), WaitError> {
        if reentrancy::is_inside() {
            return Err(WaitError::Reentrant);
        }
        let ready = || self.has_news_since(bookmark);
        let next_look = if self.threaded { None } else { Instant::now().checked_add(WAIT_AT_MOST) };
        let until = [deadline, next_look].into_iter().flatten().min();
        match self.arrivals.wait(until, ready) {
            None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                Err(WaitError::Timeout)
            }
            _ => Ok(()),
        }
    }

    fn has_news_since(&self, bookmark: &Bookmark) -> Option<()> {
        let news = || self.cut().zip(&bookmark.next).any(|(now, &then)| now > then);
        (self.is_stopping() || news()).then_some(())
    }

    /// Registers a task that waits as `wait_for_arrivals` does, until `look` returns something.
    /// Calls `look` once.
    #[cfg(feature = "async")]
    pub(crate) fn poll_arrivals<R>(
        &self,
        ticket: &mut crate::sync::Ticket,
        context: &mut std::task::Context<'_>,
        look: impl FnMut() -> Option<R>,
    ) -> std::task::Poll<R> {
        self.arrivals.poll(ticket, context, look)
    }

    /// Withdraws a task's registration.
    #[cfg(feature = "async")]
    pub(crate) fn forget_task(&self, ticket: &mut crate::sync::Ticket) {
        self.arrivals.leave(ticket);
    }
}
