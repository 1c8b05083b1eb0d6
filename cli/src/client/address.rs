//! Where a server is.

use axum::http::Uri;
use std::fmt;
use std::str::FromStr;

/// The port where `serve` answers questions unless told otherwise.
const PORT: u16 = 4318;

/// The address of a server: `http://127.0.0.1:4318`, `host:port`, `host`, or a port of this
/// machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Returns host and port.
    pub fn authority(&self) -> &str {
        &self.0
    }
}

impl Default for Address {
    fn default() -> Self {
        Self(format!("127.0.0.1:{PORT}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give an address such as http://127.0.0.1:4318".to_owned();
        let text = text.trim();
        if text.starts_with("https://") {
            return Err("TLS is not spoken here; give http:// and an address that is reached \
                        without it, such as that of this machine"
                .to_owned());
        }
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        if let Ok(port) = rest.trim_start_matches(':').parse::<u16>() {
            return Ok(Self(format!("127.0.0.1:{port}")));
        }
        let uri: Uri = format!("http://{rest}/").parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.path() == "/" && uri.query().is_none());
        let authority = authority.filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(wrong)?;
        Ok(match authority.port_u16() {
            Some(_) => Self(authority.to_string()),
            None => Self(format!("{}:{PORT}", authority.host())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for (text, address) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("http://localhost:99/", "http://localhost:99"),
            ("example.com", "http://example.com:4318"),
            (":80", "http://127.0.0.1:80"),
            ("4000", "http://127.0.0.1:4000"),
            ("[::1]:4318", "http://[::1]:4318"),
            ("[::1]", "http://[::1]:4318"),
        ] {
            assert_eq!(read(text), Ok(address.to_owned()), "{text}");
        }
        for wrong in ["", "http://", "a b", "http://a/b", "http://u@h", "ftp://x", "http://a?b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("https://x").unwrap_err().contains("TLS"));
    }
}
