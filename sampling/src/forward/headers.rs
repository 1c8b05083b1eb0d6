//! What each request to a backend carries.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use std::fmt;

/// Headers of each request to a backend, such as its token. Over gRPC they are metadata. Their
/// values are never shown.
///
/// ```
/// use slipring_sampling::forward::Headers;
///
/// let mut headers = Headers::default();
/// headers.add("authorization", "Bearer 7f3a")?;
/// assert!(headers.add("content-type", "text/plain").is_err());
/// assert!(!format!("{headers:?}").contains("7f3a"));
/// # Ok::<(), slipring_sampling::forward::HeaderError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

/// Why something is no header of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name has characters that no header's name may have.
    #[error("{0:?} is no header's name; give letters, digits and dashes, such as authorization")]
    Name(String),
    /// The protocol sets this header itself.
    #[error("the header {0} is the protocol's own; leave it out")]
    Reserved(String),
    /// The value has characters that no header may have.
    #[error("the value of {0} has characters other than visible ASCII, spaces and tabs")]
    Value(String),
}

/// Names that HTTP, gRPC or OTLP use, beside those that begin with `grpc-`.
const RESERVED: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Headers {
    /// Adds a header; a second one of the same name stands beside the first.
    ///
    /// # Errors
    /// [`HeaderError`] says what is wrong, without the value.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        let wrong = |_| HeaderError::Name(name.to_owned());
        let known: HeaderName = name.parse().map_err(wrong)?;
        let text = known.as_str();
        // Metadata of such names is binary.
        if RESERVED.contains(&text) || text.starts_with("grpc-") || text.ends_with("-bin") {
            return Err(HeaderError::Reserved(text.to_owned()));
        }
        let is_visible = |byte: &u8| (b' '..=b'~').contains(byte) || *byte == b'\t';
        let read =
            HeaderValue::from_str(value).ok().filter(|_| value.as_bytes().iter().all(is_visible));
        let mut value = read.ok_or_else(|| HeaderError::Value(text.to_owned()))?;
        value.set_sensitive(true);
        self.0.append(known, value);
        Ok(())
    }

    pub(super) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
