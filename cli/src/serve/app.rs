//! The state that the handlers of questions share: the stores, and the limits on questions.

use super::keep::Keep;
use crate::receive::{About, Access, Bounds, Intake, Refusal};
use axum::body::Bytes;
use slipring::Telemetry;
use slipring::otlp::Kind;
use slipring_history::MetricHistory;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Number of queries that may be answered at once, and of tails. The runtime has threads for all of
/// them and for all requests besides.
const QUESTIONS: usize = 16;
const TAILS: usize = 16;

/// What peers are told of this program.
static ABOUT: About = About {
    kinds: &[Kind::Traces, Kind::Logs, Kind::Metrics],
    others: "",
    questions: "GET /api lists the questions",
    is_open,
};

/// Returns whether a path is open to everybody: it is the same on each server.
fn is_open(path: &str) -> bool {
    const OPEN: [&str; 4] = ["/", "/api", "/api/openapi.json", "/api/reference"];
    OPEN.contains(&path) || path.starts_with("/page/")
}

/// The state that the handlers of questions share.
pub struct App {
    pub telemetry: Telemetry,
    /// The traces that are kept beyond the stores, if that was asked for.
    pub keep: Option<Arc<Keep>>,
    /// Metric points that have left their store, if they are kept.
    pub history: Option<MetricHistory>,
    /// What writes records that leave their stores into files, if that was asked for.
    #[cfg(feature = "archive")]
    pub archive: Option<slipring_archive::Archive>,
    pub intake: Arc<Intake>,
    /// Limits the queries answered at once.
    pub questions: Arc<Semaphore>,
    /// Limits the open tails.
    pub tails: Arc<Semaphore>,
}

impl App {
    pub fn new(
        telemetry: Telemetry,
        keep: Option<Arc<Keep>>,
        bounds: Bounds,
        access: Access,
    ) -> Self {
        let (stores, keeps) = (telemetry.clone(), keep.clone());
        let take = Box::new(move |kind, encoding, message: Bytes| {
            let keeps = keeps.as_ref().filter(|_| kind == Kind::Traces);
            let again = keeps.map(|keep| (keep, message.clone()));
            let taken = stores.ingest(kind, encoding, message);
            let taken = taken.map_err(|error| Refusal::Malformed(error.to_string()))?;
            if let Some((keep, message)) = again {
                keep.take(encoding, message);
            }
            Ok(taken)
        });
        Self {
            telemetry,
            keep,
            history: None,
            #[cfg(feature = "archive")]
            archive: None,
            intake: Intake::new(take, &ABOUT, bounds, access),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            tails: Arc::new(Semaphore::new(TAILS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_data_is_open() {
        for path in ["/", "/page/app.js", "/api"] {
            assert!(is_open(path), "{path}");
        }
        for path in ["/api/spans", "/v1/traces", "/metrics", "/none", "/page", "/healthz/x"] {
            assert!(!is_open(path), "{path}");
        }
    }
}
