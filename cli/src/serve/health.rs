//! `slipring health`: asks a server of this machine whether it takes requests.

use crate::receive::{address, tls};
use crate::{End, Fallible, units};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use clap::Args;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Asks a running `serve` or `sample` whether it takes requests: exit status 0 if it does, and 1 if not.
///
/// Made for the health checks of containers, which have no curl. It reads the same variables as
/// `serve`. It needs no token.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the server answers questions: what was given to `serve --http`
    #[arg(long, env = "SLIPRING_HTTP", default_value = "127.0.0.1:4318", value_name = "ADDRESS", value_parser = address::http)]
    http: SocketAddr,
    /// The certificate that was given to `serve --tls-cert`; the server has to show this one
    #[arg(long, env = "SLIPRING_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Seconds that the answer may take
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = units::seconds)]
    timeout: Duration,
}

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = reached(arguments.http);
    let asked = runtime
        .block_on(async { tokio::time::timeout(arguments.timeout, ask(arguments, address)).await });
    let wrong = match asked {
        Ok(Ok(StatusCode::OK)) => return Ok(End::Well),
        Ok(Ok(status)) => format!("the answer is {status}"),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer after {:?}", arguments.timeout),
    };
    eprintln!("slipring: {address} is not ready: {}", crate::text::printable(&wrong));
    Ok(End::WithProblems)
}

/// Returns the address of this machine under which a server on all addresses is reached.
fn reached(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn ask(arguments: &Arguments, address: SocketAddr) -> Fallible<StatusCode> {
    let stream = TcpStream::connect(address).await?;
    let Some(certificate) = &arguments.tls_cert else { return ask_over(stream).await };
    let connector = TlsConnector::from(tls::only_to(certificate)?);
    ask_over(connector.connect(ServerName::from(address.ip()), stream).await?).await
}

async fn ask_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Fallible<StatusCode> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz").header(header::HOST, "localhost").body(Body::empty())?;
    Ok(sender.send_request(request).await?.status())
}
