//! OTLP/gRPC: three unary methods. A call is one message in a frame, which is handled like the body
//! of an OTLP/HTTP request.
//!
//! This module parses the frame itself. A generated server would decompress messages outside the
//! limits that apply to all other requests, and one malformed record would fail its whole request.
//! The frame is the "Length-Prefixed-Message" of the gRPC over HTTP/2 specification.

use super::door::sender;
use super::intake::{About, Intake, Opened, drain};
use super::reflection;
use super::refusal::Refusal;
use super::token;
use super::unpack::Coding;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Full};
use slipring::otlp::{Encoding, Kind};
use std::convert::Infallible;
use std::sync::Arc;
use tonic::Status;

/// Names of the three services.
const TRACES: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const LOGS: &str = "opentelemetry.proto.collector.logs.v1.LogsService";
const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService";

/// Bytes of a frame's header: a flag that the message is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// The supported codings, as told to a sender that uses another one.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,deflate,zstd");

/// Returns the names of the services that a program has.
pub fn services(about: &About) -> impl Iterator<Item = &'static str> {
    about.kinds.iter().map(|kind| match kind {
        Kind::Logs => LOGS,
        Kind::Metrics => METRICS,
        _ => TRACES,
    })
}

/// Returns the routes of the gRPC port. All three exports are among them: a sender of what is not
/// taken is told so.
pub fn routes(intake: Arc<Intake>) -> Router {
    let of = |kind: Kind| {
        post(move |State(intake): State<Arc<Intake>>, request: Request| {
            export(intake, kind, request)
        })
    };
    Router::new()
        .route(&format!("/{TRACES}/Export"), of(Kind::Traces))
        .route(&format!("/{LOGS}/Export"), of(Kind::Logs))
        .route(&format!("/{METRICS}/Export"), of(Kind::Metrics))
        .merge(reflection::routes(intake.timeout, intake.about))
        .fallback(|| async {
            let unimplemented =
                Status::unimplemented("there is no such method; this takes OTLP's exports");
            unimplemented.into_http::<Body>()
        })
        .layer(from_fn_with_state(Arc::clone(&intake), token::only_bearing_calls))
        .layer(from_fn_with_state(Arc::clone(&intake), only_grpc))
        .with_state(intake)
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let rest = kind
        .get(..16)
        .filter(|start| start.eq_ignore_ascii_case(b"application/grpc"))
        .map(|_| &kind[16..]);
    rest.is_some_and(|rest| {
        rest.is_empty() || matches!(rest[0], b';' | b' ') || rest.starts_with(b"+proto")
    })
}

/// Answers requests that are not gRPC with the status that gRPC over HTTP/2 prescribes, and names
/// the right port. With a 200, an OTLP/HTTP exporter that is pointed at this port would take its
/// spans for delivered.
async fn only_grpc(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    if is_grpc(request.headers()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let there = intake
        .listens
        .get()
        .map_or_else(|| "another port".to_owned(), |[_, http]| format!("port {}", http.port()));
    let what = format!("this port takes OTLP/gRPC only; send OTLP/HTTP, and questions, to {there}");
    let refusal = intake.refuse(Refusal::Unsupported(what), sender(&head));
    drain(body).await;
    (refusal.status(), format!("{}\n", refusal.what())).into_response()
}

async fn export(intake: Arc<Intake>, kind: Kind, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let coding = coding(&head.headers);
    let from = sender(&head);
    drop(head);
    let open = |frame: Bytes| open(coding?, frame);
    match intake.export(kind, Encoding::Protobuf, body, from, open).await {
        Ok(rejected) => answer(&rejected.to_response(kind, Encoding::Protobuf)),
        Err(refusal) => {
            let mut response = failed(&refusal);
            if matches!(refusal, Refusal::Unsupported(_)) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static("grpc-accept-encoding"), ACCEPTED);
            }
            response
        }
    }
}

/// Returns the coding of compressed messages, or `None` if the call declares none.
fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Refusal> {
    match headers.get("grpc-encoding").map_or(&b"identity"[..], HeaderValue::as_bytes) {
        b"identity" => Ok(None),
        b"gzip" => Ok(Some(Coding::Gzip)),
        b"deflate" => Ok(Some(Coding::Deflate)),
        b"zstd" => Ok(Some(Coding::Zstd)),
        other => {
            let other = String::from_utf8_lossy(&other[..other.len().min(40)]);
            Err(Refusal::Unsupported(format!(
                "grpc-encoding {other:?} is not read here; send gzip, deflate, zstd, or none"
            )))
        }
    }
}

/// Takes the single message of a call out of its frame.
fn open(coding: Option<Coding>, mut frame: Bytes) -> Result<Opened, Refusal> {
    let malformed = |what: &str| Err(Refusal::Malformed(format!("the call's frame {what}")));
    let Some(&[packed, a, b, c, d]) = frame.first_chunk() else {
        return malformed("is shorter than its prefix");
    };
    let codings = match (packed, coding) {
        (0, _) => Vec::new(),
        (1, Some(coding)) => vec![coding],
        _ => return malformed("is packed in a way that its headers do not tell"),
    };
    let message = frame.split_off(PREFIX);
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return malformed("is not as long as it says, or is not the only one");
    }
    Ok(Opened { codings, message })
}

/// Builds a successful response with one framed message.
fn answer(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).expect("an answer is short").to_be_bytes();
    let frame = [&[0][..], &length, message].concat();
    let well = HeaderMap::from_iter([(
        header::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body =
        Full::new(Bytes::from(frame)).with_trailers(async { Some(Ok::<_, Infallible>(well)) });
    ([(header::CONTENT_TYPE, "application/grpc")], Body::new(body)).into_response()
}

pub fn failed(refusal: &Refusal) -> Response {
    status(refusal).into_http::<Body>().into_response()
}

fn status(refusal: &Refusal) -> Status {
    let what = refusal.what();
    match refusal {
        // `UNAVAILABLE` is retryable. So is the code of an exceeded deadline, after which nothing
        // has been stored.
        Refusal::Overloaded(_) => Status::unavailable(what),
        Refusal::TooLarge(_) | Refusal::Headers(_) => Status::resource_exhausted(what),
        Refusal::TooSlow(_) => Status::deadline_exceeded(what),
        Refusal::Unsupported(_) | Refusal::NotTaken(_) => Status::unimplemented(what),
        Refusal::Malformed(_) => Status::invalid_argument(what),
        Refusal::Foreign(_) => Status::permission_denied(what),
        Refusal::Unauthorized(_) => Status::unauthenticated(what),
        Refusal::Failed(_) => Status::internal(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_opened_or_told_what_is_wrong() {
        let frame = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let opened = open(None, frame(b"\0\0\0\0\x02ab")).unwrap();
        assert_eq!((&opened.codings[..], &*opened.message), (&[][..], &b"ab"[..]));
        assert_eq!(
            open(Some(Coding::Zstd), frame(b"\x01\0\0\0\x01a")).unwrap().codings,
            [Coding::Zstd]
        );
        for (coding, bytes) in [
            (None, &b""[..]),
            (None, b"\0\0\0\0"),
            (None, b"\0\0\0\0\x03ab"),
            (None, b"\0\0\0\0\x01ab"),
            (None, b"\x01\0\0\0\x01a"),
            (Some(Coding::Gzip), b"\x02\0\0\0\x01a"),
        ] {
            assert!(matches!(open(coding, frame(bytes)), Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }
}
