//! Asks a query API: that of a running server, or of stores in this process.

use crate::Fallible;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tower::ServiceExt;

/// Bytes of the longest answer that is read.
const MOST: usize = 64 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A parameter's name and value.
pub type Parameter = (String, String);

/// Whoever answers questions.
pub enum Ask {
    /// A running `slipring serve`.
    Server(Server),
    /// The routes of stores in this process.
    Here(Router),
}

/// A running `slipring serve`.
pub struct Server {
    /// Host and port.
    at: String,
    token: Option<HeaderValue>,
}

impl Server {
    /// Parses the address of a server.
    pub fn new(text: &str, token: Option<&str>) -> Fallible<Self> {
        let uri: Uri = text.trim_end_matches('/').parse()?;
        let at = uri.authority().map(ToString::to_string).unwrap_or_default();
        let is_plain = uri.scheme_str().is_none_or(|scheme| scheme == "http");
        if !is_plain || at.is_empty() || !matches!(uri.path(), "" | "/") {
            return Err(format!("--server {text}: give http://host:port").into());
        }
        let at = if uri.port().is_some() { at } else { format!("{at}:4318") };
        let token = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}")));
        Ok(Self { at, token: token.transpose()? })
    }
}

impl Ask {
    /// Returns the answer to a question, or what the answer says is wrong.
    pub async fn get(&self, path: &str, parameters: &[Parameter]) -> Result<Value, String> {
        let mut url = path.to_owned();
        for (at, (name, value)) in parameters.iter().enumerate() {
            url += if at == 0 { "?" } else { "&" };
            url += &format!("{}={}", escaped(name), escaped(value));
        }
        let asked = tokio::time::timeout(PATIENCE, self.send(&url)).await;
        let (status, bytes) = asked
            .unwrap_or_else(|_| Err(format!("no answer after {PATIENCE:?}").into()))
            .map_err(|error| match self {
                Self::Server(server) => format!(
                    "{}: {error}; is `slipring serve` running there? Give its address by --server",
                    server.at
                ),
                Self::Here(_) => error.to_string(),
            })?;
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|_| format!("the answer is not JSON (status {status})"))?;
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let wrong = answer["error"].as_str().map(ToOwned::to_owned);
        Err(wrong.unwrap_or_else(|| format!("the answer has status {status}")))
    }

    async fn send(&self, url: &str) -> Fallible<(StatusCode, Vec<u8>)> {
        let request = Request::get(url).header(header::ACCEPT, "application/json");
        match self {
            Self::Here(routes) => {
                let request = request.header(header::HOST, "localhost").body(Body::empty())?;
                let Ok(answer) = routes.clone().oneshot(request).await;
                let (head, body) = answer.into_parts();
                Ok((head.status, body.collect().await?.to_bytes().to_vec()))
            }
            Self::Server(server) => {
                let mut request = request.header(header::HOST, &server.at);
                if let Some(token) = &server.token {
                    request = request.header(header::AUTHORIZATION, token);
                }
                let stream = TcpStream::connect(&server.at).await?;
                let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                let answer = sender.send_request(request.body(Body::empty())?).await?;
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, MOST).collect().await?;
                Ok((head.status, body.to_bytes().to_vec()))
            }
        }
    }
}

/// Returns the text with every character escaped that has a meaning in a URL.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                escaped.push(char::from(byte));
            }
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}
