//! TLS: the server's certificate, which can be replaced while it runs, and the handshake.

use super::peer::Peer;
use super::socket::Socket;
use crate::Fallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    ClientConfig, DEFAULT_VERSIONS, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::server::TlsStream;

/// The certificate with its key, and the files that they come from.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    held: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads a certificate (or a chain, the server's own first) and its key, both in PEM.
    pub fn read(chain: &Path, key: &Path) -> Fallible<Arc<Self>> {
        let held = RwLock::new(read(chain, key)?);
        Ok(Arc::new(Self { chain: chain.to_owned(), key: key.to_owned(), held }))
    }

    /// Reads the files again: for handshakes from now on. Keeps the certificate of before where
    /// that fails.
    pub fn reload(&self) -> Fallible<()> {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = read(&self.chain, &self.key)?;
        Ok(())
    }

    /// Returns the server's side of handshakes.
    pub fn acceptor(self: &Arc<Self>) -> Fallible<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(DEFAULT_VERSIONS)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Returns the certificates of a file in PEM, at least one.
pub fn certificates(file: &Path) -> Fallible<Vec<CertificateDer<'static>>> {
    let wrong = |what: &dyn std::fmt::Display| format!("--tls-cert {}: {what}", file.display());
    let text = std::fs::read(file).map_err(|error| wrong(&error))?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(&error))?;
    if chain.is_empty() {
        return Err(wrong(&"there is no certificate in PEM in it").into());
    }
    Ok(chain)
}

fn read(chain: &Path, key: &Path) -> Fallible<Arc<CertifiedKey>> {
    let certificates = certificates(chain)?;
    let wrong = |what: &dyn std::fmt::Display| format!("--tls-key {}: {what}", key.display());
    let text = std::fs::read(key).map_err(|error| wrong(&error))?;
    let read = PrivateKeyDer::from_pem_slice(&text);
    let read = read.map_err(|error| wrong(&format!("no private key in PEM: {error}")))?;
    let held = CertifiedKey::from_der(certificates, read, &ring::default_provider());
    let held = held.map_err(|error| wrong(&format!("with {}: {error}", chain.display())))?;
    Ok(Arc::new(held))
}

/// Takes a connection through its handshake, within the time that a request has. Returns the
/// stream, or else what is wrong with the peer's side, if anything is.
pub async fn greet(
    acceptor: &TlsAcceptor,
    socket: &Socket,
    peer: &Peer,
    timeout: Duration,
    stopped: &mut watch::Receiver<bool>,
) -> Result<TlsStream<Socket>, Option<String>> {
    let handshake = tokio::time::timeout(timeout, acceptor.accept(socket.clone()));
    let mut handshake = std::pin::pin!(handshake);
    loop {
        tokio::select! {
            greeted = handshake.as_mut() => return match greeted {
                Ok(Ok(stream)) => Ok(stream),
                // It has gone, or never said anything: as a port scanner and a load balancer do.
                Ok(Err(error)) if error.kind() != std::io::ErrorKind::InvalidData => Err(None),
                Ok(Err(error)) => Err(Some(error.to_string())),
                Err(_) => Err(None),
            },
            () = peer.asked_to_leave() => {
                if !socket.has_unread() && peer.idle_since().is_some_and(|since| since <= std::time::Instant::now()) {
                    return Err(None);
                }
                peer.stay();
            }
            _ = stopped.wait_for(|stopped| *stopped) => return Err(None),
        }
    }
}

/// Trusts one certificate: that of a server which runs beside. Its name does not matter, since
/// nobody else has its key.
#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Returns the client's side of handshakes with the server that has the first certificate of a
/// file.
pub fn only_to(file: &Path) -> Fallible<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let only = Only { certificate: certificates(file)?.swap_remove(0), algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(DEFAULT_VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(only))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("the server shows another certificate".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
