//! Bookmarks: cuts through a store.

use crate::engine::reentrancy;
use crate::engine::state::Engine;
use crate::engine::tuning::WAIT_AT_MOST;
use crate::error::WaitError;
use crate::signal::Signal;
use std::time::Instant;

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

impl<T: Signal> Engine<T> {
    /// For each shard, the first sequence after a cut through the store as it is now.
    pub(crate) fn cut(&self) -> impl Iterator<Item = u64> {
        // The clock first: whatever run is seen to have begun has all that its thread pushed before it seen as well.
        let now = self.router.stamps_given();
        self.shards.iter().map(move |shard| shard.published_before(now))
    }

    /// Sleeps until something has been published after the bookmark, or the store is shut down.
    ///
    /// Whoever indexes wakes it, so producers pay nothing. What is published is indexed before long, by the thread if by nobody
    /// else; without a thread it looks for itself now and then.
    pub(crate) fn wait_for_arrivals(&self, bookmark: &Bookmark, deadline: Option<Instant>) -> Result<(), WaitError> {
        if reentrancy::is_inside() {
            return Err(WaitError::Reentrant);
        }
        let ready = || self.has_news_since(bookmark);
        let turn = if self.threaded { None } else { Instant::now().checked_add(WAIT_AT_MOST) };
        let until = [deadline, turn].into_iter().flatten().min();
        match self.arrivals.wait(until, ready) {
            None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => Err(WaitError::Timeout),
            _ => Ok(()),
        }
    }

    fn has_news_since(&self, bookmark: &Bookmark) -> Option<()> {
        let news = || self.cut().zip(&bookmark.next).any(|(now, &then)| now > then);
        (self.is_stopping() || news()).then_some(())
    }

    /// Lets a task wait as `wait_for_arrivals` does, until `look` answers. It looks once.
    #[cfg(feature = "async")]
    pub(crate) fn poll_arrivals<R>(
        &self,
        ticket: &mut crate::sync::Ticket,
        context: &mut std::task::Context<'_>,
        look: impl FnMut() -> Option<R>,
    ) -> std::task::Poll<R> {
        self.arrivals.poll(ticket, context, look)
    }

    #[cfg(feature = "async")]
    pub(crate) fn forget_task(&self, ticket: &mut crate::sync::Ticket) {
        self.arrivals.leave(ticket);
    }
}
