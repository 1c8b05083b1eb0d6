//! Why a question has no answer.

use crate::serve::given::Given;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a question has no answer.
pub enum Problem {
    /// The question can't mean anything.
    Bad(String),
    NotFound(String),
    /// What it is about is not there any more.
    Gone(String),
    /// Too many questions are being answered.
    Busy,
    Failed(String),
}

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Problem::Bad(error.to_string())
    }
}

impl Problem {
    /// Returns the status that says so, and what went wrong.
    pub fn told(self) -> (StatusCode, String) {
        match self {
            Problem::Bad(what) => (StatusCode::BAD_REQUEST, what),
            Problem::NotFound(what) => (StatusCode::NOT_FOUND, what),
            Problem::Gone(what) => (StatusCode::GONE, what),
            Problem::Busy => {
                let what =
                    "too many questions are being answered; come back in a moment".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, what)
            }
            Problem::Failed(what) => (StatusCode::INTERNAL_SERVER_ERROR, what),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, what) = self.told();
        (status, Json(json!({ "error": what }))).into_response()
    }
}

/// Refuses all parameters, for a question that takes none. A parameter that was ignored would make
/// the answer one to another question.
pub fn none(given: Given) -> Result<(), Problem> {
    match given.read()?.first() {
        None => Ok(()),
        Some((name, _)) => {
            Err(Problem::Bad(format!("there is no parameter {name}; there are none")))
        }
    }
}

/// Takes a parameter of its own out of the others. A second one of the same name is an error.
pub fn take(given: &mut Vec<(String, String)>, name: &str) -> Result<Option<String>, Problem> {
    let mut found = given.extract_if(.., |(known, _)| known == name).map(|(_, value)| value);
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(again) => {
            Err(Problem::Bad(format!("{name}={again}: {name} was given before; give it once")))
        }
    }
}
