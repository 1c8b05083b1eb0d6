//! OTLP/gRPC: three unary methods, whose messages are taken as bytes, so that one bad record does not cost its request.

use super::app::{App, Refusal};
use super::budget::Held;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::{Buf, BufMut};
use slipring::otlp::{Encoding, Kind, Rejected};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};

pub fn routes() -> Router<Arc<App>> {
    let of = |kind: Kind| post(move |State(app): State<Arc<App>>, request: Request| export(app, kind, request));
    Router::new()
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", of(Kind::Traces))
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", of(Kind::Logs))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", of(Kind::Metrics))
        .fallback(|| async {
            let unimplemented = Status::unimplemented("there is no such method; this takes OTLP's three exports");
            unimplemented.into_http::<Body>()
        })
}

async fn export(app: Arc<App>, kind: Kind, request: Request<Body>) -> Result<impl IntoResponse, Infallible> {
    let held = match app.enter() {
        Ok(held) => held,
        Err(refusal) => {
            app.count(&Err(refusal.clone()));
            return Ok(status(&refusal).into_http::<Body>().into_response());
        }
    };
    let mut grpc = Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(app.max_body);
    let (timeout, counted) = (app.timeout(), Arc::new(AtomicBool::new(false)));
    let export = Export { app: Arc::clone(&app), kind, held: held.clone(), counted: Arc::clone(&counted) };
    let request = request.map(|body| held.count(body));
    let answer = tokio::time::timeout(timeout, grpc.unary(export, request)).await;
    let mut answer = match answer {
        Ok(answer) => answer.into_response(),
        Err(_) => {
            let late = format!("the request was not done after {timeout:?}");
            Status::deadline_exceeded(late).into_http::<Body>().into_response()
        }
    };
    if held.is_exceeded() {
        let refusal = Refusal::spent();
        app.count(&Err(refusal.clone()));
        return Ok(status(&refusal).into_http::<Body>().into_response());
    }
    if !counted.load(Ordering::Relaxed) {
        // Its bytes did not make a message.
        app.counts.refused.fetch_add(1, Ordering::Relaxed);
    }
    // tonic calls a message that is too large out of range, which is retryable in this protocol; the same one will not get smaller.
    let status = answer.headers_mut().get_mut("grpc-status");
    if let Some(status) = status.filter(|status| status.as_bytes() == b"11") {
        *status = HeaderValue::from_static("8");
    }
    Ok(answer)
}

struct Export {
    app: Arc<App>,
    kind: Kind,
    held: Held,
    /// Whether the call got here, and so was counted.
    counted: Arc<AtomicBool>,
}

impl UnaryService<Bytes> for Export {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (app, kind, held) = (Arc::clone(&self.app), self.kind, self.held.clone());
        self.counted.store(true, Ordering::Relaxed);
        Box::pin(async move {
            let taken = app.take(kind, Encoding::Protobuf, false, request.into_inner(), held).await;
            app.count(&taken);
            let answer = |rejected: Rejected| tonic::Response::new(rejected.to_response(kind, Encoding::Protobuf));
            taken.map(answer).map_err(|refusal| status(&refusal))
        })
    }
}

fn status(refusal: &Refusal) -> Status {
    let what = refusal.what();
    match refusal {
        // Retryable; so is the deadline's code, after which the request may have been taken all the same.
        Refusal::Overloaded(_) => Status::unavailable(what),
        Refusal::TooLarge(_) => Status::resource_exhausted(what),
        Refusal::TooSlow(_) => Status::deadline_exceeded(what),
        Refusal::Unsupported(_) => Status::unimplemented(what),
        Refusal::Malformed(_) => Status::invalid_argument(what),
        Refusal::Failed(_) => Status::internal(what),
    }
}

/// Messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Raw
    }

    fn decoder(&mut self) -> Self {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
