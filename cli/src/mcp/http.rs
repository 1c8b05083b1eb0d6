//! Streamable HTTP, on this machine only.

use super::tools::Tools;
use crate::Fallible;
use crate::receive::listen;
use crate::receive::signals::{Asked, Signals};
use axum::Router;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Bytes of the longest request.
const MAX_BODY: usize = 64 << 10;

const LIMITS: listen::Limits = listen::Limits { connections: 64, timeout: Duration::from_secs(60) };

/// Serves until a signal stops it. Sessions are not kept: each request stands for itself.
pub async fn serve(tools: Tools, address: SocketAddr) -> Fallible<()> {
    if !address.ip().to_canonical().is_loopback() {
        let what = format!(
            "--http {address}: agents are served on this machine only, such as 127.0.0.1:4320; put a proxy with \
             authentication before it for others"
        );
        return Err(what.into());
    }
    let mut signals = Signals::listen(false)?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| format!("--http {address}: {error}"))?;
    // Foreign host names are refused by default; so are pages of any origin.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        .enforce_origin_validation();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(tools.clone()), sessions, config);
    let routes = Router::new().nest_service("/mcp", service);
    eprintln!("slipring: agents are served at http://{}/mcp", listener.local_addr()?);
    let (stop, stopped) = watch::channel(false);
    let tell = |_, wrong| tracing::warn!("{wrong}");
    let server = tokio::spawn(listen::run(listener, routes, LIMITS, tell, stopped));
    while let Asked::Reload = signals.next().await {}
    let _ = stop.send(true);
    server.await?;
    Ok(())
}
