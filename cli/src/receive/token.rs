//! The bearer token that requests have to carry, where the server has one.

use super::door::sender;
use super::intake::{Intake, drain};
use super::refusal::Refusal;
use super::{grpc, otlp, own};
use crate::Fallible;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use subtle::ConstantTimeEq;

/// The variable that holds the token itself. There is no flag for it: other users of a machine can
/// read the command lines of its processes.
pub const VARIABLE: &str = "SLIPRING_TOKEN";

/// Characters of the shortest token. A shorter one can be found by trying.
const SHORTEST: usize = 16;

/// A token, and the file that it comes from.
pub struct Token {
    file: Option<PathBuf>,
    token: RwLock<Box<[u8]>>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Token {
    /// Reads the token from `file`, or else from the environment. Returns `None` where neither
    /// gives one.
    pub fn find(file: Option<&Path>) -> Fallible<Option<Arc<Self>>> {
        let said = std::env::var(VARIABLE).ok().filter(|token| !token.is_empty());
        let token = match (file, said) {
            (Some(_), Some(_)) => {
                let what = format!("both --token-file and {VARIABLE} are given; give one of them");
                return Err(what.into());
            }
            (Some(file), None) => read(file)?,
            (None, Some(said)) => checked(&said).map_err(|wrong| format!("{VARIABLE} {wrong}"))?,
            (None, None) => return Ok(None),
        };
        let file = file.map(Path::to_owned);
        Ok(Some(Arc::new(Self { file, token: RwLock::new(token) })))
    }

    /// Returns whether the token can be read again.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again. Keeps the token of before where that fails.
    pub fn reload(&self) -> Fallible<()> {
        if let Some(file) = &self.file {
            *self.token.write().unwrap_or_else(PoisonError::into_inner) = read(file)?;
        }
        Ok(())
    }

    /// Returns whether a request carries this token. The time does not depend on where a wrong
    /// token differs; it may depend on its length.
    fn is_carried_by(&self, headers: &HeaderMap) -> bool {
        let mut said = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(said), None) = (said.next(), said.next()) else { return false };
        let Some((scheme, said)) = said.as_bytes().split_at_checked(7) else { return false };
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(said.trim_ascii().ct_eq(&token))
    }
}

fn read(file: &Path) -> Fallible<Box<[u8]>> {
    let wrong = |what: &dyn std::fmt::Display| format!("--token-file {}: {what}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    checked(&text).map_err(|what| wrong(&format!("the token {what}")).into())
}

/// Returns the token in `text`, or what is wrong with it.
fn checked(text: &str) -> Result<Box<[u8]>, String> {
    let token = text.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a character that no header can carry; \
                    take letters, digits and signs of ASCII"
            .to_owned());
    }
    if token.len() < SHORTEST {
        return Err(format!(
            "has fewer than {SHORTEST} characters; `openssl rand -hex 32` makes a good one"
        ));
    }
    Ok(token.as_bytes().into())
}

/// Refuses requests without the server's token, except for paths that are open to everybody: what
/// they answer is the same on each server, or no more than whether this one runs.
pub async fn only_bearers(
    State(intake): State<Arc<Intake>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_open = own::HEALTH.contains(&path) || (intake.about.is_open)(path);
    let lets_in = |token: &Arc<Token>| is_open || token.is_carried_by(request.headers());
    if intake.access.token.as_ref().is_none_or(lets_in) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let refusal = intake.refuse(refusal(&head.headers), sender(&head));
    drain(body).await;
    let mut response = if grpc::is_grpc(&head.headers) {
        return grpc::failed(&refusal);
    } else if head.uri.path().starts_with("/v1/") {
        otlp::refused(&head.headers, &refusal)
    } else {
        let told = Json(serde_json::json!({ "error": refusal.what() }));
        (StatusCode::UNAUTHORIZED, told).into_response()
    };
    const ASKED: HeaderValue = HeaderValue::from_static("Bearer realm=\"slipring\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, ASKED);
    response
}

/// Refuses calls without the server's token.
pub async fn only_bearing_calls(
    State(intake): State<Arc<Intake>>,
    request: Request,
    next: Next,
) -> Response {
    let is_carried = |token: &Arc<Token>| token.is_carried_by(request.headers());
    if intake.access.token.as_ref().is_none_or(is_carried) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let refusal = intake.refuse(refusal(&head.headers), sender(&head));
    drain(body).await;
    grpc::failed(&refusal)
}

fn refusal(headers: &HeaderMap) -> Refusal {
    let has = if headers.contains_key(header::AUTHORIZATION) { "another one" } else { "none" };
    Refusal::Unauthorized(format!(
        "this server asks for a token, and the request has {has}; send `authorization: Bearer TOKEN`, from SDKs by \
         OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token { file: None, token: RwLock::new(checked(text).unwrap()) }
    }

    #[test]
    fn one_header_with_the_very_token_opens() {
        let token = token("0123456789abcdef\n");
        let carried = |said: &[&str]| {
            let mut headers = HeaderMap::new();
            for said in said {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(said).unwrap());
            }
            token.is_carried_by(&headers)
        };
        let good = "Bearer 0123456789abcdef";
        assert!(carried(&[good]));
        assert!(carried(&["bearer  0123456789abcdef "]));
        for wrong in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcdeF"],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Basic 0123456789abcdef"],
            &["0123456789abcdef"],
            &[good, good],
        ] {
            assert!(!carried(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn tokens_that_are_weak_or_cannot_be_sent_are_refused() {
        assert!(checked("0123456789abcde").unwrap_err().contains("openssl"));
        assert!(checked(" \n").is_err());
        assert!(checked("0123456789 abcdef").unwrap_err().contains("character"));
        assert!(checked("0123456789äbcdef").unwrap_err().contains("character"));
    }
}
