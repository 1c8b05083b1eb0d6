//! A client over TLS that trusts one certificate, made for the test.

use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};
use tonic::transport::{Channel, Endpoint, Uri};

/// A certificate of its own and its key.
#[derive(Clone)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
    trusted: CertificateDer<'static>,
}

impl Files {
    /// Makes a certificate for this machine in a folder.
    pub fn make(folder: &Path) -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self::of(folder)
    }

    /// The certificate that is in a folder.
    pub fn of(folder: &Path) -> Self {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
        let trusted = CertificateDer::from_pem_file(&cert).unwrap();
        Self { cert, key, trusted }
    }

    pub fn arguments(&self) -> [&str; 4] {
        let [cert, key] = [&self.cert, &self.key].map(|file| file.to_str().unwrap());
        ["--tls-cert", cert, "--tls-key", key]
    }
}

/// Connects, and offers these protocols.
pub async fn over_tls(
    port: SocketAddr,
    files: &Files,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(files.trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(port).await?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Asks in a version of HTTP; the answer's status.
pub async fn get(port: SocketAddr, files: &Files, version: &str, path: &str) -> u16 {
    let stream = TokioIo::new(over_tls(port, files, &[version]).await.unwrap());
    let request = Request::get(format!("https://localhost{path}")).header("host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    let answer = if version == "h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    answer.unwrap().status().as_u16()
}

/// A channel of gRPC.
pub async fn channel(port: SocketAddr, files: &Files) -> Channel {
    let files = files.clone();
    let connect = tower::service_fn(move |_: Uri| {
        let files = files.clone();
        async move { over_tls(port, &files, &["h2"]).await.map(TokioIo::new) }
    });
    // The connector itself speaks TLS.
    Endpoint::from_static("http://localhost").connect_with_connector(connect).await.unwrap()
}
