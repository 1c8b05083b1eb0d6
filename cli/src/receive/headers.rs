//! The limit on the headers of a request over HTTP/2, which gRPC calls metadata.
//!
//! hyper hides a request whose headers exceed the connection's own limit: it answers 431 itself,
//! and nothing here could count the request or log it. Therefore that limit is higher than the one
//! that holds, which is checked when hyper hands the request on.

use super::grpc;
use super::intake::drain;
use super::refusal::Refusal;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Version};
use axum::response::IntoResponse;

/// The bytes of metadata that gRPC's own servers take.
const METADATA: usize = 16 << 10;

/// Room for the headers that each call has beside its metadata: its path, `te`, `user-agent`.
const OF_THE_PROTOCOL: usize = 1 << 10;

/// The largest headers of a request that is served. A request that waits keeps its headers, and
/// they cost many times their bytes once they are apart.
const LARGEST: usize = METADATA + OF_THE_PROTOCOL;

/// The largest headers that hyper hands on. Those beyond [`LARGEST`] are dropped at once, so that
/// a connection has them only while its frames are read.
///
/// With twice as much, a few hostile connections at once already cost tens of MiB more, and make
/// others wait: see `metadata_that_grows_when_it_is_read` in the tests of attacks.
pub const LARGEST_READ: u32 = 32 << 10;

/// What RFC 9113 (6.5.2) adds to the bytes of each name and value.
const OVERHEAD: usize = 32;

/// Returns why a request is refused, if its headers are larger than they may be.
///
/// Requests over HTTP/1 have a limit of their own, the buffer in which they are read.
pub fn refusal<B>(request: &Request<B>) -> Option<Refusal> {
    if request.version() != Version::HTTP_2 {
        return None;
    }
    let uri = request.uri();
    let uri = uri.path().len()
        + uri.query().map_or(0, str::len)
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + OVERHEAD)
        .sum();
    let size = uri + fields;
    (size > LARGEST).then(|| {
        Refusal::Headers(format!(
            "the headers take {size} bytes; send at most {METADATA} bytes of metadata"
        ))
    })
}

/// Drops the headers of a request, and returns a service that answers it with this refusal.
pub fn refused(refusal: Refusal, request: &mut Request<Body>) -> Router {
    let is_grpc = grpc::is_grpc(request.headers());
    *request.headers_mut() = Default::default();
    Router::new().fallback(async move |body: Body| {
        drain(body).await;
        if is_grpc {
            return grpc::failed(&refusal);
        }
        (refusal.status(), format!("{}\n", refusal.what())).into_response()
    })
}
