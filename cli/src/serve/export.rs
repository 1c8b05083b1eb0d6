//! `/api/export`: everything that is held, as a file that `replay`, `open` and `--load` read.

use super::api::Problem;
use super::app::App;
use super::given::Given;
use crate::files::export::Export;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use slipring::otlp::{Encoding, Kind};
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/export", get(export))
}

/// What was asked for: a signal or all, and the encoding.
fn asked(parameters: &[(String, String)]) -> Result<(Option<Kind>, Encoding), String> {
    let (mut signal, mut encoding) = (None, None);
    for (name, value) in parameters {
        let again = match name.as_str() {
            "signal" => {
                let kind = match value.as_str() {
                    "spans" => Kind::Traces,
                    "logs" => Kind::Logs,
                    "metrics" => Kind::Metrics,
                    _ => return Err(format!("signal={value}: give spans, logs or metrics")),
                };
                signal.replace(kind).is_some()
            }
            "format" => {
                let format = match value.as_str() {
                    "json" => Encoding::Json,
                    "protobuf" => Encoding::Protobuf,
                    _ => return Err(format!("format={value}: give json or protobuf")),
                };
                encoding.replace(format).is_some()
            }
            _ => return Err(format!("there is no parameter {name}; there are signal, format")),
        };
        if again {
            return Err(format!("{name}={value}: {name} was given before; give it once"));
        }
    }
    Ok((signal, encoding.unwrap_or(Encoding::Json)))
}

async fn export(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let (signal, encoding) = asked(&given.read()?).map_err(Problem::Bad)?;
    let place = Arc::clone(&app.questions).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(Duration::from_secs(1), place).await else {
        return Err(Problem::Busy);
    };
    let export = Export::new(&app.telemetry, signal, encoding);
    // The next request is looked up when its reader has taken the one before, so that no more than
    // two are in memory, and no thread waits for a slow reader.
    let requests = futures::stream::try_unfold((export, place), async |(mut export, place)| {
        let next = tokio::task::spawn_blocking(move || {
            let next = export.next();
            next.map(|request| (request, export))
        });
        let (request, export) = next.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok::<_, io::Error>(request.map(|request| (Bytes::from(request), (export, place))))
    });
    let (kind, ending) = if encoding == Encoding::Json {
        ("application/x-ndjson", "jsonl")
    } else {
        ("application/octet-stream", "pb")
    };
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = format!("attachment; filename=\"slipring-{now}.{ending}\"");
    let head = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((head, Body::from_stream(requests)).into_response())
}
