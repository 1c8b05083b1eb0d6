//! Following: what arrives in a store, as it arrives.

use crate::engine::bookmark::Bookmark;
use crate::engine::state::Engine;
use crate::error::{QueryError, WaitError};
use crate::query::{Answer, Order, Query};
use crate::signal::Signal;
use crate::store::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asks for what is followed.
type Ask<T> = dyn for<'q> Fn(Query<'q, T>) -> Query<'q, T> + Send + Sync;

/// Sleeps until something arrives that a query asks for, and gives it: each record once, in the order of arrival, as a
/// [`Bookmark`] has it from one time to the next.
///
/// It holds nothing back: what is evicted before it gets there is missed, and counted. It does not keep the store from being
/// shut down, and ends with it.
pub struct Follower<T: Signal> {
    reader: Reader<T>,
    #[cfg(feature = "async")]
    ticket: crate::sync::Ticket,
}

/// A follower but for its waiting.
struct Reader<T: Signal> {
    engine: Arc<Engine<T>>,
    ask: Box<Ask<T>>,
    bookmark: Bookmark,
    /// Records that were missed, and not told yet.
    missed: u64,
}

impl<T: Signal> Store<T> {
    /// Follows what arrives from now on and meets the conditions that `ask` adds to a query. Its limit, if it sets one, is how many
    /// records come at a time.
    ///
    /// ```
    /// use slipring::{LogRecord, Severity, Store};
    /// use std::time::Duration;
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// let mut errors = logs.follow(|query| query.severity_at_least(Severity::ERROR))?;
    ///
    /// logs.push(LogRecord::builder().severity(Severity::INFO).build())?;
    /// assert!(errors.recv_timeout(Duration::from_millis(5)).is_err(), "nothing that is asked for");
    /// logs.push(LogRecord::builder().severity(Severity::FATAL).build())?;
    /// let news = errors.recv()?.expect("the store is open");
    /// assert_eq!((news.len(), news.report.missed), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError`] if the query can't mean anything, or [ends somewhere](QueryError::EndsSomewhere).
    ///
    /// # Panics
    /// The follower's calls do, if `ask` later makes a query that can't be asked.
    pub fn follow(
        &self,
        ask: impl for<'q> Fn(Query<'q, T>) -> Query<'q, T> + Send + Sync + 'static,
    ) -> Result<Follower<T>, QueryError> {
        self.follow_from(self.bookmark(), ask)
    }

    /// As [`follow`](Store::follow), from a bookmark on: [`beginning`](Store::beginning) gives first what is there.
    ///
    /// # Errors
    /// As there; [`QueryError::OtherStore`] if the bookmark is another store's.
    pub fn follow_from(
        &self,
        bookmark: Bookmark,
        ask: impl for<'q> Fn(Query<'q, T>) -> Query<'q, T> + Send + Sync + 'static,
    ) -> Result<Follower<T>, QueryError> {
        ask(self.query()).since(&bookmark).can_be_followed()?;
        Ok(Follower {
            reader: Reader { engine: self.share_engine(), ask: Box::new(ask), bookmark, missed: 0 },
            #[cfg(feature = "async")]
            ticket: Default::default(),
        })
    }
}

impl<T: Signal + Clone> Reader<T> {
    fn read(&mut self) -> Option<Answer<T>> {
        let query = (self.ask)(Query::new(&self.engine)).since(&self.bookmark).order(Order::Oldest);
        let mut news = query.collect().expect("it was asked before");
        self.bookmark.clone_from(news.report.bookmark.as_ref().expect("a query since a bookmark gives the next"));
        self.missed += news.report.missed;
        if news.is_empty() {
            return None;
        }
        news.report.missed = std::mem::take(&mut self.missed);
        Some(news)
    }

    /// What has arrived, or `Some(None)` if nothing has and nothing will.
    fn read_or_end(&mut self) -> Option<Option<Answer<T>>> {
        let stops = self.engine.is_stopping();
        let news = self.read();
        (news.is_some() || stops).then_some(news)
    }
}

impl<T: Signal + Clone> Follower<T> {
    /// What has arrived since the last time, if anything has. Never waits.
    pub fn try_recv(&mut self) -> Option<Answer<T>> {
        self.reader.read()
    }

    /// What has arrived since the last time; sleeps until there is something. `None` once the store is shut down.
    ///
    /// It is woken when the indexer has got there: within a millisecond or two. In a manual store somebody has to step, or it looks for
    /// itself every millisecond.
    ///
    /// # Errors
    /// [`WaitError::Reentrant`] inside a hook or a visit.
    pub fn recv(&mut self) -> Result<Option<Answer<T>>, WaitError> {
        self.recv_until(None)
    }

    /// As [`recv`](Follower::recv), for this long at most.
    ///
    /// # Errors
    /// Also [`WaitError::Timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Answer<T>>, WaitError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Option<Answer<T>>, WaitError> {
        let reader = &mut self.reader;
        loop {
            if let Some(news) = reader.read_or_end() {
                return Ok(news);
            }
            // Also if more and more comes that is not asked for.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(WaitError::Timeout);
            }
            reader.engine.wait_for_arrivals(&reader.bookmark, deadline)?;
        }
    }
}

impl<T: Signal> Follower<T> {
    /// Where it has got to: another one can go on from there.
    pub fn bookmark(&self) -> &Bookmark {
        &self.reader.bookmark
    }

    /// Records that were evicted before it got to them since it last gave some, asked for or not. [`try_recv`](Follower::try_recv) and
    /// the others tell it with the next ones that they give.
    pub fn missed(&self) -> u64 {
        self.reader.missed
    }
}

/// What arrives, as a stream: it ends once the store is shut down. Waking costs what it does for a thread; in a manual store
/// somebody has to step.
///
/// A waker is woken by whoever indexes what has arrived. It runs as a hook does: it may push, but not wait, and a panic of it is
/// caught and counted. A poll panics if its waker does when it is cloned, because it could not be woken.
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
        let Self { reader, ticket } = &mut *self;
        if let Some(news) = reader.read_or_end() {
            reader.engine.forget_task(ticket);
            return std::task::Poll::Ready(news);
        }
        // Once registered it looks once: of whatever comes later it is told. So its waker is cloned once, and a poll ends also
        // if more and more comes that is not asked for.
        let engine = Arc::clone(&reader.engine);
        engine.poll_arrivals(ticket, context, || reader.read_or_end())
    }
}

#[cfg(feature = "async")]
impl<T: Signal> Drop for Follower<T> {
    fn drop(&mut self) {
        self.reader.engine.forget_task(&mut self.ticket);
    }
}

impl<T: Signal> std::fmt::Debug for Follower<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("signal", &T::NAME)
            .field("bookmark", &self.reader.bookmark)
            .finish_non_exhaustive()
    }
}
