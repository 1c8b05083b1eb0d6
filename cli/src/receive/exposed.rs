//! Keeps the server from listening beyond this machine without a lock on its door.

use std::net::SocketAddr;

/// What guards the server.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    pub token: bool,
    pub tls: bool,
    /// The user knows that there is neither.
    pub insecure: bool,
}

fn is_open_to_others(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Returns the error for an address that other machines reach though nothing guards it.
pub fn check(addresses: &[(&str, SocketAddr)], guards: Guards) -> Result<(), String> {
    if guards.token || guards.tls || guards.insecure {
        return Ok(());
    }
    let Some((flag, address)) = addresses.iter().find(|(_, one)| is_open_to_others(*one)) else {
        return Ok(());
    };
    Err(format!(
        "{flag} {address} is reached from other machines, and whoever reaches it can read and send everything; give \
         a token (SLIPRING_TOKEN=… or --token-file FILE), or TLS (--tls-cert FILE --tls-key FILE), or both; or \
         --insecure, if a proxy or a network of its own keeps strangers away"
    ))
}

/// Warns of what still can be done from other machines.
pub fn warn(addresses: &[SocketAddr], guards: Guards) {
    if !addresses.iter().copied().any(is_open_to_others) {
        return;
    }
    match (guards.token, guards.tls) {
        (true, true) => {}
        (true, false) => tracing::warn!(
            "there is a token but no TLS: who can listen on the network reads the token, and all telemetry"
        ),
        (false, true) => tracing::warn!(
            "there is TLS but no token: whoever reaches the ports can read and send everything"
        ),
        (false, false) => {
            tracing::warn!("--insecure: whoever reaches the ports can read and send everything")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_guard() {
        let none = Guards { token: false, tls: false, insecure: false };
        let check = |http: &str, guards| {
            let [grpc, http] = ["127.0.0.1:1", http].map(|text| text.parse().unwrap());
            check(&[("--grpc", grpc), ("--http", http)], guards)
        };
        for loopback in ["127.0.0.1:2", "127.8.8.8:2", "[::1]:2", "[::ffff:127.0.0.1]:2"] {
            assert_eq!(check(loopback, none), Ok(()), "{loopback}");
        }
        for open in ["0.0.0.0:2", "[::]:2", "192.168.1.7:2", "[fe80::1]:2", "[::ffff:10.0.0.1]:2"] {
            let wrong = check(open, none).unwrap_err();
            let said = [&format!("--http {open}"), "SLIPRING_TOKEN", "--tls-cert", "--insecure"]
                .map(|word: &str| wrong.contains(word));
            assert_eq!(said, [true; 4], "{wrong}");
            for guards in [
                Guards { token: true, ..none },
                Guards { tls: true, ..none },
                Guards { insecure: true, ..none },
            ] {
                assert_eq!(check(open, guards), Ok(()), "{guards:?}");
            }
        }
    }
}
