//! Sends kept traces to a backend as OTLP, by the protocol's rules for retries.
//!
//! The queue is bounded by bytes. What does not fit is lost, and counted: a backend that is down
//! for long must not take the sampler's memory, nor hold back senders. A request that the backend
//! may take later is tried again, after the time that the backend says (`Retry-After`, `RetryInfo`)
//! or else after a random time whose range doubles. Any other failure loses its spans.

mod reply;
mod transport;

use crate::sink::{Sampled, Sink};
use reply::Reply;
use slipring::Span;
use slipring::otlp::{Encoding, encode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use transport::Transport;
pub use transport::{Endpoint, EndpointError};

/// How a [`Forwarder`] sends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForwardSettings {
    /// Where to.
    pub to: Endpoint,
    /// Bytes of spans that may wait, with the resources and scopes of each trace.
    pub max_bytes: usize,
    /// The number of spans in a request. Larger traces go in several.
    pub request_spans: usize,
    /// Bytes of the spans in a request, unless a single span has more. Backends refuse requests
    /// above some MiB.
    pub request_bytes: usize,
    /// How long spans wait for others before they are sent.
    pub linger: Duration,
    /// The number of requests that are under way at once.
    pub senders: usize,
    /// How long the answer to a request may take.
    pub timeout: Duration,
    /// The first range of the random time before another try, and the longest.
    pub backoff: (Duration, Duration),
    /// How long a request is tried before its spans are lost.
    pub patience: Duration,
}

impl ForwardSettings {
    /// Returns the usual settings for this endpoint.
    pub fn to(to: Endpoint) -> Self {
        Self {
            to,
            max_bytes: 64 << 20,
            request_spans: 512,
            request_bytes: 2 << 20,
            linger: Duration::from_millis(200),
            senders: 4,
            timeout: Duration::from_secs(10),
            backoff: (Duration::from_secs(1), Duration::from_secs(30)),
            patience: Duration::from_secs(300),
        }
    }
}

/// The figures of a [`Forwarder`], in spans unless they say otherwise. Each span that was offered
/// is counted in exactly one of `waiting`, `sent`, `refused`, `lost_full` and `lost_failed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardStats {
    /// Spans that were offered.
    pub offered: u64,
    /// Spans that wait, or are under way.
    pub waiting: u64,
    /// Spans that the backend took.
    pub sent: u64,
    /// Spans that the backend rejected of requests that it took.
    pub refused: u64,
    /// Spans for which there was no room.
    pub lost_full: u64,
    /// Spans whose requests failed for good.
    pub lost_failed: u64,
    /// Tries that failed and were repeated.
    pub retries: u64,
    /// Why a request last failed.
    pub last_failure: Option<String>,
}

#[derive(Default)]
struct Queue {
    parts: VecDeque<Vec<Span>>,
    spans: usize,
    bytes: usize,
    stats: ForwardStats,
    is_closed: bool,
}

struct Shared {
    settings: ForwardSettings,
    queue: Mutex<Queue>,
    news: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is kept to a backend: a [`Sink`] that never waits. Clones share a queue.
#[derive(Clone)]
pub struct Forwarder(Arc<Shared>);

/// The tasks that send. They end when this is dropped; [`finish`](Self::finish) lets them send
/// what is there.
pub struct Sending {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// Returns the bytes of spans with their resources and scopes, as a request of their own repeats
/// them. Each may be one that nobody shares, so all of them count.
fn bytes_of(spans: &[Span]) -> usize {
    let own: usize = spans.iter().map(|span| span.bytes().len() + size_of::<Span>()).sum();
    let mut last = None;
    let mut shared = 0;
    for span in spans {
        let source = span.source();
        if last.replace(source).is_none_or(|last| !last.ptr_eq(source)) {
            shared += source.resource().bytes().len() + source.scope().bytes().len();
        }
    }
    own + shared
}

/// Splits spans into parts that fit into a request each.
fn split(spans: Vec<Span>, settings: &ForwardSettings) -> Vec<Vec<Span>> {
    let (most, most_bytes) = (settings.request_spans.max(1), settings.request_bytes);
    if spans.len() <= most && bytes_of(&spans) <= most_bytes {
        return vec![spans];
    }
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for span in spans {
        let size = bytes_of(std::slice::from_ref(&span));
        if !part.is_empty() && (part.len() >= most || bytes + size > most_bytes) {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(span);
    }
    parts.push(part);
    parts
}

impl Forwarder {
    /// Starts tasks that send, on the current tokio runtime.
    ///
    /// # Panics
    /// If there is no runtime.
    pub fn start(settings: ForwardSettings) -> (Self, Sending) {
        let transport = Transport::new(&settings.to, settings.timeout);
        let senders = settings.senders.max(1);
        let (queue, news) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { settings, queue, news });
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            tasks.spawn(send(Arc::clone(&shared), transport.clone()));
        }
        (Self(Arc::clone(&shared)), Sending { shared, tasks })
    }

    /// Adds spans to the queue, or loses and counts them if there is no room. Returns whether there
    /// was.
    pub fn offer(&self, spans: Vec<Span>) -> bool {
        let (count, bytes) = (spans.len() as u64, bytes_of(&spans));
        let mut queue = self.0.queue();
        queue.stats.offered += count;
        if queue.is_closed || queue.bytes + bytes > self.0.settings.max_bytes {
            queue.stats.lost_full += count;
            return false;
        }
        queue.bytes += bytes;
        queue.spans += spans.len();
        queue.stats.waiting += count;
        for part in split(spans, &self.0.settings) {
            queue.parts.push_back(part);
        }
        drop(queue);
        self.0.news.notify_one();
        true
    }

    /// Returns the figures.
    pub fn stats(&self) -> ForwardStats {
        self.0.queue().stats.clone()
    }
}

impl Sink for Forwarder {
    fn keep(&mut self, sampled: Sampled) {
        self.offer(sampled.spans);
    }
}

impl Sending {
    /// Takes no more spans, and sends what is there until `deadline` is over. What is then left is
    /// lost, and counted. Returns the figures.
    pub async fn finish(mut self, deadline: Duration) -> ForwardStats {
        self.shared.queue().is_closed = true;
        self.shared.news.notify_waiters();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(deadline, all).await;
        self.tasks.shutdown().await;
        let mut queue = self.shared.queue();
        queue.parts.clear();
        queue.stats.lost_failed += std::mem::take(&mut queue.stats.waiting);
        queue.stats.clone()
    }
}

/// Takes whole parts for one request out of the queue: at least one, if there is one.
fn next(queue: &mut Queue, settings: &ForwardSettings) -> Vec<Vec<Span>> {
    let (mut parts, mut spans, mut bytes) = (Vec::new(), 0, 0);
    while let Some(part) = queue.parts.front() {
        let (with, size) = (spans + part.len(), bytes + bytes_of(part));
        if spans > 0 && (with > settings.request_spans || size > settings.request_bytes) {
            break;
        }
        (spans, bytes) = (with, size);
        parts.extend(queue.parts.pop_front());
    }
    queue.spans -= spans;
    parts
}

/// Sends requests one after the other, until the queue is closed and empty.
async fn send(shared: Arc<Shared>, mut transport: Transport) {
    let settings = &shared.settings;
    loop {
        let news = shared.news.notified();
        let (is_enough, is_empty, is_closed) = {
            let queue = shared.queue();
            (queue.spans >= settings.request_spans, queue.spans == 0, queue.is_closed)
        };
        if is_empty && is_closed {
            // Others may wait for what this one was told.
            shared.news.notify_waiters();
            return;
        }
        if is_empty {
            // A close between the look and the wait would be missed.
            let _ = tokio::time::timeout(settings.linger, news).await;
            continue;
        }
        if !is_enough && !is_closed {
            tokio::time::sleep(settings.linger).await;
        }
        let parts = next(&mut shared.queue(), settings);
        if !parts.is_empty() {
            send_one(&shared, &mut transport, parts).await;
        }
    }
}

async fn send_one(shared: &Shared, transport: &mut Transport, parts: Vec<Vec<Span>>) {
    let bytes: usize = parts.iter().map(|part| bytes_of(part)).sum();
    let count: u64 = parts.iter().map(|part| part.len() as u64).sum();
    // The request takes the place of the spans, whose room is given back when it is done.
    let body = bytes::Bytes::from(encode(parts.iter().flatten(), Encoding::Protobuf));
    drop(parts);
    let settings = &shared.settings;
    let until = Instant::now() + settings.patience;
    let mut range = settings.backoff.0;
    let done = loop {
        let reply = match tokio::time::timeout(settings.timeout, transport.send(body.clone())).await
        {
            Ok(reply) => reply,
            Err(_) => Reply::Later { after: None, why: "no answer in time".to_owned() },
        };
        let (after, why) = match reply {
            Reply::Taken { rejected } => break Ok(rejected.min(count)),
            Reply::Failed { why } => break Err(why),
            Reply::Later { after, why } => (after, why),
        };
        // Half of the range at least, so that tries are spread and none comes at once.
        let random = range.mul_f64(0.5 + fastrand::f64() / 2.0);
        let wait = after.unwrap_or(random);
        range = (range * 2).min(settings.backoff.1);
        if Instant::now() + wait > until {
            break Err(why);
        }
        {
            let stats = &mut shared.queue().stats;
            stats.retries += 1;
            stats.last_failure = Some(why);
        }
        tokio::time::sleep(wait).await;
    };
    let mut queue = shared.queue();
    queue.bytes -= bytes;
    queue.stats.waiting -= count;
    match done {
        Ok(rejected) => {
            queue.stats.sent += count - rejected;
            queue.stats.refused += rejected;
        }
        Err(why) => {
            queue.stats.lost_failed += count;
            queue.stats.last_failure = Some(why);
        }
    }
}
