//! The origin of telemetry: the resource and the instrumentation scope, each shared by many
//! records.

use super::{Attributes, AttributesRef};
use crate::wire::{Fields, Raw, Writer, field_of};
use std::fmt;

/// The service name of records whose resource does not name one, from OpenTelemetry's semantic
/// conventions.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// The description of the process that emits telemetry: OpenTelemetry's `Resource`, with its schema
/// URL.
///
/// [`Source`](crate::Source) encodes it together with a scope, for records to share. The accessors
/// of records return it as a [`ResourceRef`].
///
/// ```
/// use slipring::{Resource, Scope, Source};
///
/// let resource = Resource::new([("service.name", "cart"), ("host.name", "shop-7")])
///     .with_schema_url("https://opentelemetry.io/schemas/1.37.0");
/// let source = Source::new(&resource, &Scope::default());
/// assert_eq!(source.resource().service(), Some("cart"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Resource {
    attributes: Attributes,
    dropped_attributes_count: u32,
    schema_url: Box<str>,
    entity_refs: Box<[EntityRef]>,
}

/// The attributes of a [`Resource`] that identify and describe one entity, such as a service or a
/// host: OpenTelemetry's `EntityRef`, whose status in the protocol is development.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EntityRef {
    /// The URL of the entity's schema. Empty if unknown.
    pub schema_url: Box<str>,
    /// The entity's type, such as `service` or `host`. The protocol calls it `type`.
    pub kind: Box<str>,
    /// The keys of the attributes that identify the entity.
    pub id_keys: Box<[Box<str>]>,
    /// The keys of the attributes that describe the entity.
    pub description_keys: Box<[Box<str>]>,
}

/// The library that emitted a record: OpenTelemetry's `InstrumentationScope`, with its schema URL.
/// See [`Source`](crate::Source). The accessors of records return it as a [`ScopeRef`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Scope {
    /// The library's name. Empty if unknown.
    pub name: Box<str>,
    /// The library's version. Empty if unknown.
    pub version: Box<str>,
    /// The attributes of the scope.
    pub attributes: Attributes,
    /// The number of attributes that were discarded before the scope arrived.
    pub dropped_attributes_count: u32,
    /// The URL of the schema of the scope and of its records. Empty if unknown.
    pub schema_url: Box<str>,
}

impl Resource {
    /// Creates a resource with these attributes.
    pub fn new(attributes: impl Into<Attributes>) -> Self {
        Self { attributes: attributes.into(), ..Self::default() }
    }

    /// Sets the number of attributes that were discarded.
    #[must_use]
    pub fn with_dropped_attributes_count(self, count: u32) -> Self {
        Self { dropped_attributes_count: count, ..self }
    }

    /// Sets the URL of the schema that the attributes follow.
    #[must_use]
    pub fn with_schema_url(self, url: impl Into<Box<str>>) -> Self {
        Self { schema_url: url.into(), ..self }
    }

    /// Sets the entities that the attributes describe.
    #[must_use]
    pub fn with_entity_refs(self, entity_refs: impl Into<Box<[EntityRef]>>) -> Self {
        Self { entity_refs: entity_refs.into(), ..self }
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Returns the number of attributes that were discarded before the record arrived.
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }

    /// Returns the URL of the schema that the attributes follow, or an empty text if it is unknown.
    pub fn schema_url(&self) -> &str {
        &self.schema_url
    }

    /// Returns the entities that the attributes describe.
    pub fn entity_refs(&self) -> &[EntityRef] {
        &self.entity_refs
    }

    /// Writes the fields of the message. The schema URL is not one of them.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        AttributesRef::from(&self.attributes).write(1, writer);
        writer.number(2, self.dropped_attributes_count.into());
        for entity in &self.entity_refs {
            writer.nested(3, |writer| {
                writer.bytes(1, entity.schema_url.as_bytes());
                writer.bytes(2, entity.kind.as_bytes());
                entity.id_keys.iter().for_each(|key| writer.always_bytes(3, key.as_bytes()));
                entity
                    .description_keys
                    .iter()
                    .for_each(|key| writer.always_bytes(4, key.as_bytes()));
            });
        }
    }
}

impl Scope {
    /// Writes the fields of the message. The schema URL is not one of them.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(1, self.name.as_bytes());
        writer.bytes(2, self.version.as_bytes());
        AttributesRef::from(&self.attributes).write(3, writer);
        writer.number(4, self.dropped_attributes_count.into());
    }
}

/// The resource of a record, borrowed from its source. Two are equal if their contents are.
#[derive(Clone, Copy)]
pub struct ResourceRef<'a> {
    pub(super) message: &'a [u8],
    pub(super) schema_url: &'a str,
}

impl<'a> ResourceRef<'a> {
    /// Returns the encoded message of the protocol, as it arrived. The [schema
    /// URL](Self::schema_url) is not part of it. O(1).
    pub fn bytes(self) -> &'a [u8] {
        self.message
    }

    /// Returns the attributes.
    pub fn attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.message, 1)
    }

    /// Returns the first value of `service.name`, unless it is empty or not text. O(attributes).
    /// The record's own `service` is O(1).
    pub fn service(self) -> Option<&'a str> {
        self.attributes().get("service.name")?.as_str().filter(|name| !name.is_empty())
    }

    /// Returns the first value of `service.namespace`, unless it is empty or not text. Services of
    /// the same name in two namespaces are different services. O(attributes). The record's own
    /// `service_namespace` is O(1).
    pub fn service_namespace(self) -> Option<&'a str> {
        self.attributes().get("service.namespace")?.as_str().filter(|name| !name.is_empty())
    }

    /// Returns the number of attributes that were discarded before the record arrived.
    pub fn dropped_attributes_count(self) -> u32 {
        field_of(self.message, 2).map_or(0, Raw::number) as u32
    }

    /// Returns the URL of the schema that the attributes follow, or an empty text if it is unknown.
    pub fn schema_url(self) -> &'a str {
        self.schema_url
    }

    /// Returns the entities that the attributes describe. Allocates the list.
    pub fn entity_refs(self) -> Vec<EntityRef> {
        let entities = Fields::of(self.message).filter(|field| field.number == 3);
        let text = |message, number| field_of(message, number).map_or("", Raw::text).into();
        let texts = |message, number| {
            let fields = Fields::of(message).filter(|field| field.number == number);
            fields.map(|field| field.raw.text().into()).collect()
        };
        let entity = |message| EntityRef {
            schema_url: text(message, 1),
            kind: text(message, 2),
            id_keys: texts(message, 3),
            description_keys: texts(message, 4),
        };
        entities.map(|field| entity(field.raw.bytes())).collect()
    }

    /// Copies the resource into a [`Resource`]. O(bytes).
    pub fn to_resource(self) -> Resource {
        Resource::new(self.attributes().to_attributes())
            .with_dropped_attributes_count(self.dropped_attributes_count())
            .with_schema_url(self.schema_url)
            .with_entity_refs(self.entity_refs())
    }
}

/// The scope of a record, borrowed from its source. Two are equal if their contents are.
#[derive(Clone, Copy)]
pub struct ScopeRef<'a> {
    pub(super) message: &'a [u8],
    pub(super) schema_url: &'a str,
}

impl<'a> ScopeRef<'a> {
    /// Returns the encoded message of the protocol, as it arrived. The [schema
    /// URL](Self::schema_url) is not part of it. O(1).
    pub fn bytes(self) -> &'a [u8] {
        self.message
    }

    /// Returns the library's name, or an empty text if it is unknown.
    pub fn name(self) -> &'a str {
        field_of(self.message, 1).map_or("", Raw::text)
    }

    /// Returns the library's version, or an empty text if it is unknown.
    pub fn version(self) -> &'a str {
        field_of(self.message, 2).map_or("", Raw::text)
    }

    /// Returns the attributes.
    pub fn attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.message, 3)
    }

    /// Returns the number of attributes that were discarded before the record arrived.
    pub fn dropped_attributes_count(self) -> u32 {
        field_of(self.message, 4).map_or(0, Raw::number) as u32
    }

    /// Returns the URL of the schema of the scope and of its records, or an empty text if it is
    /// unknown.
    pub fn schema_url(self) -> &'a str {
        self.schema_url
    }

    /// Copies the scope into a [`Scope`]. O(bytes).
    pub fn to_scope(self) -> Scope {
        Scope {
            name: self.name().into(),
            version: self.version().into(),
            attributes: self.attributes().to_attributes(),
            dropped_attributes_count: self.dropped_attributes_count(),
            schema_url: self.schema_url.into(),
        }
    }
}

view! {
    ResourceRef { attributes, dropped_attributes_count, schema_url, entity_refs }
    ScopeRef { name, version, attributes, dropped_attributes_count, schema_url }
}
