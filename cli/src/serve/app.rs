//! The state that all handlers share: the stores, the limits on requests' number and size, and the
//! counts of their outcomes.

use super::budget::{Budget, Held};
use super::door::Access;
use super::unpack::{Coding, unpack};
use super::warnings::{From, Warnings};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use slipring::Telemetry;
use slipring::otlp::{Encoding, Kind, Rejected};
use slipring_history::MetricHistory;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Number of queries that may be answered at once, and of tails. The runtime has threads for all of
/// them and for all requests besides.
const QUESTIONS: usize = 16;
const TAILS: usize = 16;

/// Requests that are decompressed and decoded at once, per core. Others wait and keep the bytes
/// that they hold of the budget.
const DECODING: usize = 2;

/// Limits, in bytes and time, on how much of a refused request is still read and discarded. A peer
/// that is still writing would not see the answer otherwise.
const DRAINED: usize = 64 << 20;
const DRAINING: Duration = Duration::from_secs(2);

/// The state that all handlers share.
pub struct App {
    pub telemetry: Telemetry,
    /// Metric points that have left their store, if they are kept.
    pub history: Option<MetricHistory>,
    pub max_body: usize,
    pub timeout: Duration,
    /// The byte budget of requests in flight.
    budget: Budget,
    /// Limits the requests decoded at once.
    decoding: Arc<Semaphore>,
    /// Limits the queries answered at once.
    pub questions: Arc<Semaphore>,
    /// Limits the open tails.
    pub tails: Arc<Semaphore>,
    stopping: AtomicBool,
    pub counts: Counts,
    pub access: Access,
    warnings: Warnings,
    /// The addresses of the gRPC and HTTP listeners, once they are bound.
    pub listens: OnceLock<[SocketAddr; 2]>,
}

/// Counts requests by outcome.
#[derive(Default)]
pub struct Counts {
    pub taken: AtomicU64,
    pub refused: AtomicU64,
    pub overloaded: AtomicU64,
    /// Records rejected out of requests that were accepted.
    pub rejected_records: AtomicU64,
}

impl Counts {
    /// Returns the number of finished requests.
    pub fn all(&self) -> u64 {
        [&self.taken, &self.refused, &self.overloaded]
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

/// A request's message, without its protocol's framing.
pub struct Opened {
    /// The message's codings, in the order in which they were applied.
    pub codings: Vec<Coding>,
    pub message: Bytes,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many requests are in flight, or the program is stopping. The sender may retry.
    Overloaded(&'static str),
    TooLarge(String),
    TooSlow(String),
    /// The request's headers are too large.
    Headers(String),
    /// The request's encoding, compression or path is not supported.
    Unsupported(String),
    /// The request cannot be parsed.
    Malformed(String),
    /// The request names another host.
    Foreign(String),
    /// The request does not carry the server's token.
    Unauthorized(String),
    /// The server failed.
    Failed(String),
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Headers(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::Foreign(_) => StatusCode::FORBIDDEN,
            Refusal::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn what(&self) -> &str {
        match self {
            Refusal::Overloaded(what) => what,
            Refusal::TooLarge(what)
            | Refusal::TooSlow(what)
            | Refusal::Headers(what)
            | Refusal::Unsupported(what)
            | Refusal::Malformed(what)
            | Refusal::Foreign(what)
            | Refusal::Unauthorized(what)
            | Refusal::Failed(what) => what,
        }
    }
}

impl App {
    pub fn new(
        telemetry: Telemetry,
        max_body: usize,
        max_in_flight: usize,
        timeout: Duration,
    ) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let (questions, tails) =
            (Arc::new(Semaphore::new(QUESTIONS)), Arc::new(Semaphore::new(TAILS)));
        Self {
            telemetry,
            history: None,
            max_body,
            timeout,
            budget: Budget::new(max_in_flight),
            decoding: Arc::new(Semaphore::new(DECODING * cores)),
            questions,
            tails,
            stopping: AtomicBool::new(false),
            counts: Counts::default(),
            access: Access::default(),
            warnings: Warnings::default(),
            listens: OnceLock::new(),
        }
    }

    /// Refuses all requests from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Returns the number of requests in flight.
    pub fn in_flight(&self) -> usize {
        self.budget.requests()
    }

    pub fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed)
    }

    /// Reads a request, unwraps and decodes it, stores its records, and counts the outcome.
    pub async fn export(
        self: &Arc<Self>,
        kind: Kind,
        encoding: Encoding,
        body: Body,
        from: Option<From>,
        open: impl FnOnce(Bytes) -> Result<Opened, Refusal>,
    ) -> Result<Rejected, Refusal> {
        let mut held = self.budget.begin();
        let opened = self.read(body, &mut held).await.and_then(open);
        match opened {
            Ok(opened) => self.take(kind, encoding, opened, held, from).await,
            Err(refusal) => Err(self.refuse(refusal, from)),
        }
    }

    /// Counts a refusal, and logs it at a limited rate.
    pub fn refuse(&self, refusal: Refusal, from: Option<From>) -> Refusal {
        let overloaded = matches!(refusal, Refusal::Overloaded(_));
        let count = if overloaded { &self.counts.overloaded } else { &self.counts.refused };
        count.fetch_add(1, Ordering::Relaxed);
        self.warnings.refused(&refusal, from);
        refusal
    }

    /// Reads a whole body. Refuses one that is too large or arrives too slowly.
    async fn read(&self, mut body: Body, held: &mut Held) -> Result<Bytes, Refusal> {
        let read = tokio::time::timeout(self.timeout, self.read_all(&mut body, held)).await;
        let read = read.unwrap_or_else(|_| {
            Err(Refusal::TooSlow(format!("the request was not complete after {:?}", self.timeout)))
        });
        if matches!(read, Err(Refusal::TooLarge(_) | Refusal::Overloaded(_))) {
            // The bytes of a refused request are discarded, so that others may use its budget.
            held.give_back();
            drain(body).await;
        }
        read
    }

    async fn read_all(&self, body: &mut Body, held: &mut Held) -> Result<Bytes, Refusal> {
        if !self.is_ready() {
            return Err(Refusal::Overloaded("the server is stopping"));
        }
        let too_large = || {
            let what = format!(
                "the request takes more than {} bytes; send smaller batches",
                self.max_body
            );
            Refusal::TooLarge(what)
        };
        // Checks the size before the budget: a retry of a request that is too large cannot succeed.
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(too_large());
        }
        // Records stay in it: it should be no larger than it is long.
        let expected = body.size_hint().lower() as usize;
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Refusal::Malformed(format!("the request could not be read: {error}"))
            })?;
            if let Ok(bytes) = frame.into_data() {
                if all.len() + bytes.len() > self.max_body {
                    return Err(too_large());
                }
                if !held.take(bytes.len()) {
                    return Err(Refusal::Overloaded(
                        "too many bytes of requests are under way; come back in a moment",
                    ));
                }
                make_room(&mut all, bytes.len(), expected);
                all.extend_from_slice(&bytes);
            }
        }
        if all.capacity() > all.len() + all.len() / 8 {
            return Ok(Bytes::copy_from_slice(&all));
        }
        Ok(Bytes::from(all))
    }

    /// Decodes a request and stores its records, on a thread that may block. The outcome is counted
    /// on that thread, so that it is counted even if the sender has disconnected.
    async fn take(
        self: &Arc<Self>,
        kind: Kind,
        encoding: Encoding,
        opened: Opened,
        held: Held,
        from: Option<From>,
    ) -> Result<Rejected, Refusal> {
        let place =
            tokio::time::timeout(self.timeout, Arc::clone(&self.decoding).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            let what = "too many requests are under way; come back in a moment";
            return Err(self.refuse(Refusal::Overloaded(what), from));
        };
        let app = Arc::clone(self);
        let taken = tokio::task::spawn_blocking(move || {
            let _until_taken = (place, held);
            let taken =
                app.decode(kind, encoding, &opened).map_err(|refusal| app.refuse(refusal, from))?;
            app.counts.taken.fetch_add(1, Ordering::Relaxed);
            app.counts.rejected_records.fetch_add(taken.records(), Ordering::Relaxed);
            if !taken.is_empty() {
                app.warnings.rejected(&taken.to_string(), from);
            }
            Ok(taken)
        });
        taken.await.unwrap_or_else(|error| {
            Err(self.refuse(
                Refusal::Failed(format!("the request could not be decoded: {error}")),
                from,
            ))
        })
    }

    fn decode(&self, kind: Kind, encoding: Encoding, opened: &Opened) -> Result<Rejected, Refusal> {
        let bytes = if opened.codings.is_empty() {
            opened.message.clone()
        } else {
            // Records stay in it: it should be no larger than it is long.
            Bytes::from(unpack(&opened.message, &opened.codings, self.max_body)?.into_boxed_slice())
        };
        self.telemetry
            .ingest(kind, encoding, bytes)
            .map_err(|error| Refusal::Malformed(error.to_string()))
    }
}

/// Reserves capacity for `more` bytes: at most twice the bytes received, whatever length the
/// request announced. Once that reaches the announced length, the capacity is exactly that.
fn make_room(all: &mut Vec<u8>, more: usize, announced: usize) {
    let needed = all.len() + more;
    if needed > all.capacity() {
        let doubled = 2 * needed;
        let capacity = if needed <= announced { doubled.min(announced) } else { doubled };
        all.reserve_exact(capacity - all.len());
    }
}

/// Reads and discards the rest of a body, within limits.
pub async fn drain(mut body: Body) {
    let drain = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.into_data().map_or(0, |bytes| bytes.len());
            if drained > DRAINED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The room after each of so many pieces, for a request that announced a length.
    fn rooms(piece: usize, pieces: usize, announced: usize) -> Vec<usize> {
        let mut all = Vec::new();
        let mut after = |_| {
            make_room(&mut all, piece, announced);
            all.resize(all.len() + piece, 0);
            all.capacity()
        };
        (0..pieces).map(&mut after).collect()
    }

    #[test]
    fn a_long_announcement_makes_no_more_room_than_twice_what_came() {
        let announced = 1 << 20;
        for (pieces, room) in rooms(1_000, 100, announced).into_iter().enumerate() {
            assert!(room <= 2 * 1_000 * (pieces + 1), "{room} bytes for {} pieces", pieces + 1);
        }
    }

    #[test]
    fn the_room_for_an_announced_length_is_exact_in_the_end() {
        assert_eq!(rooms(1_000, 1, 1_000), [1_000]);
        assert_eq!(rooms(1_000, 10, 10_000).last(), Some(&10_000));
        // A body without a length, and one that is longer than it said.
        assert_eq!(rooms(1_000, 3, 0), [2_000, 2_000, 6_000]);
        assert_eq!(rooms(1_000, 3, 2_500), [2_000, 2_000, 6_000]);
    }
}
