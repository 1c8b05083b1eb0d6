//! Sends kept traces to a backend as OTLP, by the protocol's rules for retries.
//!
//! The queue is bounded by bytes. What does not fit is lost, and counted: a backend that is down
//! for long must not take the sampler's memory, nor hold back senders. A request that the backend
//! may take later is tried again, after the time that the backend says (`Retry-After`, `RetryInfo`)
//! or else after a random time whose range doubles. Any other failure loses its spans. Once the
//! queue is closed, little time is left: each request is tried at once, and then every second.

mod connect;
mod endpoint;
mod headers;
mod reply;
#[cfg(feature = "tls")]
mod tls;
mod transport;

use crate::sink::{Sampled, Sink};
pub use endpoint::{Endpoint, EndpointError};
pub use headers::{HeaderError, Headers};
pub use reply::Reply;
use slipring::Span;
use slipring::otlp::{Encoding, encode};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError, TlsSettings};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use transport::Otlp;
pub use transport::Transport;

/// How a [`Forwarder`] sends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForwardSettings {
    /// Where to.
    pub to: Endpoint,
    /// What each request carries.
    pub headers: Headers,
    /// How the backend is recognized, if it is spoken to over TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
    /// Bytes that spans may take which wait or are under way, with the resources and scopes of each
    /// trace. Each of `senders` takes some more for the request that it encodes: as much again as
    /// the spans that are in it.
    pub max_bytes: usize,
    /// The number of spans in a request. Larger traces go in several.
    pub request_spans: usize,
    /// Bytes of the spans in a request with their resources and scopes, unless a single span has
    /// more. Beside a resource that takes most of it, spans still get a quarter of it. Backends
    /// refuse requests above some MiB.
    pub request_bytes: usize,
    /// How long spans wait for others before they are sent.
    pub linger: Duration,
    /// The number of requests that are under way at once.
    pub senders: usize,
    /// How long the answer to a request may take.
    pub timeout: Duration,
    /// The first range of the random time before another try, and the longest.
    pub backoff: (Duration, Duration),
    /// How long a request is tried before its spans are lost. They are lost at once if the backend
    /// asks for more time than is left.
    pub patience: Duration,
}

impl ForwardSettings {
    /// Returns the usual settings for this endpoint.
    pub fn to(to: Endpoint) -> Self {
        Self {
            to,
            headers: Headers::default(),
            #[cfg(feature = "tls")]
            tls: None,
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

    fn check_tls(&self) -> Result<(), StartError> {
        #[cfg(feature = "tls")]
        let has_tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let has_tls = false;
        if self.to.is_tls() && !has_tls {
            return Err(StartError::NoTls(self.to.clone()));
        }
        Ok(())
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
    /// Bytes that these take.
    pub waiting_bytes: usize,
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

/// Why nothing can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address asks for TLS, and nothing says how.
    #[error("{0} asks for TLS: set `tls` of the settings, with the feature `tls`")]
    NoTls(Endpoint),
    /// A transport of one's own has the connection.
    #[error("this forwarder sends over a transport of its own; renew that one's connection")]
    OwnTransport,
}

#[derive(Default)]
struct Queue {
    parts: VecDeque<Part>,
    /// Spans of these parts.
    spans: usize,
    stats: ForwardStats,
    is_closed: bool,
}

impl Queue {
    fn has_room(&self, bytes: usize, settings: &ForwardSettings) -> bool {
        let room = settings.max_bytes.saturating_sub(self.stats.waiting_bytes);
        bytes <= room && !self.is_closed
    }
}

/// The bytes of the memory that spans share, beside their own: reference counts, a ledger, a list of
/// sources, and what an allocator adds.
const BODY: usize = 192;

struct Shared {
    settings: ForwardSettings,
    /// The transport, unless it is the owner's.
    otlp: Option<Otlp>,
    queue: Mutex<Queue>,
    news: Notify,
    /// Tells that the queue is closed.
    closing: Notify,
}

/// The longest wait before another try, once the queue is closed.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this time, or until the queue closes. If it is closed, waits for a second at most.
    async fn pause(&self, time: Duration) {
        // Before the look, so that a close after it is not missed.
        let closing = self.closing.notified();
        let is_closed = self.queue().is_closed;
        if is_closed {
            tokio::time::sleep(time.min(LAST_WAIT)).await;
        } else {
            let _ = tokio::time::timeout(time, closing).await;
        }
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

/// Spans that go in one request, and share memory with no others.
struct Part {
    spans: Vec<Span>,
    /// What they take, counted once, so that what is given back is what was taken.
    bytes: usize,
}

impl From<Vec<Span>> for Part {
    fn from(spans: Vec<Span>) -> Self {
        let spare = (spans.capacity() - spans.len()) * size_of::<Span>();
        let bytes = BODY + bytes_of(&spans) + spare;
        Self { spans, bytes }
    }
}

/// The resources and scopes of a request, by where their bytes lie. Its spans hold them meanwhile.
#[derive(Default)]
struct Sources {
    last: Option<[(usize, usize); 2]>,
    known: HashSet<(usize, usize)>,
}

impl Sources {
    /// Adds a span's resource and scope. Returns the bytes of those that no span before it has.
    fn add(&mut self, span: &Span) -> usize {
        let source = span.source();
        let both = [source.resource().bytes(), source.scope().bytes()];
        let places = both.map(|bytes| (bytes.as_ptr().addr(), bytes.len()));
        if self.last.replace(places) == Some(places) {
            return 0;
        }
        places.iter().filter(|&&place| self.known.insert(place)).map(|(_, length)| length).sum()
    }
}

/// Returns the bytes of a span without its resource and scope.
fn own_bytes(span: &Span) -> usize {
    span.bytes().len() + size_of::<Span>()
}

/// Returns the bytes of spans with their resources and scopes, as a request of their own repeats
/// them. Each may be one that nobody else shares, so all of them count.
fn bytes_of(spans: &[Span]) -> usize {
    let mut sources = Sources::default();
    spans.iter().map(|span| own_bytes(span) + sources.add(span)).sum()
}

/// Splits spans into parts that fit into a request each.
fn split(spans: Vec<Span>, settings: &ForwardSettings) -> Vec<Part> {
    let (most, most_bytes) = (settings.request_spans.max(1), settings.request_bytes);
    if spans.len() <= most && bytes_of(&spans) <= most_bytes {
        return vec![spans.into()];
    }
    let finish = |mut part: Vec<Span>| {
        // Otherwise the first parts would keep the last one's memory, and the other way round.
        Span::detach_together(&mut part);
        Part::from(part)
    };
    let (mut parts, mut part, mut sources) = (Vec::new(), Vec::new(), Sources::default());
    let (mut bytes, mut room) = (0, most_bytes);
    for span in spans {
        let (own, mut shared) = (own_bytes(&span), sources.add(&span));
        if !part.is_empty() && (part.len() >= most || bytes + own + shared > room) {
            parts.push(finish(std::mem::take(&mut part)));
            (bytes, sources) = (0, Sources::default());
            shared = sources.add(&span);
        }
        if part.is_empty() {
            // A resource that fills a request alone would be repeated for each span.
            room = most_bytes.max(shared + most_bytes / 4);
        }
        bytes += own + shared;
        part.push(span);
    }
    parts.push(finish(part));
    parts
}

impl Forwarder {
    /// Starts tasks that send over OTLP/gRPC or OTLP/HTTP, on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if the address asks for TLS, and the settings do not say how.
    ///
    /// # Panics
    /// If there is no runtime.
    pub fn start(settings: ForwardSettings) -> Result<(Self, Sending), StartError> {
        settings.check_tls()?;
        let otlp = Otlp::new(&settings);
        Ok(Self::begin(otlp.clone(), settings, Some(otlp)))
    }

    /// Starts tasks that send over a transport, of which each task has a clone, on the current tokio
    /// runtime. Where `to` leads does not matter then.
    ///
    /// # Panics
    /// If there is no runtime.
    pub fn start_over(transport: impl Transport, settings: ForwardSettings) -> (Self, Sending) {
        Self::begin(transport, settings, None)
    }

    fn begin(
        transport: impl Transport,
        settings: ForwardSettings,
        otlp: Option<Otlp>,
    ) -> (Self, Sending) {
        let senders = settings.senders.max(1);
        let (queue, news, closing) = (Mutex::default(), Notify::new(), Notify::new());
        let shared = Arc::new(Shared { settings, otlp, queue, news, closing });
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            tasks.spawn(send(Arc::clone(&shared), transport.clone()));
        }
        (Self(Arc::clone(&shared)), Sending { shared, tasks })
    }

    /// Connects anew with the address, the headers and the TLS of these settings, such as after a
    /// token or a certificate was replaced. Requests under way end over the connection on which
    /// they began. Each later try, of them as well, goes over the new one. Other settings stay.
    ///
    /// # Errors
    /// [`StartError`] if the address asks for TLS and the settings do not say how, or if the
    /// forwarder was started over another transport. Then the old connection stays.
    ///
    /// # Panics
    /// If it is not called on a tokio runtime.
    pub fn renew(&self, settings: &ForwardSettings) -> Result<(), StartError> {
        let otlp = self.0.otlp.as_ref().ok_or(StartError::OwnTransport)?;
        settings.check_tls()?;
        otlp.renew(settings);
        Ok(())
    }

    /// Adds spans to the queue, or loses and counts them if there is no room. Returns whether there
    /// was.
    pub fn offer(&self, spans: Vec<Span>) -> bool {
        let (count, settings) = (spans.len(), &self.0.settings);
        if count == 0 {
            return true;
        }
        // What has no room anyway is not worth splitting.
        let least = bytes_of(&spans);
        let may_fit = self.0.queue().has_room(least, settings);
        let parts = if may_fit { split(spans, settings) } else { Vec::new() };
        let bytes: usize = parts.iter().map(|part| part.bytes).sum();
        let mut queue = self.0.queue();
        queue.stats.offered += count as u64;
        if !may_fit || !queue.has_room(bytes, settings) {
            queue.stats.lost_full += count as u64;
            return false;
        }
        queue.stats.waiting += count as u64;
        queue.stats.waiting_bytes += bytes;
        queue.spans += count;
        queue.parts.extend(parts);
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
    /// Takes no more spans, and sends what is there until `deadline` is over. A request that waits
    /// for another try is tried at once, and then every second, also if the backend has asked for
    /// more time. What is left at the deadline is lost, and counted. Returns the figures.
    pub async fn finish(mut self, deadline: Duration) -> ForwardStats {
        self.shared.queue().is_closed = true;
        self.shared.news.notify_waiters();
        self.shared.closing.notify_waiters();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(deadline, all).await;
        self.tasks.shutdown().await;
        let mut queue = self.shared.queue();
        queue.parts.clear();
        if queue.stats.waiting > 0 {
            let before = queue.stats.last_failure.take();
            let before = before.map(|why| format!("; before that: {why}")).unwrap_or_default();
            let why = format!("it did not take them within the last {deadline:?}{before}");
            queue.stats.last_failure = Some(why);
        }
        queue.stats.lost_failed += std::mem::take(&mut queue.stats.waiting);
        queue.stats.waiting_bytes = 0;
        queue.stats.clone()
    }
}

/// Takes whole parts for one request out of the queue: at least one, if there is one.
fn next(queue: &mut Queue, settings: &ForwardSettings) -> Vec<Part> {
    let (mut parts, mut spans, mut bytes) = (Vec::new(), 0, 0);
    while let Some(part) = queue.parts.front() {
        let (with, size) = (spans + part.spans.len(), bytes + part.bytes);
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
async fn send(shared: Arc<Shared>, mut transport: impl Transport) {
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
            shared.pause(settings.linger).await;
        }
        let parts = next(&mut shared.queue(), settings);
        if !parts.is_empty() {
            send_one(&shared, &mut transport, parts).await;
        }
    }
}

async fn send_one(shared: &Shared, transport: &mut impl Transport, parts: Vec<Part>) {
    let bytes: usize = parts.iter().map(|part| part.bytes).sum();
    let count: u64 = parts.iter().map(|part| part.spans.len() as u64).sum();
    // The request takes the place of the spans, whose room is given back when it is done.
    let spans = parts.iter().flat_map(|part| &part.spans);
    // It may wait for long, without spare room.
    let body = bytes::Bytes::from(encode(spans, Encoding::Protobuf).into_boxed_slice());
    drop(parts);
    let settings = &shared.settings;
    let begun = Instant::now();
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
        if shared.queue().is_closed {
            range = range.min(LAST_WAIT);
        }
        // Half of the range at least, so that tries are spread and none comes at once.
        let random = range.mul_f64(0.5 + fastrand::f64() / 2.0);
        // A backend that says that it may be asked again at once would be asked without a pause.
        let wait = after.map_or(random, |after| after.max(settings.backoff.0));
        range = range.saturating_mul(2).min(settings.backoff.1);
        // What it says may be longer than any time that can be added to a clock's.
        if begun.elapsed().saturating_add(wait) > settings.patience {
            break Err(why);
        }
        {
            let stats = &mut shared.queue().stats;
            stats.retries += 1;
            stats.last_failure = Some(why);
        }
        shared.pause(wait).await;
    };
    let mut queue = shared.queue();
    queue.stats.waiting -= count;
    queue.stats.waiting_bytes -= bytes;
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
