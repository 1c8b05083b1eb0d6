//! Query APIs of other systems, so that their tools read from these stores. Each has a port of its
//! own, off unless asked for, with the same rules for hosts, CORS, tokens, TLS and addresses beyond
//! this machine as the other ports.
//!
//! A further one takes a flag in [`Dialects`], a row in [`Dialects::asked_for`], and a module that
//! returns its routes, as `jaeger` does.

use super::app::App;
use super::{address, jaeger, listen};
use axum::Router;
use clap::Args;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Which of them are served, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Query APIs of other systems")]
pub struct Dialects {
    /// Where Jaeger's query API is answered, for Jaeger UI and Grafana; by convention on port 16686
    #[arg(long, env = "SLIPRING_JAEGER", value_name = "ADDRESS", value_parser = address::jaeger)]
    jaeger: Option<SocketAddr>,
}

/// A query API of another system.
pub struct Dialect {
    /// What it is, for messages.
    pub name: &'static str,
    /// The flag that asked for it.
    pub flag: &'static str,
    pub address: SocketAddr,
    pub routes: fn() -> Router<Arc<App>>,
}

impl Dialects {
    /// Returns those that were asked for.
    pub fn asked_for(&self) -> Vec<Dialect> {
        let jaeger = self.jaeger.map(|address| Dialect {
            name: "Jaeger's query API",
            flag: "--jaeger",
            address,
            routes: jaeger::routes,
        });
        jaeger.into_iter().collect()
    }
}

/// A dialect whose port is bound.
pub struct Bound {
    pub port: listen::Port,
    pub at: SocketAddr,
    pub routes: Router<Arc<App>>,
}

impl Dialect {
    /// Binds its port.
    pub async fn bind(&self, tls: Option<TlsAcceptor>) -> Result<Bound, String> {
        let wrong = |error: std::io::Error| format!("{} on {}: {error}", self.name, self.address);
        let listener = TcpListener::bind(self.address).await.map_err(wrong)?;
        let at = listener.local_addr().map_err(wrong)?;
        Ok(Bound { port: listen::Port { listener, tls }, at, routes: (self.routes)() })
    }
}
