//! Span attributes, named as OpenTelemetry's semantic conventions name them.

use std::fmt::Write;

use slipring::Value;
use slipring::attribute::{Attributes, KeyValue};

use crate::failure::Failure;
use crate::plan::{Dependency, Operation, Peer, Via};
use crate::rng::Rng;
use crate::visit::{Visit, product_id};

/// Collects attributes.
struct Gather(Vec<KeyValue>);

impl Gather {
    fn add(&mut self, key: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push(KeyValue::new(key, value));
        self
    }

    fn finish(self) -> Attributes {
        self.0.into()
    }
}

/// Returns the attributes of the callee's span of an operation.
pub(crate) fn serving(
    operation: &Operation,
    visit: &Visit,
    failure: Option<&Failure>,
    rng: &mut Rng,
) -> Attributes {
    let mut gather = Gather(Vec::with_capacity(16));
    called(&mut gather, operation, visit, failure);
    match operation.via {
        Via::Http => {
            gather
                .add(
                    "client.address",
                    format!(
                        "10.{}.{}.{}",
                        visit.user % 256,
                        visit.session % 256,
                        visit.order % 256
                    ),
                )
                .add("user_agent.original", visit.agent)
                .add("app.user.id", visit.user as i64)
                .add("app.session.id", format!("{:016x}", visit.session));
        }
        Via::Rpc => {
            gather.add("network.protocol.name", "http").add("network.protocol.version", "2");
        }
        Via::Queue => {
            gather
                .add("messaging.operation.type", "process")
                .add("messaging.consumer.group.name", "accounting");
        }
        Via::Timer => {
            gather.add("app.job.name", operation.name).add("app.job.scheduled", true);
        }
    }
    about(&mut gather, operation, visit, rng);
    gather.finish()
}

/// Returns the attributes of the caller's span of an operation.
pub(crate) fn calling(
    operation: &Operation,
    visit: &Visit,
    failure: Option<&Failure>,
    attempt: u8,
) -> Attributes {
    let mut gather = Gather(Vec::with_capacity(10));
    called(&mut gather, operation, visit, failure);
    let facts = operation.service.facts();
    gather.add("server.address", facts.name).add("server.port", i64::from(facts.port));
    if attempt > 1 {
        gather.add("http.request.resend_count", i64::from(attempt) - 1);
    }
    gather.finish()
}

/// Returns the attributes of the span that publishes a message.
pub(crate) fn publishing(operation: &Operation, visit: &Visit, rng: &mut Rng) -> Attributes {
    let mut gather = Gather(Vec::with_capacity(8));
    called(&mut gather, operation, visit, None);
    let digest: Vec<u8> = (0..4).flat_map(|_| rng.next().to_le_bytes()).collect();
    gather
        .add("messaging.operation.type", "send")
        .add("messaging.message.body.size", 180 + 40 * visit.items.len() as i64)
        .add("app.message.digest", Value::Bytes(digest.into()));
    gather.finish()
}

/// Returns the attributes of the span that calls an external dependency.
pub(crate) fn querying(
    dependency: &Dependency,
    visit: &Visit,
    failure: Option<&Failure>,
    rng: &mut Rng,
) -> Attributes {
    let mut gather = Gather(Vec::with_capacity(8));
    if dependency.peer == Peer::Http {
        let host = dependency.text.split('/').nth(2).unwrap_or_default();
        gather
            .add("http.request.method", dependency.name)
            .add("url.full", dependency.text)
            .add("server.address", host)
            .add("server.port", 443)
            .add(
                "http.response.status_code",
                failure.map_or(200, |failure| i64::from(failure.http_status)),
            );
    } else {
        let (operation, target) = dependency.name.split_once(' ').unwrap_or_default();
        let (namespace, collection) = target.split_once('.').unwrap_or_default();
        let (system, port) =
            if dependency.peer == Peer::Redis { ("redis", 6379) } else { ("postgresql", 5432) };
        gather
            .add("db.system.name", system)
            .add("db.namespace", namespace)
            .add("db.collection.name", collection)
            .add("db.operation.name", operation)
            .add("db.query.text", statement(dependency, visit, rng))
            .add("server.address", format!("{namespace}-{system}"))
            .add("server.port", port);
        if operation == "SELECT" {
            gather.add("db.response.returned_rows", rng.below(40) as i64);
        }
    }
    if let Some(failure) = failure {
        gather.add("error.type", failure.kind);
    }
    gather.finish()
}

/// Returns the attributes of a span within a process.
pub(crate) fn working(visit: &Visit, rng: &mut Rng) -> Attributes {
    Attributes::from([
        ("app.product.id", Value::from(product_id(visit.product))),
        ("app.cache.hit", rng.chance(8000).into()),
        ("app.score", rng.unit().into()),
        ("thread.id", (rng.below(64) as i64).into()),
    ])
}

/// Adds the attributes that the spans of both caller and callee have.
fn called(gather: &mut Gather, operation: &Operation, visit: &Visit, failure: Option<&Failure>) {
    match operation.via {
        Via::Http => {
            let (method, route) = operation.name.split_once(' ').unwrap_or_default();
            let path =
                route.replace("{id}", &product_id(visit.product)).replace("{asset}", "app.css");
            gather
                .add("http.request.method", method)
                .add("http.route", route)
                .add("url.path", path)
                .add("url.scheme", "https")
                .add(
                    "http.response.status_code",
                    failure.map_or(200, |failure| i64::from(failure.http_status)),
                );
        }
        Via::Rpc => {
            let (service, method) = operation.name.split_once('/').unwrap_or_default();
            gather
                .add("rpc.system", "grpc")
                .add("rpc.service", service)
                .add("rpc.method", method)
                .add(
                    "rpc.grpc.status_code",
                    failure.map_or(0, |failure| i64::from(failure.grpc_status)),
                );
        }
        Via::Queue => {
            gather
                .add("messaging.system", "kafka")
                .add("messaging.destination.name", operation.name)
                .add("messaging.destination.partition.id", (visit.user % 12).to_string())
                .add("messaging.message.id", format!("{:x}-{}", visit.session, visit.order));
        }
        Via::Timer => {}
    }
    if let Some(failure) = failure {
        gather.add("error.type", failure.kind);
    }
}

/// Adds the attributes that describe the visit.
fn about(gather: &mut Gather, operation: &Operation, visit: &Visit, rng: &mut Rng) {
    match operation.name {
        "GET /product/{id}" | "shop.Recommendation/ListRecommendations" => {
            gather.add("app.product.id", product_id(visit.product));
        }
        "shop.Catalogue/GetProduct" => {
            gather.add("app.product.id", product_id(rng.pick(&visit.items)));
        }
        "GET /search" | "shop.Search/Find" => {
            gather
                .add("app.search.words", visit.words)
                .add("app.search.hits", rng.below(300) as i64);
        }
        "shop.Currency/Convert" => {
            gather.add("app.currency.to", visit.currency).add("app.amount", visit.amount);
        }
        "POST /cart/checkout" | "shop.Checkout/PlaceOrder" => {
            gather
                .add("app.order.id", visit.order as i64)
                .add("app.order.amount", visit.amount)
                .add("app.order.currency", visit.currency)
                .add("app.order.items", visit.item_ids())
                .add("app.order.shipping.country", visit.country);
            if rng.chance(2000) {
                gather.add("app.order", visit.order());
            }
        }
        "shop.Payment/Charge" => {
            gather.add("app.payment.amount", visit.amount).add("app.payment.card_type", "credit");
        }
        _ => {}
    }
    // Debug logging of request bodies was left on.
    if operation.name.starts_with("POST") && rng.chance(300) {
        gather.add("http.request.body", body(visit, rng));
    }
}

/// Generates a request's body, of 1 to 8 KiB.
fn body(visit: &Visit, rng: &mut Rng) -> String {
    let bytes = rng.between(1_000, 8_000) as usize;
    let mut body = String::with_capacity(bytes + 100);
    while body.len() < bytes {
        // Writing to a string does not fail.
        let _ = write!(
            body,
            r#"{{"user":{},"currency":"{}","note":"{:x}"}},"#,
            visit.user,
            visit.currency,
            rng.next()
        );
    }
    body
}

/// Generates a statement. Occasionally its list of values grows to 2 to 14 KiB.
fn statement(dependency: &Dependency, visit: &Visit, rng: &mut Rng) -> String {
    if dependency.peer == Peer::Postgres && rng.chance(100) {
        let mut statement = format!("{} /* expanded */ IN (", dependency.text);
        for _ in 0..rng.between(200, 1_400) {
            let _ = write!(statement, "'P{:05}', ", rng.below(100_000));
        }
        return statement + "NULL)";
    }
    if dependency.peer == Peer::Redis {
        return dependency
            .text
            .replace("{id}", &product_id(rng.pick(&visit.items)))
            .replace("{session}", "?");
    }
    dependency.text.to_owned()
}
