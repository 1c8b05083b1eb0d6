//! OTLP/HTTP: the protocol's three paths, in protobuf and JSON, plain or compressed.

use super::door::sender;
use super::intake::{Intake, Opened, drain};
use super::refusal::Refusal;
use super::unpack::{Coding, codings};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use slipring::otlp::{Encoding, Kind};
use std::sync::Arc;

pub fn routes() -> Router<Arc<Intake>> {
    let of = |kind: Kind| {
        post(move |State(intake): State<Arc<Intake>>, request: Request| {
            export(intake, kind, request)
        })
    };
    Router::new()
        .route("/v1/traces", of(Kind::Traces))
        .route("/v1/logs", of(Kind::Logs))
        .route("/v1/metrics", of(Kind::Metrics))
}

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

async fn export(intake: Arc<Intake>, kind: Kind, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let encoding = encoding(&head.headers);
    // A request in an unknown encoding is answered in JSON.
    let answered = *encoding.as_ref().unwrap_or(&Encoding::Json);
    let understood = encoding.and_then(|encoding| Ok((encoding, packed_by(&head.headers)?)));
    let from = sender(&head);
    drop(head);
    let taken = match understood {
        Ok((encoding, codings)) => {
            let open = |message| Ok(Opened { codings, message });
            intake.export(kind, encoding, body, from, open).await
        }
        Err(refusal) => {
            drain(body).await;
            Err(intake.refuse(refusal, from))
        }
    };
    match taken {
        Ok(rejected) => answer(StatusCode::OK, rejected.to_response(kind, answered), answered),
        Err(refusal) => failed(&refusal, answered),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("?"));
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => {
            let what =
                format!("content-type {kind:?}; send application/x-protobuf or application/json");
            Err(Refusal::Unsupported(what))
        }
    }
}

/// Returns the codings that all `content-encoding` headers list.
fn packed_by(headers: &HeaderMap) -> Result<Vec<Coding>, Refusal> {
    let lists = headers
        .get_all(header::CONTENT_ENCODING)
        .into_iter()
        .map(|list| list.to_str().unwrap_or("?"));
    codings(&lists.collect::<Vec<_>>().join(","))
}

/// The part of `google.rpc.Status` that the protocol requires.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

/// Answers a request that is refused before it is read.
pub fn refused(headers: &HeaderMap, refusal: &Refusal) -> Response {
    failed(refusal, encoding(headers).unwrap_or(Encoding::Json))
}

/// Builds a failure response in the request's encoding, with `retry-after` if the server is
/// overloaded.
fn failed(refusal: &Refusal, encoding: Encoding) -> Response {
    let message = refusal.what().to_owned();
    let body = match encoding {
        Encoding::Json => serde_json::json!({ "message": message }).to_string().into_bytes(),
        _ => Status { message }.encode_to_vec(),
    };
    let mut response = answer(refusal.status(), body, encoding);
    if matches!(refusal, Refusal::Overloaded(_)) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn answer(status: StatusCode, body: Vec<u8>, encoding: Encoding) -> Response {
    let kind = if encoding == Encoding::Json { JSON } else { PROTOBUF };
    (status, [(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
}
