//! Requests over gRPC and HTTP.

use super::reply::{self, Reply};
use bytes::{Buf, BufMut, Bytes};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request as Call, Status};

/// A backend's address: `grpc://host:4317`, or `http://host:4318` with or without a path; without
/// one it is the protocol's `/v1/traces`. There is no TLS: put a proxy beside the sampler for it.
///
/// ```
/// use slipring_sampling::forward::Endpoint;
///
/// assert!("grpc://localhost:4317".parse::<Endpoint>().is_ok());
/// assert!("http://localhost:4318".parse::<Endpoint>().is_ok());
/// assert!("https://localhost:4318".parse::<Endpoint>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    is_grpc: bool,
}

/// Why a text is no [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no backend's address: {why}; write grpc://host:4317, or http://host:4318 with or without a path"
)]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| EndpointError { text: text.to_owned(), why };
        let (is_grpc, rest) = match text.split_once("://") {
            Some(("grpc", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(("https" | "grpcs", _)) => {
                return Err(wrong(
                    "TLS is not spoken to a backend, which takes a proxy beside this",
                ));
            }
            _ => return Err(wrong("it begins with neither grpc:// nor http://")),
        };
        if rest.contains(['@', '?', '#']) {
            return Err(wrong("it has more than a host, a port and a path"));
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if is_grpc && !path.is_empty() {
            return Err(wrong("gRPC has no path"));
        }
        let path = if path.is_empty() { "v1/traces" } else { path };
        let whole =
            if is_grpc { format!("http://{host}") } else { format!("http://{host}/{path}") };
        let uri: Uri = whole.parse().map_err(|_| wrong("it has no valid host and port"))?;
        if host.is_empty() || uri.host().is_none_or(str::is_empty) {
            return Err(wrong("the host is missing"));
        }
        if uri.port_u16().is_none() {
            // A port that is none is read as well.
            if uri.authority().map(|authority| authority.as_str()) != uri.host() {
                return Err(wrong("it has no valid host and port"));
            }
            if is_grpc {
                return Err(wrong("the port is missing"));
            }
        }
        Ok(Self { uri, is_grpc })
    }
}

impl Endpoint {
    /// Returns the host: a name, or an address, of which one of IPv6 stands in brackets.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Returns the port: 80 for HTTP if the address has none.
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(80)
    }
}

/// Displays the address as it can be read again.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_grpc, self.uri.authority()) {
            (true, Some(authority)) => write!(f, "grpc://{authority}"),
            _ => write!(f, "{}", self.uri),
        }
    }
}

/// Sends requests to a backend. [`Forwarder::start`](super::Forwarder::start) uses OTLP over gRPC
/// or HTTP; one of your own can add TLS, or anything that a request has to carry.
pub trait Transport: Clone + Send + 'static {
    /// Sends a request in protobuf once. The future is dropped when its time is over.
    fn send(&mut self, request: Bytes) -> impl Future<Output = Reply> + Send;
}

/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// OTLP over a connection, which clones share.
#[derive(Clone)]
pub(super) enum Otlp {
    Grpc(tonic::client::Grpc<Channel>),
    Http(Box<Client<HttpConnector, Full<Bytes>>>, Uri),
}

impl Otlp {
    /// Makes a transport that connects when it first sends. It must be made on a runtime.
    pub(super) fn new(to: &Endpoint, timeout: Duration) -> Self {
        let uri = to.uri.clone();
        if to.is_grpc {
            let channel = Channel::builder(uri).connect_timeout(timeout).connect_lazy();
            return Self::Grpc(tonic::client::Grpc::new(channel));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeout));
        Self::Http(Client::builder(TokioExecutor::new()).build(connector).into(), uri)
    }
}

impl Transport for Otlp {
    async fn send(&mut self, body: Bytes) -> Reply {
        let lost = |why: String| Reply::Later { after: None, why };
        match self {
            Self::Grpc(client) => {
                if let Err(error) = client.ready().await {
                    return lost(reply::with_causes(&error));
                }
                let path = PathAndQuery::from_static(
                    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                );
                match client.unary(Call::new(body), path, Plain).await {
                    Ok(response) => reply::taken(response.into_inner()),
                    Err(status) => reply::of_grpc(&status),
                }
            }
            Self::Http(client, uri) => {
                let request = Request::post(uri.clone())
                    .header(CONTENT_TYPE, "application/x-protobuf")
                    .body(Full::new(body));
                let Ok(request) = request else {
                    return Reply::Failed { why: "the address makes no request".to_owned() };
                };
                let response = match client.request(request).await {
                    Ok(response) => response,
                    Err(error) => return lost(reply::with_causes(&error)),
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
