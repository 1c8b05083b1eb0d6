//! Takes spans over gRPC and HTTP.

use super::{Shared, figures};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use slipring::otlp::{Encoding, Kind, Reader, Rejected, gunzip};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tonic::Status;

/// The number of requests that are read at once. Others wait, and their connections with them.
const AT_ONCE: usize = 32;

/// Bytes of a gRPC frame's header.
const PREFIX: usize = 5;

#[derive(Clone)]
struct Doors {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    turns: Arc<tokio::sync::Semaphore>,
}

pub fn routes(shared: Arc<Shared>) -> Router {
    let reader = Reader::default().in_place().max_record_bytes(shared.max_body);
    let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    Router::new()
        .route("/v1/traces", post(over_http))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(over_grpc))
        .route(
            "/metrics",
            get(|State(doors): State<Doors>| async move {
                let text = figures::text(&doors.shared);
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
            }),
        )
        .with_state(Doors { shared, reader: Arc::new(reader), turns })
}

/// Why a request was not taken.
enum Refusal {
    Wrong(String),
    TooLarge,
    Failed,
}

impl Doors {
    /// Reads a request's body, unpacks it, and gives its spans to the sampler.
    async fn take(
        &self,
        encoding: Encoding,
        body: Body,
        open: impl FnOnce(Bytes, usize) -> Result<Bytes, Refusal> + Send + 'static,
    ) -> Result<Rejected, Refusal> {
        let _turn = self.turns.acquire().await.map_err(|_| Refusal::Failed)?;
        let most = self.shared.max_body;
        let body = to_bytes(body, most + PREFIX).await.map_err(|_| Refusal::TooLarge)?;
        let (shared, reader) = (Arc::clone(&self.shared), Arc::clone(&self.reader));
        let read = tokio::task::spawn_blocking(move || {
            let (body, now) = (open(body, most)?, Instant::now());
            let take = |part: slipring::otlp::Request| {
                shared.sampler().take(part.spans, now, &mut shared.forwarder.clone());
            };
            let read = reader.read(Kind::Traces, encoding, body, take);
            read.map_err(|error| Refusal::Wrong(error.to_string()))
        });
        read.await.unwrap_or(Err(Refusal::Failed))
    }
}

fn unpack(packed: &[u8], most: usize) -> Result<Bytes, Refusal> {
    gunzip(packed, most).map(Bytes::from).map_err(|error| Refusal::Wrong(error.to_string()))
}

fn is_packed(headers: &HeaderMap, name: &str) -> Result<bool, Refusal> {
    match headers.get(name).map_or(&b"identity"[..], HeaderValue::as_bytes) {
        b"identity" => Ok(false),
        b"gzip" => Ok(true),
        _ => Err(Refusal::Wrong(format!("{name} may be gzip or identity"))),
    }
}

async fn over_http(State(doors): State<Doors>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let (encoding, kind) = if kind.starts_with(b"application/json") {
        (Encoding::Json, "application/json")
    } else {
        (Encoding::Protobuf, "application/x-protobuf")
    };
    let packed = is_packed(&head.headers, "content-encoding");
    let open = move |body: Bytes, most| match packed? {
        true => unpack(&body, most),
        false => Ok(body),
    };
    match doors.take(encoding, body, open).await {
        Ok(rejected) => {
            let answer = rejected.to_response(Kind::Traces, encoding);
            ([(header::CONTENT_TYPE, kind)], answer).into_response()
        }
        Err(Refusal::Wrong(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Refusal::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(Refusal::Failed) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn over_grpc(State(doors): State<Doors>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let packed = is_packed(&head.headers, "grpc-encoding");
    let open = move |mut frame: Bytes, most| {
        let packed = packed?;
        let Some(&[flag, a, b, c, d]) = frame.first_chunk() else {
            return Err(Refusal::Wrong("the frame is shorter than its prefix".to_owned()));
        };
        let message = frame.split_off(PREFIX);
        if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
            return Err(Refusal::Wrong("the frame is not as long as it says".to_owned()));
        }
        if flag == 1 && packed { unpack(&message, most) } else { Ok(message) }
    };
    match doors.take(Encoding::Protobuf, body, open).await {
        Ok(rejected) => answer(&rejected.to_response(Kind::Traces, Encoding::Protobuf)),
        Err(refusal) => {
            let status = match refusal {
                Refusal::Wrong(why) => Status::invalid_argument(why),
                Refusal::TooLarge => Status::invalid_argument("the request is too large"),
                Refusal::Failed => Status::internal("the request could not be read"),
            };
            status.into_http::<Body>().into_response()
        }
    }
}

/// Builds a successful gRPC response.
fn answer(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    let frame = Bytes::from([&[0][..], &length, message].concat());
    let name = header::HeaderName::from_static("grpc-status");
    let well = HeaderMap::from_iter([(name, HeaderValue::from_static("0"))]);
    let body = Full::new(frame).with_trailers(async { Some(Ok::<_, Infallible>(well)) });
    ([(header::CONTENT_TYPE, "application/grpc")], Body::new(body)).into_response()
}
