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
#[error("{0:?} is no backend's address, such as grpc://localhost:4317 or http://localhost:4318")]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || EndpointError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let is_grpc = match scheme {
            "grpc" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let path = if path.is_empty() { "v1/traces" } else { path };
        let whole =
            if is_grpc { format!("http://{host}") } else { format!("http://{host}/{path}") };
        let uri: Uri = whole.parse().map_err(|_| wrong())?;
        if host.is_empty() || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(Self { uri, is_grpc })
    }
}

/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// A connection, which clones share.
#[derive(Clone)]
pub(super) enum Transport {
    Grpc(tonic::client::Grpc<Channel>),
    Http(Box<Client<HttpConnector, Full<Bytes>>>, Uri),
}

impl Transport {
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

    /// Sends a request once.
    pub(super) async fn send(&mut self, body: Bytes) -> Reply {
        let lost = |why: String| Reply::Later { after: None, why };
        match self {
            Self::Grpc(client) => {
                if let Err(error) = client.ready().await {
                    return lost(error.to_string());
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
                    Err(error) => return lost(error.to_string()),
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
