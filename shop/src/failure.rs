//! Failures of the shop's operations.

use std::fmt::Write;

use slipring::Value;
use slipring::attribute::Attributes;
use slipring::span::SpanEvent;

use crate::plan::{Dependency, Operation, Peer};
use crate::rng::Rng;
use crate::service::Service;

/// A kind of failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub kind: &'static str,
    pub message: &'static str,
    pub http_status: u16,
    pub grpc_status: u8,
    /// Whether a retry may succeed.
    pub transient: bool,
}

const fn failure(
    kind: &'static str,
    message: &'static str,
    http_status: u16,
    grpc_status: u8,
    transient: bool,
) -> Failure {
    Failure { kind, message, http_status, grpc_status, transient }
}

static TIMEOUT: Failure = failure("TimeoutException", "deadline of 2000 ms exceeded", 504, 4, true);
static EXHAUSTED: Failure =
    failure("ResourceExhaustedException", "too many requests in flight", 429, 8, true);
static UNEXPECTED: Failure =
    failure("IllegalStateException", "unexpected state after 3 transitions", 500, 13, false);
static NOT_FOUND: Failure = failure("NotFoundException", "no such product", 404, 5, false);
static DECLINED: Failure =
    failure("CardDeclinedException", "card declined: insufficient funds", 402, 9, false);
static DEADLOCK: Failure =
    failure("SQLTransientException", "deadlock detected; transaction rolled back", 500, 10, true);
static RESET: Failure =
    failure("ConnectionResetException", "connection reset by peer", 502, 14, true);

/// The callee could not be reached, so it has no span.
pub(crate) static UNREACHABLE: Failure =
    failure("ConnectException", "connection refused", 503, 14, true);

impl Failure {
    /// Draws a failure of this operation.
    pub fn of(operation: &Operation, rng: &mut Rng) -> &'static Self {
        match operation.service {
            Service::Payment if rng.chance(7000) => &DECLINED,
            Service::Catalogue if rng.chance(2000) => &NOT_FOUND,
            _ => rng.pick(&[&TIMEOUT, &TIMEOUT, &EXHAUSTED, &UNEXPECTED]),
        }
    }

    /// Draws a failure of this external dependency.
    pub fn of_dependency(dependency: &Dependency, rng: &mut Rng) -> &'static Self {
        match dependency.peer {
            Peer::Postgres => &DEADLOCK,
            Peer::Redis => &RESET,
            Peer::Http => rng.pick(&[&RESET, &TIMEOUT]),
        }
    }

    /// Returns the event that a span records for the failure. Its stack trace takes 1 to 5 KiB.
    pub fn event(&self, service: Service, time: u64, rng: &mut Rng) -> SpanEvent {
        let attributes = Attributes::from([
            ("exception.type", Value::from(self.kind)),
            ("exception.message", self.message.into()),
            ("exception.stacktrace", self.stack_trace(service, rng).into()),
            ("exception.escaped", true.into()),
        ]);
        SpanEvent {
            time_unix_nanos: time,
            name: "exception".into(),
            attributes,
            dropped_attributes_count: 0,
        }
    }

    fn stack_trace(&self, service: Service, rng: &mut Rng) -> String {
        const CLASSES: &[&str] =
            &["Handler", "Client", "Pool", "Connection", "Interceptor", "Dispatcher", "Codec"];
        const METHODS: &[&str] =
            &["handle", "invoke", "execute", "call", "acquire", "readFully", "lambda$run$0"];
        let name = service.facts().name;
        let mut trace = format!("{}: {}", self.kind, self.message);
        for _ in 0..rng.between(16, 70) {
            let (class, method) = (rng.pick(CLASSES), rng.pick(METHODS));
            // Writing to a string does not fail.
            let _ = write!(
                trace,
                "\n    at shop.{name}.internal.{class}.{method}({class}:{})",
                rng.between(20, 900)
            );
        }
        trace
    }
}
