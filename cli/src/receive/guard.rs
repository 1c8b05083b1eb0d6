//! What keeps strangers away: the options for it, and the files that they name.

use super::exposed::{self, Guards};
use super::tls::Certificate;
use super::token::Token;
use crate::Fallible;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What keeps strangers away.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who may send and ask")]
pub struct Guarding {
    /// File with the token that every request has to carry, as `authorization: Bearer TOKEN`; read
    /// again on SIGHUP. The variable SLIPRING_TOKEN may hold the token itself instead
    #[arg(long, env = "SLIPRING_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the certificate for TLS on all ports, in PEM, the server's own first; read again
    /// on SIGHUP
    #[arg(long, env = "SLIPRING_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM
    #[arg(long, env = "SLIPRING_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listens beyond this machine though there is neither a token nor TLS
    #[arg(long, env = "SLIPRING_INSECURE", value_parser = clap::builder::BoolishValueParser::new())]
    insecure: bool,
}

/// What guards the ports: a token, TLS, both, or nothing.
pub struct Guard {
    pub token: Option<Arc<Token>>,
    pub certificate: Option<Arc<Certificate>>,
    insecure: bool,
}

impl Guard {
    /// Reads the token and the certificate that the options name.
    pub fn find(guarding: &Guarding) -> Fallible<Self> {
        let files = guarding.tls_cert.as_deref().zip(guarding.tls_key.as_deref());
        let certificate = files.map(|(chain, key)| Certificate::read(chain, key)).transpose()?;
        let token = Token::find(guarding.token_file.as_deref())?;
        Ok(Self { token, certificate, insecure: guarding.insecure })
    }

    fn guards(&self) -> Guards {
        let (token, tls) = (self.token.is_some(), self.certificate.is_some());
        Guards { token, tls, insecure: self.insecure }
    }

    /// Returns the error for an address that other machines reach though nothing guards it.
    pub fn check(&self, addresses: &[(&str, SocketAddr)]) -> Result<(), String> {
        exposed::check(addresses, self.guards())
    }

    /// Warns of what still can be done from other machines.
    pub fn warn(&self, addresses: &[SocketAddr]) {
        exposed::warn(addresses, self.guards());
    }

    pub fn has_files(&self) -> bool {
        self.certificate.is_some() || self.token.as_ref().is_some_and(|token| token.has_file())
    }

    /// Reads the files again. What can't be read stays as it is.
    pub fn reload(&self) {
        let token = self.token.as_ref().map(|token| token.reload());
        let certificate = self.certificate.as_ref().map(|certificate| certificate.reload());
        let mut wrong = [token, certificate].into_iter().flatten().filter_map(Result::err);
        match wrong.next() {
            Some(wrong) => tracing::error!("not read again: {wrong}"),
            None => tracing::info!("the token's and the certificate's files were read again"),
        }
    }
}
