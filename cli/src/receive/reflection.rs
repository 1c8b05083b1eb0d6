//! gRPC's server reflection: tools such as grpcurl ask for the services and their messages, and
//! need no `.proto` files.
//!
//! A call is a stream of questions. Its length and the size of a question are limited, so that no
//! peer holds a connection by it.

use super::grpc;
use super::intake::{About, Intake};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use futures::StreamExt;
use opentelemetry_proto::DESCRIPTORS;
use std::sync::Arc;
use std::time::Duration;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;
use tower::ServiceExt;

/// The services that every program has. A peer is told of these and of those that take records. The
/// descriptors have further ones, which are not served.
const SERVED: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The largest question in bytes: a name.
const QUESTION: usize = 4 << 10;

/// Returns the routes of both versions. Tools ask for the older one where the newer is not there,
/// and some know the older one only.
pub fn routes(timeout: Duration, about: &About) -> Router<Arc<Intake>> {
    const VALID: &str = "the descriptors are those of the crates";
    let v1 = builder(about).build_v1().expect(VALID).max_decoding_message_size(QUESTION);
    let v1alpha = builder(about).build_v1alpha().expect(VALID).max_decoding_message_size(QUESTION);
    let end = move |request: Request| ending(request, timeout);
    Router::new()
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", v1.map_request(end))
        .route_service(
            "/grpc.reflection.v1alpha.ServerReflection/{method}",
            v1alpha.map_request(end),
        )
}

fn builder(about: &About) -> Builder<'static> {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        v1::FILE_DESCRIPTOR_SET,
        v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let builder =
        sets.into_iter().fold(Builder::configure(), Builder::register_encoded_file_descriptor_set);
    grpc::services(about).chain(SERVED).fold(builder, Builder::with_service_name)
}

/// Ends the stream of questions after this time. Those that have come are answered.
fn ending(request: Request, timeout: Duration) -> Request {
    request.map(|questions| {
        let end = tokio::time::sleep(timeout);
        Body::from_stream(questions.into_data_stream().take_until(end))
    })
}
