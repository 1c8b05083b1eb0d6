//! Resources, scopes and metrics, each once an answer.

use super::plain::{Attributes, is_zero};
use super::point::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::metric::{MetricKind, MetricRef};
use slipring::resource::{ResourceRef, ScopeRef};
use std::borrow::Cow;
use std::collections::HashMap;

/// What describes the process that records came from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Resource<'a> {
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// The address of the attributes' schema.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub schema_url: Cow<'a, str>,
    /// How many attributes were discarded before it arrived.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
    /// Which of the attributes identify which entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
}

/// An entity that a resource is associated with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// Its type, such as `service`.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// Names of the attributes that identify it.
    pub id_keys: Vec<Box<str>>,
    /// Names of the attributes that describe it.
    pub description_keys: Vec<Box<str>>,
    /// The address of its schema.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub schema_url: Box<str>,
}

/// The library that records came from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Scope<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its version.
    pub version: Cow<'a, str>,
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// The address of the attributes' schema.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub schema_url: Cow<'a, str>,
    /// How many attributes were discarded before it arrived.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
}

/// A record's resource or scope, or a point's metric.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Origin<T> {
    /// Its place in the answer's `resources`, `scopes` or `metrics`, from 0 on.
    At(u32),
    /// Itself, where a record stands alone: in a tail.
    Here(Box<T>),
}

impl<T> Origin<T> {
    /// Returns what is meant, given the answer's list.
    pub fn find<'t>(&'t self, all: &'t [T]) -> Option<&'t T> {
        match self {
            Origin::At(place) => all.get(*place as usize),
            Origin::Here(here) => Some(here),
        }
    }
}

/// Where a record came from.
pub struct Place<'a> {
    pub resource: Origin<Resource<'a>>,
    pub scope: Origin<Scope<'a>>,
    /// The resource's `service.name`.
    pub service: Option<Cow<'a, str>>,
}

/// Collects the resources and scopes of an answer's records.
#[derive(Default)]
pub struct Sources<'a> {
    is_inline: bool,
    resources: Distinct<'a>,
    scopes: Distinct<'a>,
    pub all_resources: Vec<Resource<'a>>,
    pub all_scopes: Vec<Scope<'a>>,
    metrics: HashMap<(&'a str, &'a str, &'a str, MetricKind), u32>,
    pub all_metrics: Vec<Metric<'a>>,
    services: Vec<Option<&'a str>>,
}

/// Finds what is already known: by its address, which records of one request share, or else by its
/// content.
#[derive(Default)]
struct Distinct<'a> {
    by_address: HashMap<[usize; 4], u32>,
    by_content: HashMap<(&'a [u8], &'a str), u32>,
}

impl<'a> Distinct<'a> {
    /// Returns the number of the content, and whether it is new.
    fn number(&mut self, content: (&'a [u8], &'a str)) -> (u32, bool) {
        let (bytes, schema) = content;
        let address = [bytes.as_ptr().addr(), bytes.len(), schema.as_ptr().addr(), schema.len()];
        if let Some(&number) = self.by_address.get(&address) {
            return (number, false);
        }
        let next = self.by_content.len() as u32;
        let number = *self.by_content.entry(content).or_insert(next);
        self.by_address.insert(address, number);
        (number, number == next)
    }
}

impl<'a> Sources<'a> {
    /// For records that stand alone, each with its own resource and scope.
    pub fn inline() -> Self {
        Self { is_inline: true, ..Self::default() }
    }

    /// Notes a record's resource and scope, and returns where they stand.
    pub fn place(&mut self, resource: ResourceRef<'a>, scope: ScopeRef<'a>) -> Place<'a> {
        if self.is_inline {
            return Place {
                service: resource.service().map(Cow::Borrowed),
                resource: Origin::Here(Box::new(Resource::of(resource))),
                scope: Origin::Here(Box::new(Scope::of(scope))),
            };
        }
        let (of_resource, is_new) =
            self.resources.number((resource.bytes(), resource.schema_url()));
        if is_new {
            self.all_resources.push(Resource::of(resource));
            self.services.push(resource.service());
        }
        let (of_scope, is_new) = self.scopes.number((scope.bytes(), scope.schema_url()));
        if is_new {
            self.all_scopes.push(Scope::of(scope));
        }
        let service = self.services[of_resource as usize].map(Cow::Borrowed);
        Place { resource: Origin::At(of_resource), scope: Origin::At(of_scope), service }
    }
}

impl<'a> Sources<'a> {
    /// Notes a point's metric, and returns where it stands.
    pub fn metric(&mut self, metric: MetricRef<'a>) -> Origin<Metric<'a>> {
        if self.is_inline {
            return Origin::Here(Box::new(Metric::of(metric)));
        }
        let key = (metric.name(), metric.unit(), metric.description(), metric.kind());
        let next = self.metrics.len() as u32;
        let number = *self.metrics.entry(key).or_insert(next);
        if number == next {
            self.all_metrics.push(Metric::of(metric));
        }
        Origin::At(number)
    }
}

impl<'a> Resource<'a> {
    /// Shows a resource.
    pub fn of(resource: ResourceRef<'a>) -> Self {
        let entities = resource.entity_refs().into_iter().map(|entity| Entity {
            kind: entity.kind,
            id_keys: entity.id_keys.into_vec(),
            description_keys: entity.description_keys.into_vec(),
            schema_url: entity.schema_url,
        });
        Self {
            attributes: resource.attributes().into(),
            schema_url: resource.schema_url().into(),
            dropped_attributes_count: resource.dropped_attributes_count(),
            entities: entities.collect(),
        }
    }
}

impl<'a> Scope<'a> {
    /// Shows a scope.
    pub fn of(scope: ScopeRef<'a>) -> Self {
        Self {
            name: scope.name().into(),
            version: scope.version().into(),
            attributes: scope.attributes().into(),
            schema_url: scope.schema_url().into(),
            dropped_attributes_count: scope.dropped_attributes_count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::Source;

    #[test]
    fn equal_resources_stand_once_and_different_ones_apart() {
        let of = |service: &str, scope: &str| {
            let scope = slipring::Scope { name: scope.into(), ..slipring::Scope::default() };
            Source::new(&slipring::Resource::new([("service.name", service)]), &scope)
        };
        // The third has the first one's content at another address.
        let all = [of("cart", "http"), of("shop", "http"), of("cart", "http"), of("cart", "sql")];
        let nothing = Source::default();
        let schema = Source::new(
            &slipring::Resource::default().with_schema_url("https://a"),
            &slipring::Scope::default(),
        );
        let mut sources = Sources::default();
        let places: Vec<_> = all
            .iter()
            .chain([&nothing, &schema])
            .map(|one| sources.place(one.resource(), one.scope()))
            .map(|place| match (place.resource, place.scope) {
                (Origin::At(resource), Origin::At(scope)) => (resource, scope, place.service),
                _ => panic!("it is not inline"),
            })
            .collect();
        let named = |name: &'static str| Some(Cow::Borrowed(name));
        assert_eq!(
            places,
            [
                (0, 0, named("cart")),
                (1, 0, named("shop")),
                (0, 0, named("cart")),
                (0, 1, named("cart")),
                (2, 2, None),
                (3, 2, None),
            ]
        );
        assert_eq!((sources.all_resources.len(), sources.all_scopes.len()), (4, 3));
    }
}
