//! The state that the handlers of questions share: the stores, and the limits on questions.

use crate::receive::{About, Access, Bounds, Intake, Refusal};
use slipring::Telemetry;
use slipring::otlp::Kind;
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
    pub intake: Arc<Intake>,
    /// Limits the queries answered at once.
    pub questions: Arc<Semaphore>,
    /// Limits the open tails.
    pub tails: Arc<Semaphore>,
}

impl App {
    pub fn new(telemetry: Telemetry, bounds: Bounds, access: Access) -> Self {
        let stores = telemetry.clone();
        let take = Box::new(move |kind, encoding, message| {
            let taken = stores.ingest(kind, encoding, message);
            taken.map_err(|error| Refusal::Malformed(error.to_string()))
        });
        Self {
            telemetry,
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
