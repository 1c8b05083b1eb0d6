//! `slipring mcp`: the questions as tools for agents, over the Model Context Protocol.

mod http;
mod moments;
mod parameters;
mod short;
mod tools;

use crate::client::Address;
use crate::terminal;
use crate::{End, Fallible};
use clap::Args;
use rmcp::ServiceExt;
use rmcp::transport::stdio;
use std::net::SocketAddr;
use std::path::PathBuf;
use tools::Tools;

/// Serves the questions to agents as tools of the Model Context Protocol: over standard input and
/// output, or over HTTP.
///
/// Asks a running `slipring serve`, or files. Nothing that it does changes the stores.
#[derive(Debug, Args)]
#[command(after_long_help = concat!(
    "To set it up, an agent's configuration names the command, such as\n\n  \
     {\"mcpServers\": {\"slipring\": {\"command\": \"slipring\", \"args\": [\"mcp\"]}}}\n\n\
     This is what agents are told:\n\n", include_str!("instructions.md")))]
pub struct Arguments {
    /// The server that is asked: http://host:port, or a port of this machine. The variable
    /// SLIPRING_TOKEN has its token
    #[arg(long, env = "SLIPRING_SERVER", default_value_t, value_name = "ADDRESS")]
    server: Address,
    /// Asks a file instead of a server, as `replay` reads it; several times for several files
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Speaks streamable HTTP at this address of this machine, under /mcp, instead of standard
    /// input and output
    #[arg(long, value_name = "ADDRESS", value_parser = crate::receive::address::mcp)]
    http: Option<SocketAddr>,
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    // Standard output belongs to the protocol.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn"))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let token =
        std::env::var(crate::receive::token::VARIABLE).ok().filter(|token| !token.is_empty());
    let (client, end) = terminal::client_of(&arguments.server, token.as_deref(), &arguments.file)?;
    let tools = Tools::new(client);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.http {
            Some(address) => http::serve(tools, address).await,
            None => {
                tools.serve(stdio()).await?.waiting().await?;
                Ok(())
            }
        }
    })?;
    runtime.shutdown_background();
    Ok(end)
}
