//! OTLP/HTTP: the protocol's three paths, in protobuf and JSON, plain or gzip.

use super::take::{App, Refusal, drain};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use slipring::otlp::{Encoding, Kind};
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    let of = |kind: Kind| post(move |State(app): State<Arc<App>>, request: Request| export(app, kind, request));
    Router::new()
        .route("/v1/traces", of(Kind::Traces))
        .route("/v1/logs", of(Kind::Logs))
        .route("/v1/metrics", of(Kind::Metrics))
}

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

async fn export(app: Arc<App>, kind: Kind, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let encoding = match encoding(&head.headers) {
        Ok(encoding) => encoding,
        Err(what) => return refuse(&app, StatusCode::UNSUPPORTED_MEDIA_TYPE, &what, Encoding::Json, body).await,
    };
    let packed = match is_packed(&head.headers) {
        Ok(packed) => packed,
        Err(what) => return refuse(&app, StatusCode::UNSUPPORTED_MEDIA_TYPE, &what, encoding, body).await,
    };
    let place = match app.enter() {
        Ok(place) => place,
        Err(refusal) => {
            app.count(&Err(refusal.clone()));
            drain(body).await;
            let mut response = failed(refusal.status(), refusal.what(), encoding);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
    };
    let taken = match app.read(body).await {
        Ok(body) => app.take(kind, encoding, packed, body, place).await,
        Err(refusal) => Err(refusal),
    };
    app.count(&taken);
    match taken {
        Ok(rejected) => answer(StatusCode::OK, rejected.to_response(kind, encoding), encoding),
        Err(refusal) => failed(refusal.status(), refusal.what(), encoding),
    }
}

async fn refuse(app: &App, status: StatusCode, what: &str, encoding: Encoding, body: Body) -> Response {
    app.count(&Err(Refusal::Malformed(what.to_owned())));
    drain(body).await;
    failed(status, what, encoding)
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, String> {
    let kind = headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("?"));
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => Err(format!("content-type {kind:?}; send application/x-protobuf or application/json")),
    }
}

fn is_packed(headers: &HeaderMap) -> Result<bool, String> {
    let coding = headers.get(header::CONTENT_ENCODING).map_or("", |coding| coding.to_str().unwrap_or("?"));
    match coding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" => Ok(true),
        _ => Err(format!("content-encoding {coding:?}; send gzip, or none")),
    }
}

/// `google.rpc.Status`, as far as the protocol asks for it.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

/// A failure, in the encoding of the request.
fn failed(status: StatusCode, what: &str, encoding: Encoding) -> Response {
    let body = match encoding {
        Encoding::Json => serde_json::json!({ "message": what }).to_string().into_bytes(),
        _ => Status { message: what.to_owned() }.encode_to_vec(),
    };
    answer(status, body, encoding)
}

fn answer(status: StatusCode, body: Vec<u8>, encoding: Encoding) -> Response {
    let kind = if encoding == Encoding::Json { JSON } else { PROTOBUF };
    (status, [(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
}
