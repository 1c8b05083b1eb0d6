//! TLS towards a backend.

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, DEFAULT_VERSIONS, Error,
    InvalidMessage, RootCertStore,
};
use std::fmt;
use std::sync::Arc;

/// Which certificates of backends are trusted, and what a backend is shown. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// Where a [`Tls`] is made from.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct TlsSettings {
    /// Certificates in PEM that may have signed the backend's, or are the backend's own. `None`
    /// trusts those that this machine trusts.
    pub roots: Option<Vec<u8>>,
    /// A certificate that the backend may ask for: its chain, and its key, both in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why there can be no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// This machine trusts nobody.
    #[error("no certificates were found that this machine trusts{0}; give roots")]
    NoPlatformRoots(String),
    /// The roots are none.
    #[error("{0}")]
    Roots(String),
    /// The client's certificate is none.
    #[error("{0}")]
    Chain(String),
    /// The client's key is none, or does not belong to the certificate.
    #[error("{0}")]
    Key(String),
}

impl Tls {
    /// Reads certificates and keys.
    ///
    /// ```no_run
    /// use slipring_sampling::forward::{ForwardSettings, Tls, TlsSettings};
    ///
    /// let mut settings = ForwardSettings::to("grpcs://backend:4317".parse()?);
    /// let mut tls = TlsSettings::default();
    /// tls.roots = Some(std::fs::read("ca.pem")?);
    /// settings.tls = Some(Tls::new(&tls)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TlsError`] says which part is wrong.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let roots = match &settings.roots {
            Some(pem) => given_roots(pem)?,
            None => platform_roots()?,
        };
        let config = trusting(roots);
        let Some((chain, key)) = &settings.identity else {
            return Ok(Self(Arc::new(config.with_no_client_auth())));
        };
        let chain = certificates(chain).map_err(TlsError::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsError::Key(format!("no private key in PEM: {error}")))?;
        let config = config.with_client_auth_cert(chain, key);
        let config = config.map_err(|error| TlsError::Key(error.to_string()))?;
        Ok(Self(Arc::new(config)))
    }

    /// Trusts nobody: for addresses without TLS.
    pub(super) fn without_roots() -> Self {
        Self(Arc::new(trusting(RootCertStore::empty()).with_no_client_auth()))
    }

    /// Returns the configuration for a protocol on top.
    pub(super) fn speaking(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .expect("ring has suites for both versions")
        .with_root_certificates(roots)
}

fn given_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).map_err(TlsError::Roots)? {
        roots.add(certificate).map_err(|error| TlsError::Roots(error.to_string()))?;
    }
    Ok(roots)
}

fn platform_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some machines have certificates that are of no use.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(TlsError::NoPlatformRoots(why));
    }
    Ok(roots)
}

/// Reads certificates, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| error.to_string())?;
    if read.is_empty() {
        return Err("there is no certificate in PEM in it".to_owned());
    }
    Ok(read)
}

/// Says what to do about a handshake that failed, if that is known.
pub(super) fn advice(error: &Error) -> Option<String> {
    use CertificateError::{BadSignature, NotValidForName, NotValidForNameContext, UnknownIssuer};

    let told = match error {
        // An issuer of the same name may have another key.
        Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "nobody who is trusted has signed its certificate; trust who has, as by --to-ca"
        }
        Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "write the address with a name that its certificate has"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "if that port speaks no TLS, write http:// or grpc://"
        }
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "gRPC takes HTTP/2, which that port does not speak"
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => "the backend may want a certificate of this program, as by --to-cert and --to-key",
        _ => return None,
    };
    Some(told.to_owned())
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Shows no key.
impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (has_roots, has_identity) = (self.roots.is_some(), self.identity.is_some());
        let mut shown = f.debug_struct("TlsSettings");
        shown.field("has_roots", &has_roots).field("has_identity", &has_identity).finish()
    }
}
