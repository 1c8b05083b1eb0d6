//! A tower service that takes OTLP export requests and samples them: put it behind any server that
//! speaks tower, such as hyper's or axum's.
//!
//! `cargo run -p slipring-sampling --example tower`

use bytes::Bytes;
use slipring::Span;
use slipring::otlp::{Encoding, Kind, OtlpError, Reader, Request, encode};
use slipring::span::StatusCode;
use slipring_sampling::{Kept, KeptSettings, Policy, Rule, Sampler, Settings, SettingsError};
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tower_service::Service;

/// Takes request bodies, and answers with response bodies. Clones share a sampler.
#[derive(Clone)]
struct Sampling {
    reader: Arc<Reader>,
    state: Arc<Mutex<(Sampler, Kept)>>,
}

impl Sampling {
    fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let sampler = Sampler::new(settings)?;
        let kept = Kept::new(&KeptSettings::default(), sampler.ledger());
        let reader = Arc::new(Reader::default().in_place());
        Ok(Self { reader, state: Arc::new(Mutex::new((sampler, kept))) })
    }

    /// Decides what is due. A timer calls it.
    fn advance(&self, now: Instant) {
        let (sampler, kept) = &mut *self.state.lock().expect("nothing panics");
        sampler.advance(now, kept);
    }
}

impl Service<Bytes> for Sampling {
    type Response = Vec<u8>;
    type Error = OtlpError;
    type Future = Ready<Result<Vec<u8>, OtlpError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OtlpError>> {
        // A sampler always has room: it lets go of its oldest traces.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, body: Bytes) -> Self::Future {
        let take = |part: Request| {
            let (sampler, kept) = &mut *self.state.lock().expect("nothing panics");
            sampler.take(part.spans, Instant::now(), kept);
        };
        let rejected = self.reader.read(Kind::Traces, Encoding::Protobuf, body, take);
        ready(rejected.map(|rejected| rejected.to_response(Kind::Traces, Encoding::Protobuf)))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    settings.policies = vec![Policy::new("errors", Rule::Error)];
    let mut service = Sampling::new(&settings)?;
    for trace in 1..=100u128 {
        let code = if trace % 10 == 0 { StatusCode::Error } else { StatusCode::Unset };
        let span = Span::builder().trace_id(trace).span_id(1).name("GET /").status(code, "");
        let body = encode([&span.build()], Encoding::Protobuf);
        service.call(body.into()).into_inner()?;
    }
    service.advance(Instant::now() + Duration::from_secs(10));
    let (sampler, kept) = &*service.state.lock().expect("nothing panics");
    assert!(sampler.stats().is_balanced());
    println!("{} of {} traces kept", kept.stats().traces, sampler.stats().received);
    Ok(())
}
