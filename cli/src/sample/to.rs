//! The backend: where it is, how it is recognized, and what requests carry.

use crate::Fallible;
use clap::Args;
use slipring_sampling::forward::{Endpoint, ForwardSettings, Tls, TlsError, TlsSettings};
use std::path::{Path, PathBuf};

/// Where kept traces go.
#[derive(Debug, Args)]
pub struct To {
    /// Where kept traces go: grpc://host:4317, or http://host:4318 with or without a path; over TLS
    /// grpcs:// or https://
    #[arg(long, env = "SLIPRING_TO", hide_env_values = true, value_name = "ENDPOINT")]
    to: String,
    /// A file in PEM with the certificates that may have signed the backend's, in place of those
    /// that this machine trusts
    #[arg(long, env = "SLIPRING_TO_CA", value_name = "FILE")]
    to_ca: Option<PathBuf>,
    /// A file in PEM with the certificate that the backend is shown if it asks for one
    #[arg(long, env = "SLIPRING_TO_CERT", value_name = "FILE", requires = "to_key")]
    to_cert: Option<PathBuf>,
    /// A file in PEM with that certificate's key
    #[arg(long, env = "SLIPRING_TO_KEY", value_name = "FILE", requires = "to_cert")]
    to_key: Option<PathBuf>,
    /// A file with the token that requests to the backend carry: `authorization: Bearer` and what
    /// stands in it
    #[arg(long, env = "SLIPRING_TO_TOKEN_FILE", value_name = "FILE")]
    to_token_file: Option<PathBuf>,
    /// A header of the requests to the backend, such as x-scope-orgid=shop; several times for
    /// several. Other users of this machine can read it here, unlike the variable
    #[arg(long, env = "SLIPRING_TO_HEADER", hide_env_values = true, value_name = "NAME=VALUE")]
    to_header: Vec<String>,
}

impl To {
    /// Returns whether there are files that may be read again.
    pub fn has_files(&self) -> bool {
        let files = [&self.to_ca, &self.to_cert, &self.to_key, &self.to_token_file];
        files.into_iter().any(Option::is_some)
    }

    /// Reads the files, and checks what goes together.
    pub fn settings(&self) -> Fallible<ForwardSettings> {
        // Read here and not by the parser of arguments, which repeats what is wrong: it may have a
        // password.
        let to: Endpoint = self.to.parse().map_err(|error| format!("--to: {error}"))?;
        let mut settings = ForwardSettings::to(to);
        for header in &self.to_header {
            // What is wrong is told without the value, which may be a secret.
            let (name, value) = header.split_once('=').ok_or(
                "--to-header: there is no = in it; write NAME=VALUE, such as x-scope-orgid=shop",
            )?;
            let added = settings.headers.add(name.trim(), value.trim());
            added.map_err(|error| format!("--to-header: {error}"))?;
        }
        if let Some(file) = &self.to_token_file {
            let wrong = |what: &dyn std::fmt::Display| told("--to-token-file", file, what);
            let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
            let token = text.trim();
            if token.is_empty() {
                return Err(wrong(&"it is empty; write the token into it").into());
            }
            let added = settings.headers.add("authorization", &format!("Bearer {token}"));
            added.map_err(|error| wrong(&error))?;
        }
        settings.tls = self.tls(&settings.to)?;
        Ok(settings)
    }

    fn tls(&self, to: &Endpoint) -> Fallible<Option<Tls>> {
        let files = [("--to-ca", &self.to_ca), ("--to-cert", &self.to_cert)];
        if !to.is_tls() {
            let given = files.into_iter().find(|(_, file)| file.is_some());
            return match given {
                Some((flag, _)) => Err(format!(
                    "{flag} has no use without TLS, which {to} does not ask for; write grpcs:// or https://"
                )
                .into()),
                None => Ok(None),
            };
        }
        let read = |flag, file: &Option<PathBuf>| -> Fallible<Option<Vec<u8>>> {
            let Some(file) = file else { return Ok(None) };
            let read = std::fs::read(file).map_err(|error| told(flag, file, &error))?;
            Ok(Some(read))
        };
        let mut settings = TlsSettings::default();
        settings.roots = read("--to-ca", &self.to_ca)?;
        settings.identity = read("--to-cert", &self.to_cert)?.zip(read("--to-key", &self.to_key)?);
        let tls = Tls::new(&settings).map_err(|error| match &error {
            TlsError::Roots(_) => self.about("--to-ca", &self.to_ca, &error),
            TlsError::Chain(_) => self.about("--to-cert", &self.to_cert, &error),
            TlsError::Key(_) => self.about("--to-key", &self.to_key, &error),
            _ => format!("--to {to}: {error} by --to-ca"),
        })?;
        Ok(Some(tls))
    }

    fn about(&self, flag: &str, file: &Option<PathBuf>, error: &TlsError) -> String {
        told(flag, file.as_deref().unwrap_or(Path::new("")), error)
    }
}

fn told(flag: &str, file: &Path, what: &dyn std::fmt::Display) -> String {
    format!("{flag} {}: {what}", file.display())
}
