//! Where telemetry comes from: the resource and the instrumentation scope, each shared by many records.

use super::value::list_bytes;
use super::{Attributes, Key, Shared, Value};

/// The service of records whose resource names none, as OpenTelemetry's conventions call it.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// What a process says about itself: OpenTelemetry's `Resource`, and the schema URL that travels beside it.
///
/// Its service name is looked up once, when it is made, which is why its fields are private.
///
/// ```
/// use slipring::{Attributes, Resource};
///
/// let resource = Resource::new(Attributes::from([("service.name", "cart"), ("host.name", "shop-7")]))
///     .with_schema_url("https://opentelemetry.io/schemas/1.37.0")
///     .share();
/// assert_eq!(resource.service(), Some("cart"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Resource {
    attributes: Attributes,
    dropped_attributes_count: u32,
    schema_url: Box<str>,
    entity_refs: Box<[EntityRef]>,
    /// Where in `attributes` the service name is.
    #[cfg_attr(feature = "serde", serde(skip))]
    service: Option<usize>,
}

/// Which attributes of a [`Resource`] identify and describe one entity (a service, a host): OpenTelemetry's
/// `EntityRef`, in development there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EntityRef {
    /// The schema that the entity is recorded in; empty if unknown.
    pub schema_url: Box<str>,
    /// The entity's type, such as `service` or `host`; `type` in the protocol.
    pub kind: Box<str>,
    /// Keys of the attributes that identify it.
    pub id_keys: Box<[Box<str>]>,
    /// Keys of the attributes that describe it.
    pub description_keys: Box<[Box<str>]>,
}

/// Which library made a record: OpenTelemetry's `InstrumentationScope`, and the schema URL that travels beside it.
///
/// ```
/// use slipring::Scope;
///
/// let scope = Scope { name: "http-server".into(), version: "1.4.0".into(), ..Scope::default() }.share();
/// assert_eq!(&*scope.name, "http-server");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Scope {
    /// The library's name; empty if unknown.
    pub name: Box<str>,
    /// Its version; empty if unknown.
    pub version: Box<str>,
    /// What else is known of it.
    pub attributes: Attributes,
    /// Attributes that were discarded before they came here.
    pub dropped_attributes_count: u32,
    /// The schema of the scope and of its records; empty if unknown.
    pub schema_url: Box<str>,
}

impl Resource {
    /// A resource with these attributes. O(attributes), for the service name.
    pub fn new(attributes: impl Into<Attributes>) -> Self {
        let attributes = attributes.into();
        let service = attributes.iter().position(|attribute| &*attribute.key == "service.name");
        Self { attributes, service, ..Self::default() }
    }

    /// Sets how many attributes were discarded before they came here.
    #[must_use]
    pub fn with_dropped_attributes_count(self, count: u32) -> Self {
        Self { dropped_attributes_count: count, ..self }
    }

    /// Sets the schema that the attributes follow.
    #[must_use]
    pub fn with_schema_url(self, url: impl Into<Box<str>>) -> Self {
        Self { schema_url: url.into(), ..self }
    }

    /// Sets which entities the attributes are about.
    #[must_use]
    pub fn with_entity_refs(self, entity_refs: impl Into<Box<[EntityRef]>>) -> Self {
        Self { entity_refs: entity_refs.into(), ..self }
    }

    /// Makes it a part that records can share. One allocation; O(attributes), to know its bytes.
    pub fn share(self) -> Shared<Self> {
        let heap_bytes = self.heap_bytes();
        Shared::with_heap_bytes(self, heap_bytes)
    }

    /// The value of the first `service.name`, unless it is empty or no text. O(1).
    pub fn service(&self) -> Option<&str> {
        match &self.attributes[self.service?].value {
            Value::Text(name) if !name.is_empty() => Some(name),
            _ => None,
        }
    }

    /// The value of the first `service.namespace`, unless it is empty or no text: services of one name in two namespaces are two.
    /// O(attributes).
    pub fn service_namespace(&self) -> Option<&str> {
        self.attributes.get("service.namespace").and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// What the process says about itself.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Attributes that were discarded before they came here.
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }

    /// The schema that the attributes follow; empty if unknown.
    pub fn schema_url(&self) -> &str {
        &self.schema_url
    }

    /// Which entities the attributes are about.
    pub fn entity_refs(&self) -> &[EntityRef] {
        &self.entity_refs
    }

    /// Bytes that the resource owns on the heap, beyond itself.
    pub fn heap_bytes(&self) -> usize {
        self.attributes.heap_bytes() + self.schema_url.len() + list_bytes(&self.entity_refs, EntityRef::heap_bytes)
    }

    /// The key under which the resource's records are found in an index by service.
    pub(super) fn service_key(&self) -> Key<'_> {
        Key::Text(self.service_or_unknown())
    }

    pub(super) fn service_or_unknown(&self) -> &str {
        self.service().unwrap_or(UNKNOWN_SERVICE)
    }
}

impl EntityRef {
    /// Bytes that the reference owns on the heap, beyond itself.
    pub fn heap_bytes(&self) -> usize {
        let text = self.schema_url.len() + self.kind.len();
        let keys = [&self.id_keys, &self.description_keys].map(|keys| list_bytes(keys, |key| key.len()));
        text + keys.iter().sum::<usize>()
    }
}

impl Scope {
    /// Makes it a part that records can share. One allocation; O(attributes), to know its bytes.
    pub fn share(self) -> Shared<Self> {
        let heap_bytes = self.heap_bytes();
        Shared::with_heap_bytes(self, heap_bytes)
    }

    /// Bytes that the scope owns on the heap, beyond itself.
    pub fn heap_bytes(&self) -> usize {
        self.name.len() + self.version.len() + self.attributes.heap_bytes() + self.schema_url.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: impl Into<Value>) -> Resource {
        Resource::new(Attributes::from([("host.name", Value::from("shop-7")), ("service.name", name.into())]))
    }

    #[test]
    fn a_service_is_a_name_in_text() {
        assert_eq!(named("cart").service_key(), Key::Text("cart"));
        for nameless in [named(""), named(7), named(Value::Empty), Resource::default()] {
            assert_eq!(nameless.service(), None);
            assert_eq!(nameless.service_key(), Key::Text("unknown_service"));
        }
    }

    #[test]
    fn the_first_of_two_service_names_counts() {
        let twice = Attributes::from([("service.name", "cart"), ("service.name", "ad")]);
        assert_eq!(Resource::new(twice).service(), Some("cart"));
    }

    #[test]
    fn a_shared_part_knows_its_bytes() {
        let entity = EntityRef { kind: "host".into(), id_keys: ["host.name".into()].into(), ..EntityRef::default() };
        let resource = named("cart").with_schema_url("url").with_entity_refs([entity]);
        let attributes = 2 * 40 + "host.nameshop-7".len() + "service.namecart".len();
        let entities = size_of::<EntityRef>() + "host".len() + size_of::<Box<str>>() + "host.name".len();
        assert_eq!(resource.heap_bytes(), attributes + "url".len() + entities);
        let bare = Resource::default().share().heap_bytes();
        assert_eq!(resource.clone().share().heap_bytes() - bare, resource.heap_bytes());
    }
}
