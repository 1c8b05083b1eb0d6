//! The options of programs that take requests.

use super::guard::{Guard, Guarding};
use super::intake::Bounds;
use super::{address, door, listen};
use crate::{Fallible, units};
use clap::Args;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where requests are taken, from whom, and within which limits.
#[derive(Debug, Args)]
pub struct Receiving {
    /// Where OTLP/gRPC is taken: host:port, or a port of this machine; `:4317` is that port on all
    /// its addresses
    #[arg(long, env = "SLIPRING_GRPC", default_value = "127.0.0.1:4317", value_name = "ADDRESS", value_parser = address::grpc)]
    pub grpc: SocketAddr,
    /// Where OTLP/HTTP is taken and questions are answered
    #[arg(long, env = "SLIPRING_HTTP", default_value = "127.0.0.1:4318", value_name = "ADDRESS", value_parser = address::http)]
    pub http: SocketAddr,
    /// Origins whose pages may send and ask, such as https://ui.example.com; `loopback` for all
    /// pages of this machine
    #[arg(long, env = "SLIPRING_CORS", value_name = "ORIGIN", value_delimiter = ',', num_args = 1.., value_parser = door::origin)]
    cors: Vec<String>,
    /// Names by which this server may be called over HTTP, beside addresses, localhost and names of
    /// local networks; others are refused, so that no foreign page reaches it under a name of its
    /// own. With `--cors`, all are taken
    #[arg(long, env = "SLIPRING_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    allow_host: Vec<String>,
    /// The largest request in bytes, packed or not
    #[arg(long, env = "SLIPRING_MAX_BODY", default_value = "16M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_body: usize,
    /// Bytes of requests that may be under way at once; beyond that, senders are asked to come back
    #[arg(long, env = "SLIPRING_MAX_IN_FLIGHT", default_value = "256M", value_name = "BYTES", value_parser = units::some_bytes)]
    max_in_flight: usize,
    /// Connections that may be open at once, on each port; further ones take the places of those
    /// that are idle, or wait
    #[arg(long, env = "SLIPRING_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Seconds in which a sender has to finish its request
    #[arg(long, env = "SLIPRING_TIMEOUT", default_value = "10", value_name = "SECONDS", value_parser = units::seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    guarding: Guarding,
}

impl Receiving {
    /// Reads what guards the ports, and checks that something does where other machines reach them,
    /// and that the limits allow for a request. `further` has the flags and addresses of further
    /// ports.
    pub fn guard(&self, further: &[(&str, SocketAddr)]) -> Fallible<Guard> {
        let guard = Guard::find(&self.guarding)?;
        guard.check(&[&[("--grpc", self.grpc), ("--http", self.http)], further].concat())?;
        if self.max_in_flight < self.max_body {
            let (body, all) = (self.max_body, self.max_in_flight);
            return Err(format!(
                "--max-in-flight {all} leaves no room for one request of --max-body {body}"
            )
            .into());
        }
        Ok(guard)
    }

    pub fn access(&self, guard: &Guard) -> door::Access {
        door::Access {
            cors: self.cors.clone(),
            hosts: self.allow_host.clone(),
            token: guard.token.as_ref().map(Arc::clone),
        }
    }

    pub fn bounds(&self) -> Bounds {
        let (max_body, max_in_flight, timeout) = (self.max_body, self.max_in_flight, self.timeout);
        Bounds { max_body, max_in_flight, timeout }
    }

    pub fn limits(&self) -> listen::Limits {
        listen::Limits { connections: self.max_connections, timeout: self.timeout }
    }

    /// Asks the system for as many open files as the connections may take, and warns where it
    /// allows fewer. `further` is the number of further ports.
    pub fn allow_files(&self, further: usize) {
        // Connections of all listeners, and 128 for other open files.
        let wanted = (2 + further as u64) * u64::from(self.max_connections) + 128;
        let allowed = open_files(wanted);
        if (1..wanted).contains(&allowed) {
            tracing::warn!(
                "the system allows {allowed} open files; {wanted} would be needed for --max-connections on each port"
            );
        }
    }
}

/// Allows this process so many open files, if the system lets it. Returns how many it allows; 0
/// where that is not known.
#[cfg(unix)]
fn open_files(wanted: u64) -> u64 {
    rlimit::increase_nofile_limit(wanted).unwrap_or(0)
}

#[cfg(not(unix))]
fn open_files(_: u64) -> u64 {
    0
}
