//! `/api/export`: everything that is held, as a file that `replay`, `open` and `--load` read.

use super::problem::{Problem, take};
use crate::files::export::Export;
use crate::serve::app::App;
use crate::serve::given::Given;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use slipring::otlp::{Encoding, Kind};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The parameters of an export.
pub const OF_EXPORT: [&str; 2] = ["signal", "format"];

/// Reads what to export: a signal or all, and the encoding.
fn asked(mut given: Vec<(String, String)>) -> Result<(Option<Kind>, Encoding), Problem> {
    let signal = match take(&mut given, "signal")?.as_deref() {
        None => None,
        Some("spans") => Some(Kind::Traces),
        Some("logs") => Some(Kind::Logs),
        Some("metrics") => Some(Kind::Metrics),
        Some(other) => {
            return Err(Problem::Bad(format!("signal={other}: give spans, logs or metrics")));
        }
    };
    let encoding = match take(&mut given, "format")?.as_deref() {
        None | Some("json") => Encoding::Json,
        Some("protobuf") => Encoding::Protobuf,
        Some(other) => return Err(Problem::Bad(format!("format={other}: give json or protobuf"))),
    };
    match given.first() {
        None => Ok((signal, encoding)),
        Some((name, _)) => {
            let known = OF_EXPORT.join(", ");
            Err(Problem::Bad(format!("there is no parameter {name}; there are {known}")))
        }
    }
}

/// Answers with everything that is held. An answer keeps its place until it has been read.
pub async fn export(State(app): State<Arc<App>>, given: Given) -> Result<Response, Problem> {
    let (signal, encoding) = asked(given.read()?)?;
    let place = Arc::clone(&app.questions).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(Duration::from_secs(1), place).await else {
        return Err(Problem::Busy);
    };
    let mut export = Export::new(&app.telemetry, signal, encoding);
    if let Some(keep) = app.keep.clone() {
        // A reader may take hours. It holds no trace that has left meanwhile.
        let kept = keep.all();
        export = export.and_later(&kept, move |id| keep.get(id));
    }
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
