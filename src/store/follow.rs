//! Following: receiving a store's records as they arrive.

use crate::engine::bookmark::Bookmark;
use crate::engine::state::Engine;
use crate::error::{QueryError, WaitError};
use crate::query::{Answer, Order, Query};
use crate::signal::Signal;
use crate::store::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Adds the conditions of a follower to a query.
type AddConditions<T> = dyn for<'q> Fn(Query<'q, T>) -> Query<'q, T> + Send + Sync;

/// Receives the records that arrive in a store and meet a query's conditions: each record once, in
/// the order of arrival, with the guarantees of a [`Bookmark`].
///
/// A follower holds nothing back: records that are evicted before it gets to them are missed, and
/// counted. A follower does not keep its store from being shut down, and ends with the store.
pub struct Follower<T: Signal> {
    state: FollowerState<T>,
    #[cfg(feature = "async")]
    ticket: crate::sync::Ticket,
}

/// A follower's state, without its registration for wakeups.
struct FollowerState<T: Signal> {
    engine: Arc<Engine<T>>,
    ask: Box<AddConditions<T>>,
    bookmark: Bookmark,
    /// Records that were missed and not yet reported.
    missed: u64,
}

impl<T: Signal> Store<T> {
    /// Follows the records that arrive from now on and meet the conditions that `ask` adds to a
    /// query. A limit that `ask` sets is the number of records that are received at a time.
    ///
    /// ```
    /// use slipring::{LogRecord, Severity, Store};
    /// use std::time::Duration;
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let mut errors = logs.follow(|query| query.severity_at_least(Severity::ERROR))?;
    ///
    /// logs.push(LogRecord::builder().severity(Severity::INFO).build())?;
    /// let waited = errors.recv_timeout(Duration::from_millis(5));
    /// assert!(waited.is_err(), "the record does not match");
    /// logs.push(LogRecord::builder().severity(Severity::FATAL).build())?;
    /// let news = errors.recv()?.expect("the store is open");
    /// assert_eq!((news.len(), news.report.missed), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError`] if the query is invalid, or [ends somewhere](QueryError::EndsSomewhere).
    ///
    /// # Panics
    /// Calls of the follower panic if `ask` later returns an invalid query.
    pub fn follow(
        &self,
        ask: impl for<'q> Fn(Query<'q, T>) -> Query<'q, T> + Send + Sync + 'static,
    ) -> Result<Follower<T>, QueryError> {
        self.follow_from(self.bookmark(), ask)
    }

    /// Follows like [`follow`](Store::follow), but starts from a bookmark. With
    /// [`beginning`](Store::beginning), the follower first receives what is in the store.
    ///
    /// # Errors
    /// The errors of `follow`, and [`QueryError::OtherStore`] if the bookmark belongs to another
    /// store.
    pub fn follow_from(
        &self,
        bookmark: Bookmark,
        ask: impl for<'q> Fn(Query<'q, T>) -> Query<'q, T> + Send + Sync + 'static,
    ) -> Result<Follower<T>, QueryError> {
        ask(self.query()).since(&bookmark).can_be_followed()?;
        Ok(Follower {
            state: FollowerState {
                engine: self.share_engine(),
                ask: Box::new(ask),
                bookmark,
                missed: 0,
            },
            #[cfg(feature = "async")]
            ticket: Default::default(),
        })
    }
}

impl<T: Signal + Clone> FollowerState<T> {
    /// Runs the query from the bookmark, and moves the bookmark on. Returns what was found, if
    /// anything.
    fn read(&mut self) -> Option<Answer<T>> {
        let query = (self.ask)(Query::new(&self.engine)).since(&self.bookmark).order(Order::Oldest);
        let mut news = query.collect().expect("the query was valid when the follower was created");
        self.bookmark.clone_from(
            news.report.bookmark.as_ref().expect("a query since a bookmark returns the next one"),
        );
        self.missed += news.report.missed;
        if news.is_empty() {
            return None;
        }
        news.report.missed = std::mem::take(&mut self.missed);
        Some(news)
    }

    /// Returns what has arrived, or `Some(None)` if nothing has and the store is shut down.
    fn read_or_end(&mut self) -> Option<Option<Answer<T>>> {
        let is_stopping = self.engine.is_stopping();
        let news = self.read();
        (news.is_some() || is_stopping).then_some(news)
    }
}

impl<T: Signal + Clone> Follower<T> {
    /// Returns what has arrived since the last call, if anything has. Never waits.
    pub fn try_recv(&mut self) -> Option<Answer<T>> {
        self.state.read()
    }

    /// Returns what has arrived since the last call, and sleeps until there is something. Returns
    /// `None` once the store is shut down.
    ///
    /// The follower is woken when the indexer has got to the new records: within a millisecond or
    /// two. In a manual store it is woken when some thread steps; otherwise it looks for itself
    /// every millisecond.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit.
    pub fn recv(&mut self) -> Result<Option<Answer<T>>, WaitError> {
        self.recv_until(None)
    }

    /// Receives like [`recv`](Follower::recv), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] if nothing came in time, and the errors of `recv`.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Answer<T>>, WaitError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Option<Answer<T>>, WaitError> {
        let state = &mut self.state;
        loop {
            if let Some(news) = state.read_or_end() {
                return Ok(news);
            }
            // Checked in each round, so that the wait also ends while records keep arriving that do
            // not match.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(WaitError::Timeout);
            }
            state.engine.wait_for_arrivals(&state.bookmark, deadline)?;
        }
    }
}

impl<T: Signal> Follower<T> {
    /// Returns the bookmark up to which this follower has received. Another follower can start from
    /// it.
    pub fn bookmark(&self) -> &Bookmark {
        &self.state.bookmark
    }

    /// Returns how many records, matching or not, were evicted before the follower got to them,
    /// since it last returned some. [`try_recv`](Follower::try_recv) and the other receiving
    /// methods report this number with the next records that they return.
    pub fn missed(&self) -> u64 {
        self.state.missed
    }
}

/// A stream of what arrives. It ends once the store is shut down. To wake a task costs the indexer
/// what it costs to wake a thread. In a manual store, some thread has to step.
///
/// The waker is woken by the thread that indexes the new records. It runs under the same rules as a
/// hook: it may push, but not wait, and its panics are caught and counted. Polling panics if the
/// waker panics when it is cloned, because the task could not be woken.
///
/// ```
/// use futures::StreamExt;
/// use slipring::{LogRecord, Store};
///
/// let logs: Store<LogRecord> = Store::builder().build()?;
/// let mut news = logs.follow(|query| query)?;
/// logs.push(LogRecord::default())?;
/// futures::executor::block_on(async {
///     assert_eq!(news.next().await.map(|news| news.len()), Some(1));
///     logs.shutdown().unwrap();
///     assert!(news.next().await.is_none());
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "async")]
impl<T: Signal + Clone> futures_core::Stream for Follower<T> {
    type Item = Answer<T>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Answer<T>>> {
        let Self { state, ticket } = &mut *self;
        if let Some(news) = state.read_or_end() {
            state.engine.forget_task(ticket);
            return std::task::Poll::Ready(news);
        }
        // `poll_arrivals` registers the waker once and then looks once more. If anything comes
        // later, the waker is woken. So the waker is cloned at most once per poll, and a poll also
        // ends while records keep arriving that do not match.
        let engine = Arc::clone(&state.engine);
        engine.poll_arrivals(ticket, context, || state.read_or_end())
    }
}

#[cfg(feature = "async")]
impl<T: Signal> Drop for Follower<T> {
    fn drop(&mut self) {
        self.state.engine.forget_task(&mut self.ticket);
    }
}

impl<T: Signal> std::fmt::Debug for Follower<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("signal", &T::NAME)
            .field("bookmark", &self.state.bookmark)
            .finish_non_exhaustive()
    }
}
