//! What stands against an answer, and what to do about it.

use super::Address;
use axum::http::StatusCode;
use std::error::Error;
use std::fmt;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// No server is at the address.
    Unreached { address: Address, why: String },
    /// The server answers with an error.
    Refused { status: StatusCode, what: String },
    /// The question cannot be written as a URL.
    Question(String),
    /// The token cannot stand in a header.
    Token,
    /// There was no answer in time.
    Slow,
    /// The answer has broken off.
    Broken(String),
    /// The answer is none to the question.
    NoAnswer(String),
}

impl ClientError {
    pub(super) fn unreached(address: &Address, error: &dyn Error) -> Self {
        // The innermost error says most: that the connection was refused.
        let mut why = error;
        while let Some(source) = why.source() {
            why = source;
        }
        Self::Unreached { address: address.clone(), why: why.to_string() }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached { address, why } => write!(
                f,
                "no server answers at {address}: {why}; start one with `slipring serve`, name \
                 another with --server or SLIPRING_SERVER, or ask files with --file"
            ),
            Self::Refused { status: StatusCode::UNAUTHORIZED, what } => {
                write!(f, "{what}; give the server's token in SLIPRING_TOKEN")
            }
            Self::Refused { status, what } if what.is_empty() => {
                write!(f, "the server answers {status}")
            }
            Self::Refused { what, .. } => f.write_str(what),
            Self::Question(what) => write!(f, "this cannot be asked: {what}"),
            Self::Token => f.write_str("the token has characters that no header may have"),
            Self::Slow => {
                f.write_str("the server did not answer in time; ask for less, with limit or since")
            }
            Self::Broken(what) => write!(f, "the answer has broken off: {what}"),
            Self::NoAnswer(what) => {
                write!(
                    f,
                    "the answer is not what this version expects, is it another server? {what}"
                )
            }
        }
    }
}

impl Error for ClientError {}
