//! Parses listening addresses as users write them.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

pub fn grpc(text: &str) -> Result<SocketAddr, String> {
    address(text, 4317)
}

pub fn http(text: &str) -> Result<SocketAddr, String> {
    address(text, 4318)
}

/// Parses where Jaeger's query API is served.
pub fn jaeger(text: &str) -> Result<SocketAddr, String> {
    address(text, 16_686)
}

/// Parses where agents are served.
pub fn mcp(text: &str) -> Result<SocketAddr, String> {
    address(text, 4320)
}

/// Parses `127.0.0.1:4318`, `localhost:4318`, `4318` (on the loopback address only) or `:4318` (on
/// all addresses).
fn address(text: &str, usual: u16) -> Result<SocketAddr, String> {
    let text = text.trim();
    // Accepts the URL that clients are configured with.
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()) {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let advice =
        format!("give host:port or a port, such as localhost:{usual}, 0.0.0.0:{usual} or {usual}");
    let host =
        text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let host = host.filter(|(host, _)| !host.is_empty() && !host.contains([':', '/', ' ']));
    // A host of digits and dots alone is an invalid address, even if a resolver accepts it.
    let is_name = |host: &str| host.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.');
    let Some(host) = host.filter(|(host, _)| is_name(host)) else { return Err(advice) };
    let found = host.to_socket_addrs().map_err(|error| format!("{}: {error}; {advice}", host.0))?;
    // Where a name such as localhost has several addresses, prefers IPv4, which most clients try.
    found.min_by_key(SocketAddr::is_ipv6).ok_or(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_many_ways() {
        for (text, expected) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("4318", "127.0.0.1:4318"),
            (":4318", "0.0.0.0:4318"),
            ("localhost:4318", "127.0.0.1:4318"),
            ("http://localhost:4318/", "127.0.0.1:4318"),
            ("[::1]:4318", "[::1]:4318"),
        ] {
            assert_eq!(
                http(text).map(|address| address.to_string()),
                Ok(expected.to_owned()),
                "{text}"
            );
        }
        for text in [
            "",
            ":",
            "70000",
            "localhost",
            "1.2.3.4",
            "::1",
            "localhost:x",
            "localhost:70000",
            "a b:1",
            "https://localhost:1",
        ] {
            assert!(http(text).unwrap_err().contains("localhost:4318"), "{text}");
        }
    }
}
