//! Asks questions of the query API: of a running server over HTTP, or of stores in this process by
//! way of the same routes.

mod address;
mod error;
mod events;

pub use address::Address;
pub use error::ClientError;
pub use events::{Event, Events};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::Value;
use slipring::Telemetry;
use std::time::Duration;
use tower::ServiceExt;

/// How long a server may take to connect, and to begin its answer.
const CONNECTING: Duration = Duration::from_secs(5);
const ANSWERING: Duration = Duration::from_secs(60);

/// Bytes of the longest answer that is read: of 10,000 records of some size.
const LONGEST: usize = 1 << 30;

/// Names and values of a question's parameters. A name may occur several times.
pub type Parameters = Vec<(String, String)>;

/// Asks questions. A clone shares the connection.
#[derive(Clone)]
pub struct Client(Via);

#[derive(Clone)]
enum Via {
    Server(Box<Server>),
    Here(Router),
}

#[derive(Clone)]
struct Server {
    http: Http<HttpConnector, Body>,
    address: Address,
    token: Option<HeaderValue>,
}

impl Client {
    /// Asks the server at an address. `token` is sent along, if it has one.
    ///
    /// # Errors
    /// Returns an error if the token cannot stand in a header. Whether there is a server is found
    /// out by the first question.
    pub fn of_server(address: Address, token: Option<&str>) -> Result<Self, ClientError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECTING));
        let http = Http::builder(TokioExecutor::new()).build(connector);
        let bearer = |token: &str| {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let token = token.filter(|token| !token.is_empty()).map(bearer).transpose()?;
        Ok(Self(Via::Server(Box::new(Server { http, address, token }))))
    }

    /// Asks the stores of this process.
    pub fn of_stores(telemetry: Telemetry) -> Self {
        Self(Via::Here(crate::serve::over_http(telemetry)))
    }

    /// Returns a question's answer in its shape: one of [`answer`](crate::answer), or any JSON.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &Parameters,
    ) -> Result<T, ClientError> {
        let bytes = self.bytes(path, parameters).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::NoAnswer(error.to_string()))
    }

    /// Returns an answer's body.
    pub async fn bytes(&self, path: &str, parameters: &Parameters) -> Result<Bytes, ClientError> {
        let body = Limited::new(self.stream(path, parameters).await?, LONGEST).collect();
        let whole = tokio::time::timeout(ANSWERING, body).await.map_err(|_| ClientError::Slow)?;
        Ok(whole.map_err(|error| ClientError::Broken(error.to_string()))?.to_bytes())
    }

    /// Returns an answer's body, to be read as it comes.
    pub async fn stream(&self, path: &str, parameters: &Parameters) -> Result<Body, ClientError> {
        let target = target(path, parameters);
        let question = self.send(&target);
        let answer =
            tokio::time::timeout(ANSWERING, question).await.map_err(|_| ClientError::Slow)??;
        let (head, body) = answer.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let body = Limited::new(body, 1 << 16).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let told = serde_json::from_slice::<Value>(&body).ok();
        let told = told.as_ref().and_then(|told| told["error"].as_str());
        Err(ClientError::Refused {
            status: head.status,
            what: told.map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned),
        })
    }

    /// Follows what comes in, as server-sent events.
    pub async fn events(&self, path: &str, parameters: &Parameters) -> Result<Events, ClientError> {
        Ok(Events::of(self.stream(path, parameters).await?))
    }

    async fn send(&self, target: &str) -> Result<Response<Body>, ClientError> {
        let request = |uri: String| {
            Request::get(uri)
                .body(Body::empty())
                .map_err(|error| ClientError::Question(error.to_string()))
        };
        match &self.0 {
            Via::Here(routes) => {
                let request = request(format!("http://localhost{target}"))?;
                let answer = routes.clone().oneshot(request).await;
                Ok(answer.unwrap_or_else(|never| match never {}))
            }
            Via::Server(server) => {
                let Server { http, address, token } = &**server;
                let mut request = request(format!("http://{}{target}", address.authority()))?;
                if let Some(token) = token {
                    request.headers_mut().insert(header::AUTHORIZATION, token.clone());
                }
                let answer = http.request(request).await;
                let answer = answer.map_err(|error| ClientError::unreached(address, &error))?;
                Ok(answer.map(Body::new))
            }
        }
    }
}

/// Returns a path with its parameters, escaped.
fn target(path: &str, parameters: &Parameters) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::LogRecord;

    #[tokio::test]
    async fn stores_of_this_process_are_asked_by_the_same_routes() {
        let telemetry = Telemetry::builder().build().unwrap();
        telemetry.logs().push(LogRecord::builder().body("a&b=c d").build()).unwrap();
        let client = Client::of_stores(telemetry);
        let body = |body: &str| vec![("body".to_owned(), body.to_owned())];
        for (text, count) in [("a&b=c d", 1), ("a", 0), ("a*", 1)] {
            let answer: Value = client.get("/api/count/logs", &body(text)).await.unwrap();
            assert_eq!(answer["count"], count, "{text}");
        }
        let unknown = vec![("x".to_owned(), String::new())];
        let wrong = client.get::<Value>("/api/count/logs", &unknown).await;
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.contains("there is no parameter x"), "{wrong}");
        assert!(client.get::<Value>("/api/nothing", &Vec::new()).await.is_err());
    }

    #[test]
    fn parameters_are_escaped() {
        let parameters =
            [("attribute", "a>=5&b"), ("service~", "é*")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(
            target("/api/spans", &parameters.into()),
            "/api/spans?attribute=a%3E%3D5%26b&service%7E=%C3%A9*"
        );
    }
}
