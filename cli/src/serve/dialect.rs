//! Query APIs of other systems, so that their tools read from these stores. Each has a port of its
//! own, off unless asked for, with the same rules for hosts, CORS, tokens, TLS and addresses beyond
//! this machine as the other ports.
//!
//! A further one takes a flag in [`Dialects`], a row in [`Dialects::asked_for`], and a module that
//! returns its routes, as `jaeger` does.

use super::app::App;
use super::jaeger;
use crate::receive::address;
use axum::Router;
use clap::Args;
use std::net::SocketAddr;
use std::sync::Arc;

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
