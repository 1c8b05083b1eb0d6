//! The routes of the HTTP port, with access control (host names, CORS and the token) and normalization
//! of paths.

use super::intake::Intake;
use super::refusal::Refusal;
use super::token::{Token, only_bearers};
use super::warnings::From;
use super::{otlp, own};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The options that control who may send requests.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Origins whose pages may send requests; `loopback` stands for those of this machine.
    pub cors: Vec<String>,
    /// Names by which this server may be called.
    pub hosts: Vec<String>,
    /// What every request has to carry.
    pub token: Option<Arc<Token>>,
}

/// Domains that nobody can register, so that no foreign page can be served from them.
const OURS: [&str; 8] = [
    "localhost",
    "local",
    "internal",
    "test",
    "home.arpa",
    "svc",
    "svc.cluster.local",
    "host.docker.internal",
];

/// Returns the routes of the HTTP port: OTLP's paths, those that tell whether the program runs, and
/// what else it answers.
pub fn routes(intake: Arc<Intake>, others: Router<Arc<Intake>>) -> Router {
    let routes = Router::new()
        .merge(otlp::routes())
        .merge(own::routes())
        .merge(others)
        .fallback(own::not_found)
        .method_not_allowed_fallback(own::not_so);
    guarded(intake, routes)
}

/// Adds what guards a port: the rules for hosts, the token, and CORS.
pub fn guarded(intake: Arc<Intake>, routes: Router<Arc<Intake>>) -> Router {
    let access = intake.access.clone();
    let routes = routes
        .layer(from_fn_with_state(Arc::clone(&intake), only_bearers))
        .layer(from_fn_with_state(Arc::clone(&intake), only_ours))
        .with_state(intake);
    let routes = if access.cors.is_empty() { routes } else { routes.layer(cors(&access)) };
    // `tidy` must run before a route is chosen.
    Router::new().fallback_service(routes.into_service::<Body>().map_request(tidy))
}

/// Refuses requests that name a foreign host. Otherwise a page could have its own name resolve to
/// this server and then read the answers (DNS rebinding).
async fn only_ours(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    if !intake.access.cors.is_empty() {
        return next.run(request).await;
    }
    // Checks both the header and the URI: a legitimate request names no foreign host in either.
    let named =
        request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    let mut hosts = named.chain(request.uri().host()).map(without_port);
    if let Some(host) = hosts.find(|host| !is_ours(host, &intake.access.hosts)) {
        let what = format!(
            "this server is not {host:?}; call it by its address, or start it with --allow-host {host}"
        );
        let refusal = intake.refuse(Refusal::Foreign(what), request.extensions().get().copied());
        return (refusal.status(), Json(serde_json::json!({ "error": refusal.what() })))
            .into_response();
    }
    next.run(request).await
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|digit| digit.is_ascii_digit()) && !name.ends_with(':') =>
        {
            name
        }
        _ => host,
    }
}

fn is_ours(host: &str, allowed: &[String]) -> bool {
    let name = host
        .trim_end_matches('.')
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase();
    let is_address = name.parse::<IpAddr>().is_ok();
    // A name without a dot belongs to a local network.
    let is_local = !name.contains('.')
        || OURS.iter().any(|ours| name.strip_suffix(ours).is_some_and(ends_a_label));
    is_address || is_local || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

fn ends_a_label(rest: &str) -> bool {
    rest.is_empty() || rest.ends_with('.')
}

/// Returns the CORS layer that allows the configured origins.
fn cors(access: &Access) -> CorsLayer {
    let origins = access.cors.clone();
    let may = move |origin: &HeaderValue, _: &axum::http::request::Parts| {
        origin
            .to_str()
            .is_ok_and(|origin| origins.iter().any(|allowed| is_allowed(origin, allowed)))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(may))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .max_age(Duration::from_secs(600))
}

fn is_allowed(origin: &str, allowed: &str) -> bool {
    if allowed != "loopback" {
        return allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin);
    }
    let Some((_, host)) = origin.split_once("://") else { return false };
    let host = without_port(host).trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}

/// Parses the value of `--cors`.
pub fn origin(text: &str) -> Result<String, String> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        let rest = host.trim_end_matches('/');
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains('/')
    });
    if is_origin || matches!(text, "loopback" | "*") {
        return Ok(text.to_owned());
    }
    Err("give an origin such as https://ui.example.com, loopback for all pages of this machine, or *".to_owned())
}

/// Normalizes a request's path. Removes empty segments, and of several OTLP paths keeps the last:
/// senders concatenate them if their endpoint was set to one signal's path.
fn tidy(mut request: Request) -> Request {
    let path = request.uri().path();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let parts = match parts[..] {
        [
            "v1",
            "traces" | "logs" | "metrics",
            ..,
            "v1",
            signal @ ("traces" | "logs" | "metrics"),
        ] => vec!["v1", signal],
        _ => parts,
    };
    let tidied = format!("/{}", parts.join("/"));
    if tidied != path {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut uri = request.uri().clone().into_parts();
        uri.path_and_query = PathAndQuery::try_from(format!("{tidied}{query}")).ok();
        if let Ok(uri) = Uri::from_parts(uri) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Returns the address of a request's sender, if it is known.
pub fn sender(request: &axum::http::request::Parts) -> Option<From> {
    request.extensions.get().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_names_are_told_from_ours() {
        let allowed = ["slipring.example.com".to_owned()];
        let ours = [
            "localhost",
            "LOCALHOST.",
            "app.localhost",
            "127.0.0.1",
            "[::1]",
            "192.168.1.7",
            "slipring",
            "slipring.observability.svc",
            "slipring.observability.svc.cluster.local",
            "host.docker.internal",
            "printer.local",
            "Slipring.Example.com",
        ];
        assert!(ours.iter().all(|host| is_ours(host, &allowed)));
        let foreign = [
            "evil.example",
            "localhost.evil.example",
            "evillocal.com",
            "127.0.0.1.evil.example",
            "x.notlocalhost",
        ];
        assert!(!foreign.iter().any(|host| is_ours(host, &allowed)));
        assert_eq!(
            ["a:80", "a", "[::1]:80", "[::1]"].map(without_port),
            ["a", "a", "[::1]", "[::1]"]
        );
    }

    #[test]
    fn origins_are_allowed_as_they_are_or_by_a_word() {
        let loopback = [
            "http://localhost:3000",
            "http://127.0.0.1",
            "https://[::1]:8443",
            "http://ui.localhost",
        ];
        assert!(loopback.iter().all(|origin| is_allowed(origin, "loopback")));
        assert!(
            !["http://localhost.evil.example", "null", "http://10.0.0.1"]
                .iter()
                .any(|one| is_allowed(one, "loopback"))
        );
        assert!(is_allowed("https://ui.example.com", "https://ui.example.com/"));
        assert!(!is_allowed("https://ui.example.com:444", "https://ui.example.com"));
        assert!(is_allowed("null", "*"));
        assert!(origin("ui.example.com").is_err() && origin("https://ui.example.com/a").is_err());
    }

    #[test]
    fn sloppy_paths_are_tidied() {
        for (path, tidied) in [
            ("/v1/traces", "/v1/traces"),
            ("/v1/traces/", "/v1/traces"),
            ("//v1/traces", "/v1/traces"),
            ("/v1//traces/?a=b", "/v1/traces?a=b"),
            ("/v1/traces/v1/traces", "/v1/traces"),
            ("/v1/traces/v1/logs", "/v1/logs"),
            ("/", "/"),
            ("/api/traces/7/", "/api/traces/7"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(tidy(request).uri().to_string(), tidied, "{path}");
        }
    }
}
