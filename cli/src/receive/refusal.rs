//! Why a request is refused.

use axum::http::StatusCode;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many requests are in flight, or the program is stopping. The sender may retry.
    Overloaded(&'static str),
    TooLarge(String),
    TooSlow(String),
    /// The request's headers are too large.
    Headers(String),
    /// The request's encoding, compression or path is not supported.
    Unsupported(String),
    /// The request has records of a kind that this program does not take.
    NotTaken(&'static str),
    /// The request cannot be parsed.
    Malformed(String),
    /// The request names another host.
    Foreign(String),
    /// The request does not carry the server's token.
    Unauthorized(String),
    /// The server failed.
    Failed(String),
}

/// What figures and warnings tell apart: a [`Refusal`] without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Overloaded,
    TooLarge,
    TooSlow,
    Headers,
    Unsupported,
    NotTaken,
    Malformed,
    Foreign,
    Unauthorized,
    Failed,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::Overloaded,
        Self::TooLarge,
        Self::TooSlow,
        Self::Headers,
        Self::Unsupported,
        Self::NotTaken,
        Self::Malformed,
        Self::Foreign,
        Self::Unauthorized,
        Self::Failed,
    ];

    /// Returns the reason's name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Headers => "headers",
            Self::Unsupported => "unsupported",
            Self::NotTaken => "not_taken",
            Self::Malformed => "malformed",
            Self::Foreign => "foreign",
            Self::Unauthorized => "unauthorized",
            Self::Failed => "failed",
        }
    }
}

impl Refusal {
    pub fn reason(&self) -> Reason {
        match self {
            Refusal::Overloaded(_) => Reason::Overloaded,
            Refusal::TooLarge(_) => Reason::TooLarge,
            Refusal::TooSlow(_) => Reason::TooSlow,
            Refusal::Headers(_) => Reason::Headers,
            Refusal::Unsupported(_) => Reason::Unsupported,
            Refusal::NotTaken(_) => Reason::NotTaken,
            Refusal::Malformed(_) => Reason::Malformed,
            Refusal::Foreign(_) => Reason::Foreign,
            Refusal::Unauthorized(_) => Reason::Unauthorized,
            Refusal::Failed(_) => Reason::Failed,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Headers(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::NotTaken(_) => StatusCode::NOT_FOUND,
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::Foreign(_) => StatusCode::FORBIDDEN,
            Refusal::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn what(&self) -> &str {
        match self {
            Refusal::Overloaded(what) | Refusal::NotTaken(what) => what,
            Refusal::TooLarge(what)
            | Refusal::TooSlow(what)
            | Refusal::Headers(what)
            | Refusal::Unsupported(what)
            | Refusal::Malformed(what)
            | Refusal::Foreign(what)
            | Refusal::Unauthorized(what)
            | Refusal::Failed(what) => what,
        }
    }
}
