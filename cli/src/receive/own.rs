//! What both ports answer beside OTLP: health, and advice for peers that ask for what is not there.

use super::door::sender;
use super::grpc::is_grpc;
use super::intake::Intake;
use super::refusal::Refusal;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;

/// Where the program tells whether it runs, and whether it takes requests. Checks of health carry
/// no token.
pub const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

pub fn routes() -> Router<Arc<Intake>> {
    let [alive, is_ready] = HEALTH;
    Router::new().route(alive, get(|| async { "ok\n" })).route(is_ready, get(ready))
}

pub async fn not_found(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    if is_grpc(request.headers()) {
        let there = intake
            .listens
            .get()
            .map_or_else(|| "another port".to_owned(), |[grpc, _]| format!("port {}", grpc.port()));
        let what = format!("this port takes OTLP/HTTP; send OTLP/gRPC to {there}");
        let refusal = intake.refuse(Refusal::Unsupported(what), sender(&request.into_parts().0));
        return tonic::Status::unimplemented(refusal.what()).into_http::<Body>().into_response();
    }
    let what = format!(
        "there is nothing at {}; {}, OTLP goes to {}",
        request.uri().path(),
        intake.about.questions,
        intake.about.paths()
    );
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        // The request is most likely telemetry sent to a wrong path, so that it is logged.
        intake.refuse(Refusal::Unsupported(what.clone()), sender(&request.into_parts().0));
    }
    (StatusCode::NOT_FOUND, Json(serde_json::json!({ "error": what }))).into_response()
}

/// Answers a request for a known path with a method that the path does not support.
pub async fn not_so(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let what = match path.strip_prefix("/v1/") {
        Some(_) => {
            format!("{method} {path}: telemetry comes by POST; {}", intake.about.questions)
        }
        None => {
            format!("{method} {path}: ask by GET; OTLP goes to {}", intake.about.paths())
        }
    };
    let refusal = intake.refuse(Refusal::Unsupported(what), sender(&request.into_parts().0));
    (StatusCode::METHOD_NOT_ALLOWED, Json(serde_json::json!({ "error": refusal.what() })))
        .into_response()
}

async fn ready(State(intake): State<Arc<Intake>>) -> (StatusCode, &'static str) {
    if intake.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}
