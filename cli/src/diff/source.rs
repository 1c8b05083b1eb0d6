//! Where a run's spans come from: a file or a running server.

use crate::Fallible;
use crate::client::{Address, Client, ClientError};
use crate::input::Requests;
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::runtime::Runtime;

/// A file, or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Server(Address),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return text.parse().map(Self::Server);
        }
        Ok(Self::File(text.into()))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => address.fmt(f),
        }
    }
}

impl Source {
    pub fn is_input(&self) -> bool {
        self.path() == Some(Path::new("-"))
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// Asks a server for its spans. Files are opened by their reader.
    pub fn open(&self, token: Option<&str>) -> Fallible<Option<Requests>> {
        let Self::Server(address) = self else { return Ok(None) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = Client::of_server(address.clone(), token)?;
        let parameters =
            [("signal", "spans"), ("format", "protobuf")].map(|(a, b)| (a.into(), b.into()));
        let body = runtime.block_on(client.stream("/api/export", &parameters.into()))?;
        Ok(Some(Requests::of(Reading { runtime, body, rest: Bytes::new() })?))
    }
}

/// Reads a body as it comes.
struct Reading {
    runtime: Runtime,
    body: Body,
    rest: Bytes,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(frame) => {
                    let broken = |error: axum::Error| ClientError::Broken(error.to_string());
                    let frame = frame.map_err(broken).map_err(io::Error::other)?;
                    self.rest = frame.into_data().unwrap_or_default();
                }
            }
        }
        let some = self.rest.len().min(buffer.len());
        buffer[..some].copy_from_slice(&self.rest.split_to(some));
        Ok(some)
    }
}
