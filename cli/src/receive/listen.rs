//! Accepts and serves connections: limits their number, gives each a timeout for its headers, and
//! cuts none off while it is being answered.

use super::headers;
use super::peer::Peer;
use super::refusal::Refusal;
use super::socket::Socket;
use super::timed::Timed;
use super::tls;
use super::warnings::From as Sender;
use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

/// How long a peer must be silent before the server may ask it to leave, and how long the server
/// waits after asking one peer before it asks the next.
const MAKING_ROOM: Duration = Duration::from_millis(20);

/// How long a peer that has made requests and is asked to leave may stay silent. HTTP/2's graceful
/// shutdown waits for the peer's acknowledgement, and a further request may be in transit.
const LEAVING: Duration = Duration::from_millis(250);

#[derive(Clone, Copy)]
pub struct Limits {
    pub connections: u16,
    pub timeout: Duration,
}

/// What is wrong with a peer or its request.
pub enum Wrong {
    /// The peer does not speak HTTP, or TLS where that is spoken. This is the parse error.
    NoHttp(String),
    /// A request that no route gets to see.
    Request(Refusal),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHttp(wrong) => write!(f, "this is no HTTP: {wrong}"),
            Self::Request(refusal) => f.write_str(refusal.what()),
        }
    }
}

/// Counts and logs what is wrong.
pub trait Tell: Fn(Sender, Wrong) + Clone + Send + Sync + 'static {}

impl<T: Fn(Sender, Wrong) + Clone + Send + Sync + 'static> Tell for T {}

/// A listening port, and how TLS is spoken there, if it is.
pub struct Port {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
}

impl From<TcpListener> for Port {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// The open connections and the places left for further ones.
struct Room {
    places: Arc<Semaphore>,
    peers: Vec<Arc<Peer>>,
}

impl Room {
    /// Waits for a place for one more connection. Where there is none, asks the peer that has been
    /// idle for longest to leave, then the next one. If all peers are being served, waits until one
    /// connection ends; meanwhile further peers wait in the system's accept queue. Returns `None`
    /// when the server stops.
    async fn place(&mut self, stopped: &mut watch::Receiver<bool>) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            // A peer without another reference has disconnected.
            self.peers.retain(|peer| Arc::strong_count(peer) > 1);
            let may_leave =
                |peer: &&Arc<Peer>| !peer.is_asked_to_leave() && peer.is_idle_for(MAKING_ROOM);
            let idle = self
                .peers
                .iter()
                .filter(may_leave)
                .filter_map(|peer| Some((peer.idle_since()?, peer)));
            if let Some((_, peer)) = idle.min_by_key(|(since, _)| *since) {
                peer.ask_to_leave();
            }
            tokio::select! {
                place = Arc::clone(&self.places).acquire_owned() => return place.ok(),
                () = tokio::time::sleep(MAKING_ROOM) => {},
                _ = stopped.wait_for(|stopped| *stopped) => return None,
            }
        }
    }

    fn enter(&mut self, limits: Limits) -> Arc<Peer> {
        if self.peers.len() >= 2 * usize::from(limits.connections) {
            self.peers.retain(|peer| Arc::strong_count(peer) > 1);
        }
        let peer = Peer::new();
        self.peers.push(Arc::clone(&peer));
        peer
    }
}

/// Configures HTTP/1 and HTTP/2 connections.
fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.timeout)
        // Instead of some 400 KiB, which each connection may have twice: as buffer, and as the
        // piece of a body that was read last.
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        // Detects peers that have vanished.
        .keep_alive_interval(limits.timeout)
        .keep_alive_timeout(limits.timeout)
        // Not fewer: a client that has not been told yet opens as many, and takes a refusal for a
        // failure (RFC 9113, 6.5.2).
        .max_concurrent_streams(100)
        // Limits how much of an answer is buffered per stream before its peer reads it.
        .max_send_buf_size(16 << 10)
        .max_header_list_size(headers::LARGEST_READ);
    builder
}

/// Serves connections until told to stop, and then until the requests in flight have been answered
/// or the timeout has passed.
///
/// Calls `tell` with what is wrong with a peer or its request, where no route can say so.
pub async fn run(
    port: impl Into<Port>,
    routes: Router,
    limits: Limits,
    tell: impl Tell,
    mut stopped: watch::Receiver<bool>,
) {
    let Port { listener, tls } = port.into();
    let builder = builder(limits);
    let places = Arc::new(Semaphore::new(limits.connections.into()));
    let mut room = Room { places: Arc::clone(&places), peers: Vec::new() };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptor is left, or the peer has disconnected already. An immediate
                // retry helps in neither case.
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = room.place(&mut stopped).await else { break };
        let peer = room.enter(limits);
        let connection = Connection {
            socket: Socket::new(stream, Arc::clone(&peer)),
            from: Sender(from),
            peer,
            limits,
            stopped: stopped.clone(),
        };
        let (builder, routes, tell, tls) =
            (builder.clone(), routes.clone(), tell.clone(), tls.clone());
        tokio::spawn(async move {
            let wrong = connection.run(tls.as_ref(), &builder, routes, &tell).await;
            drop(place);
            if let Some(wrong) = wrong {
                tell(Sender(from), Wrong::NoHttp(wrong));
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.timeout, places.acquire_many(limits.connections.into()))
        .await
        .is_err()
    {
        tracing::warn!(
            "some requests were still under way after {:?}, and are cut off",
            limits.timeout
        );
    }
}

/// An accepted connection.
struct Connection {
    socket: Socket,
    from: Sender,
    peer: Arc<Peer>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

impl Connection {
    /// Greets the peer where TLS is spoken, and serves it. Returns what is wrong if what it sent is
    /// neither TLS nor HTTP.
    async fn run(
        mut self,
        tls: Option<&TlsAcceptor>,
        builder: &Builder<TokioExecutor>,
        routes: Router,
        tell: &impl Tell,
    ) -> Option<String> {
        let socket = self.socket.clone();
        let Some(tls) = tls else { return self.serve(socket, builder, routes, tell).await };
        let greeted =
            tls::greet(tls, &socket, &self.peer, self.limits.timeout, &mut self.stopped).await;
        match greeted {
            Ok(stream) => self.serve(stream, builder, routes, tell).await,
            Err(wrong) => wrong,
        }
    }

    /// Serves one connection: until its peer ends it or leaves answers unread, or until it is asked to
    /// leave. Returns the parse error if what the peer sent is not HTTP.
    async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        self,
        stream: S,
        builder: &Builder<TokioExecutor>,
        routes: Router,
        tell: &impl Tell,
    ) -> Option<String> {
        let Self { socket, from, peer, limits, mut stopped } = self;
        let stream = TokioIo::new(Timed::new(stream, limits.timeout, Arc::clone(&peer)));
        let service = {
            let (peer, tell) = (Arc::clone(&peer), tell.clone());
            hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(from);
                let routes = headers::refusal(&request).map_or_else(
                    || routes.clone(),
                    |refusal| {
                        tell(from, Wrong::Request(refusal.clone()));
                        headers::refused(refusal, &mut request)
                    },
                );
                Arc::clone(&peer).pass(routes, request)
            })
        };
        let mut connection = pin!(builder.serve_connection(stream, service));
        let mut looks = tokio::time::interval((limits.timeout / 2).max(Duration::from_millis(1)));
        let mut moments = tokio::time::interval(MAKING_ROOM / 2);
        // Hours may pass before the first tick is awaited; the missed ones need no catching up.
        moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut leaving, mut stopping) = (None::<Instant>, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    let error = ended.err()?;
                    tracing::debug!("a connection ended: {error}");
                    let is_no_http = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
                    return is_no_http.then(|| error.to_string());
                }
                () = peer.asked_to_leave(), if leaving.is_none() => {
                    // The peer looked idle, but this task may not yet have read what the peer has sent.
                    if socket.has_unread() || !peer.is_idle_for(MAKING_ROOM) {
                        peer.stay();
                    } else {
                        leaving = Some(Instant::now());
                        connection.as_mut().graceful_shutdown();
                    }
                }
                _ = stopped.wait_for(|stopped| *stopped), if !stopping => stopping = true,
                _ = moments.tick(), if leaving.is_some() || stopping => {
                    let has_unread = socket.has_unread();
                    if stopping && !has_unread {
                        connection.as_mut().graceful_shutdown();
                    }
                    // A peer that has just begun to send is answered first, and the answer is flushed.
                    let is_silent = peer.is_idle_for(MAKING_ROOM / 2) && !has_unread;
                    let may_stay = match is_silent {
                        true if peer.has_made_requests() => LEAVING.min(limits.timeout),
                        true => MAKING_ROOM / 2,
                        false => limits.timeout,
                    };
                    if leaving.is_some_and(|since| since.elapsed() >= may_stay) && peer.idle_since().is_some() {
                        return None;
                    }
                }
                _ = looks.tick() => {
                    if peer.leaves_unread(limits.timeout) {
                        tracing::debug!("a connection is cut off: its peer does not take the answers that it asked for");
                        return None;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::FIRST_WORD;
    use super::*;
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const LIMITS: Limits = Limits { connections: 1, timeout: Duration::from_secs(60) };

    /// What a peer gets that is asked to leave before anyone has looked at what it said, as on a
    /// busy machine, and that goes on after.
    async fn answer_to(peer: Arc<Peer>, said: &[u8], then: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(said).await.unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        peer.ask_to_leave();
        let routes = Router::new().fallback(async || "here");
        let (_stop, stopped) = watch::channel(false);
        let builder = builder(LIMITS);
        let socket = Socket::new(stream, Arc::clone(&peer));
        let connection = Connection { socket, from: Sender(from), peer, limits: LIMITS, stopped };
        let serving = connection.run(None, &builder, routes, &|_, _| ());
        let client = async {
            tokio::time::sleep(MAKING_ROOM).await;
            let _ = client.write_all(then).await;
            let mut answer = String::new();
            let _ = client.read_to_string(&mut answer).await;
            answer
        };
        tokio::join!(serving, client).1
    }

    /// Peers that have not been heard for long.
    async fn idle<const N: usize>() -> [Arc<Peer>; N] {
        let peers = std::array::from_fn(|_| Peer::new());
        tokio::time::sleep(FIRST_WORD + MAKING_ROOM).await;
        peers
    }

    #[tokio::test]
    async fn who_has_spoken_is_answered_though_asked_to_leave() {
        const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        // What is looked at first is left to chance.
        for (turn, peer) in idle::<50>().await.into_iter().enumerate() {
            let (said, then) = REQUEST.split_at(if turn % 2 == 0 { REQUEST.len() } else { turn });
            let answer = answer_to(peer, said, then).await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"),
                "{turn}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn who_has_said_nothing_leaves_when_asked_to() {
        let [peer] = idle().await;
        assert_eq!(answer_to(peer, b"", b"").await, "");
    }

    #[tokio::test]
    async fn who_was_heard_last_stays_longest() {
        let mut room = Room { places: Arc::new(Semaphore::new(0)), peers: Vec::new() };
        let (speaks, stays) = (room.enter(LIMITS), room.enter(LIMITS));
        tokio::time::sleep(FIRST_WORD + MAKING_ROOM).await;
        speaks.has_spoken();
        let has_come = room.enter(LIMITS);
        let (_stop, mut stopped) = watch::channel(false);
        assert!(room.place(&mut stopped).now_or_never().is_none(), "there is no place");
        assert!(
            stays.is_asked_to_leave()
                && !speaks.is_asked_to_leave()
                && !has_come.is_asked_to_leave()
        );
    }
}
