//! OTLP/gRPC: three unary methods. A call is one message in a frame, and is taken as OTLP/HTTP takes a body.
//!
//! By hand, as far as that goes: a server that decodes by itself would unpack outside of what bounds the others, and one bad record would
//! cost its request. The frame is that of gRPC's description of itself over HTTP/2 ("Length-Prefixed-Message").

use super::app::{App, Opened, Refusal};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Full};
use slipring::otlp::{Encoding, Kind};
use std::convert::Infallible;
use std::sync::Arc;
use tonic::Status;

/// Whether the message is packed, and its length in four bytes.
const PREFIX: usize = 5;

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

async fn export(app: Arc<App>, kind: Kind, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let coding = coding(&head.headers);
    drop(head);
    let open = |frame: Bytes| open(coding?, frame);
    match app.export(kind, Encoding::Protobuf, body, open).await {
        Ok(rejected) => answer(&rejected.to_response(kind, Encoding::Protobuf)),
        Err(refusal) => status(&refusal).into_http::<Body>().into_response(),
    }
}

/// How messages are packed that say they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    match headers.get("grpc-encoding").map_or(&b"identity"[..], HeaderValue::as_bytes) {
        b"identity" => Ok(Coding::Identity),
        b"gzip" => Ok(Coding::Gzip),
        _ => Err(Refusal::Unsupported("this grpc-encoding is not read here; send gzip, or none".to_owned())),
    }
}

/// The one message of a call, out of its frame.
fn open(coding: Coding, mut frame: Bytes) -> Result<Opened, Refusal> {
    let malformed = |what: &str| Err(Refusal::Malformed(format!("the call's frame {what}")));
    let Some(&[packed, a, b, c, d]) = frame.first_chunk() else { return malformed("is shorter than its prefix") };
    let packed = match (packed, coding) {
        (0, _) => false,
        (1, Coding::Gzip) => true,
        _ => return malformed("is packed in a way that its headers do not tell"),
    };
    let message = frame.split_off(PREFIX);
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return malformed("is not as long as it says, or is not the only one");
    }
    Ok(Opened { packed, message })
}

/// A message, framed, and that all is well.
fn answer(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).expect("an answer is short").to_be_bytes();
    let frame = [&[0][..], &length, message].concat();
    let well = HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(async { Some(Ok::<_, Infallible>(well)) });
    ([(header::CONTENT_TYPE, "application/grpc")], Body::new(body)).into_response()
}

fn status(refusal: &Refusal) -> Status {
    let what = refusal.what();
    match refusal {
        // Retryable; so is the deadline's code, after which nothing has been taken.
        Refusal::Overloaded(_) => Status::unavailable(what),
        Refusal::TooLarge(_) => Status::resource_exhausted(what),
        Refusal::TooSlow(_) => Status::deadline_exceeded(what),
        Refusal::Unsupported(_) => Status::unimplemented(what),
        Refusal::Malformed(_) => Status::invalid_argument(what),
        Refusal::Failed(_) => Status::internal(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_opened_or_told_what_is_wrong() {
        let frame = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let opened = open(Coding::Identity, frame(b"\0\0\0\0\x02ab")).unwrap();
        assert_eq!((opened.packed, &*opened.message), (false, &b"ab"[..]));
        assert!(open(Coding::Gzip, frame(b"\x01\0\0\0\x01a")).unwrap().packed);
        for (coding, bytes) in [
            (Coding::Identity, &b""[..]),
            (Coding::Identity, b"\0\0\0\0"),
            (Coding::Identity, b"\0\0\0\0\x03ab"),
            (Coding::Identity, b"\0\0\0\0\x01ab"),
            (Coding::Identity, b"\x01\0\0\0\x01a"),
            (Coding::Gzip, b"\x02\0\0\0\x01a"),
        ] {
            assert!(matches!(open(coding, frame(bytes)), Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }
}
