//! The query API: questions over HTTP, answers in JSON.
//!
//! One table of routes says what there is to ask. The router, the directory at `/api`, the OpenAPI
//! document and the reference page are made from it.

mod both;
mod directory;
mod export;
mod find;
mod group;
mod list;
mod lists;
mod openapi;
mod parameters;
pub mod problem;
mod records;
mod reference;
mod series;
mod store;
mod table;
mod tiers;
mod traces;

pub use find::find;
pub use list::{Kept, Listed, Wanted};
pub use lists::{Lists, Place};
pub use problem::Problem;
pub use tiers::Tiers;

use super::app::App;
use super::given::Given;
use super::page;
use axum::body::Bytes;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use std::sync::Arc;
use tokio::sync::watch;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

/// Returns the routes of the query API. Answers are packed by gzip or zstd if the client takes
/// them so; tails, which would wait in a packer's buffer, are not.
pub fn routes(stopped: watch::Receiver<bool>) -> Router<Arc<App>> {
    let table = table::table(stopped);
    let written = Written::of(&table);
    let (tails, questions): (Vec<_>, Vec<_>) = table.into_iter().partition(|one| one.is_tail());
    let router = |routes: Vec<table::Route>| {
        routes.into_iter().fold(Router::new(), |router, one| router.route(one.path, one.handler))
    };
    router(questions).layer(axum::Extension(written)).layer(packed()).merge(router(tails))
}

/// Packs answers by gzip or zstd, if the client takes them so.
pub fn packed() -> CompressionLayer {
    // The fastest level: its buffers are small, and an answer waits for no more than its own bytes.
    CompressionLayer::new().gzip(true).zstd(true).quality(CompressionLevel::Fastest)
}

/// What is written once about the table: the directory, the document and the reference page.
#[derive(Clone)]
struct Written {
    directory: Bytes,
    document: Bytes,
    reference: Bytes,
}

impl Written {
    fn of(table: &[table::Route]) -> Self {
        let json = |value: &serde_json::Value| Bytes::from(value.to_string());
        Self {
            directory: json(&directory::directory(table)),
            document: json(&openapi::document(table)),
            reference: reference::page(table).into(),
        }
    }
}

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
const HTML: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];

/// Answers what there is to ask.
async fn all(Extension(written): Extension<Written>, given: Given) -> Result<Response, Problem> {
    problem::none(given)?;
    Ok((JSON, written.directory).into_response())
}

/// Answers with the OpenAPI document.
async fn document(
    Extension(written): Extension<Written>,
    given: Given,
) -> Result<Response, Problem> {
    problem::none(given)?;
    Ok((JSON, written.document).into_response())
}

/// Answers with the reference page, under the same policy as the browser's page.
async fn reference(
    Extension(written): Extension<Written>,
    given: Given,
) -> Result<Response, Problem> {
    problem::none(given)?;
    Ok((page::HEADERS, HTML, written.reference).into_response())
}
