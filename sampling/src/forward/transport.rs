//! Requests over gRPC and HTTP.

use super::ForwardSettings;
use super::connect::{Connector, connector};
use super::reply::{self, Reply};
use bytes::{Buf, BufMut, Bytes};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request as Call, Status};

/// Sends requests to a backend. [`Forwarder::start`](super::Forwarder::start) uses OTLP over gRPC
/// or HTTP, also over TLS and with headers; one of your own can do anything else.
pub trait Transport: Clone + Send + 'static {
    /// Sends a request in protobuf once. The future is dropped when its time is over.
    fn send(&mut self, request: Bytes) -> impl Future<Output = Reply> + Send;
}

/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// OTLP over a connection, which clones share, and which can be replaced while they send.
#[derive(Clone)]
pub(super) struct Otlp(Arc<Mutex<Connection>>);

#[derive(Clone)]
struct Connection {
    over: Over,
    headers: HeaderMap,
    /// Whether it is spoken without TLS.
    is_plain: bool,
}

#[derive(Clone)]
enum Over {
    Grpc(tonic::client::Grpc<Channel>),
    Http(Box<Client<Connector, Full<Bytes>>>, Uri),
}

impl Otlp {
    /// Makes a transport that connects when it first sends. It must be made on a runtime.
    pub(super) fn new(settings: &ForwardSettings) -> Self {
        Self(Arc::new(Mutex::new(Connection::new(settings))))
    }

    /// Replaces the connection for all clones, from their next request on. It must be called on a
    /// runtime.
    pub(super) fn renew(&self, settings: &ForwardSettings) {
        *self.connection() = Connection::new(settings);
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A connection is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Otlp {
    async fn send(&mut self, body: Bytes) -> Reply {
        // A clone, so that no request waits for another, nor a new connection for any.
        let mut connection = self.connection().clone();
        connection.send(body).await
    }
}

impl Connection {
    fn new(settings: &ForwardSettings) -> Self {
        let (to, timeout) = (&settings.to, settings.timeout);
        let (connector, uri) = (connector(settings), to.uri().clone());
        let over = if to.is_grpc() {
            let channel = Channel::builder(uri).connect_timeout(timeout);
            Over::Grpc(tonic::client::Grpc::new(channel.connect_with_connector_lazy(connector)))
        } else {
            Over::Http(Client::builder(TokioExecutor::new()).build(connector).into(), uri)
        };
        Self { over, headers: settings.headers.map().clone(), is_plain: !to.is_tls() }
    }

    /// Says why no answer came, and what to do about it.
    fn lost(&self, mut why: String, error: &(dyn Error + 'static)) -> Reply {
        if let Some(advice) = super::connect::advice(error, self.is_plain) {
            why = format!("{why}; {advice}");
        }
        Reply::Later { after: None, why }
    }

    async fn send(&mut self, body: Bytes) -> Reply {
        match &mut self.over {
            Over::Grpc(client) => {
                if let Err(error) = client.ready().await {
                    return self.lost(reply::with_causes(&error), &error);
                }
                let path = PathAndQuery::from_static(
                    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                );
                let mut call = Call::new(body);
                *call.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
                match client.unary(call, path, Plain).await {
                    Ok(response) => reply::taken(response.into_inner()),
                    // The backend's own statuses have no cause: no answer came.
                    Err(status) if status.source().is_some() => match reply::of_grpc(&status) {
                        Reply::Later { why, .. } | Reply::Failed { why } => self.lost(why, &status),
                        taken => taken,
                    },
                    Err(status) => reply::of_grpc(&status),
                }
            }
            Over::Http(client, uri) => {
                let request = Request::post(uri.clone()).body(Full::new(body));
                let Ok(mut request) = request else {
                    return Reply::Failed { why: "the address makes no request".to_owned() };
                };
                request.headers_mut().extend(self.headers.clone());
                let kind = HeaderValue::from_static("application/x-protobuf");
                request.headers_mut().insert(CONTENT_TYPE, kind);
                let response = match client.request(request).await {
                    Ok(response) => response,
                    Err(error) => return self.lost(reply::with_causes(&error), &error),
                };
                let (head, body) = response.into_parts();
                let body = Limited::new(body, ANSWER).collect().await;
                if head.status.is_success() {
                    return reply::taken(body.map(|body| body.to_bytes()).unwrap_or_default());
                }
                reply::of_http(head.status, &head.headers)
            }
        }
    }
}

/// Messages that are encoded already.
#[derive(Clone, Copy, Debug, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
