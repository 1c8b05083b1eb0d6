//! Where a backend is.

use hyper::Uri;
use std::fmt;
use std::str::FromStr;

/// A backend's address: `grpc://host:4317`, or `http://host:4318` with or without a path; without
/// one it is the protocol's `/v1/traces`. Over TLS it is `grpcs://` or `https://`, which takes
/// [`ForwardSettings::tls`](super::ForwardSettings::tls).
///
/// ```
/// use slipring_sampling::forward::Endpoint;
///
/// assert!("grpc://localhost:4317".parse::<Endpoint>().is_ok());
/// assert!("http://localhost:4318".parse::<Endpoint>().is_ok());
/// assert!("https://localhost:4318".parse::<Endpoint>().is_ok_and(|to| to.is_tls()));
/// assert!("localhost:4318".parse::<Endpoint>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    is_grpc: bool,
}

/// Why a text is no [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no backend's address: {why}; write grpc://host:4317, or http://host:4318 with or without a path, \
     and over TLS grpcs:// or https://"
)]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| EndpointError { text: text.to_owned(), why };
        let (is_grpc, scheme, rest) = match text.split_once("://") {
            Some(("grpc", rest)) => (true, "http", rest),
            Some(("grpcs", rest)) => (true, "https", rest),
            Some(("http", rest)) => (false, "http", rest),
            Some(("https", rest)) => (false, "https", rest),
            _ => {
                return Err(wrong(
                    "it begins with none of grpc://, grpcs://, http:// and https://",
                ));
            }
        };
        if rest.contains(['@', '?', '#']) {
            // What it has more may be a password.
            let why = "it has more than a host, a port and a path";
            let text = format!("{}://…", text.split("://").next().unwrap_or_default());
            return Err(EndpointError { text, why });
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if is_grpc && !path.is_empty() {
            return Err(wrong("gRPC has no path"));
        }
        let path = if path.is_empty() { "v1/traces" } else { path };
        let path = if is_grpc { String::new() } else { format!("/{path}") };
        let whole = format!("{scheme}://{host}{path}");
        let uri: Uri = whole.parse().map_err(|_| wrong("it has no valid host and port"))?;
        if host.is_empty() || uri.host().is_none_or(str::is_empty) {
            return Err(wrong("the host is missing"));
        }
        if uri.port_u16().is_none() {
            // A port that is none is read as well.
            if uri.authority().map(|authority| authority.as_str()) != uri.host() {
                return Err(wrong("it has no valid host and port"));
            }
            if is_grpc {
                return Err(wrong("the port is missing"));
            }
        }
        Ok(Self { uri, is_grpc })
    }
}

impl Endpoint {
    /// Returns the host: a name, or an address, of which one of IPv6 stands in brackets.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Returns the port: 80 for HTTP if the address has none, and 443 over TLS.
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// Returns whether the backend is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// Displays the address as it can be read again.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_grpc, self.uri.authority()) {
            (true, Some(authority)) if self.is_tls() => write!(f, "grpcs://{authority}"),
            (true, Some(authority)) => write!(f, "grpc://{authority}"),
            _ => write!(f, "{}", self.uri),
        }
    }
}
