//! Where telemetry comes from: the resource and the instrumentation scope, each shared by many
//! records.

use super::{Attributes, AttributesRef};
use crate::wire::{Fields, Raw, Writer, field_of};
use std::fmt;

/// The service of records whose resource names none, as OpenTelemetry's conventions call it.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// What a process says about itself: OpenTelemetry's `Resource`, and the schema URL that travels
/// beside it.
///
/// Encode it with its scope as a [`Source`](crate::Source), which records share; a record hands it
/// out as a [`ResourceRef`].
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

/// Which attributes of a [`Resource`] identify and describe one entity (a service, a host):
/// OpenTelemetry's `EntityRef`, in development there.
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

/// Which library made a record: OpenTelemetry's `InstrumentationScope`, and the schema URL that
/// travels beside it. See [`Source`](crate::Source); a record hands it out as a [`ScopeRef`].
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
    /// Makes a resource with these attributes.
    pub fn new(attributes: impl Into<Attributes>) -> Self {
        Self { attributes: attributes.into(), ..Self::default() }
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

    /// Returns the attributes.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Returns the number of attributes that were discarded before the record came here.
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }

    /// Returns the schema that the attributes follow; empty if unknown.
    pub fn schema_url(&self) -> &str {
        &self.schema_url
    }

    /// Returns the entities that the attributes are about.
    pub fn entity_refs(&self) -> &[EntityRef] {
        &self.entity_refs
    }

    /// Writes the fields of the message; the schema's URL travels beside it.
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
    /// Writes the fields of the message; the schema's URL travels beside it.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(1, self.name.as_bytes());
        writer.bytes(2, self.version.as_bytes());
        AttributesRef::from(&self.attributes).write(3, writer);
        writer.number(4, self.dropped_attributes_count.into());
    }
}

/// The resource of a record, borrowed from its bytes. Equal if what it says is.
#[derive(Clone, Copy)]
pub struct ResourceRef<'a> {
    pub(super) message: &'a [u8],
    pub(super) schema_url: &'a str,
}

impl<'a> ResourceRef<'a> {
    /// Returns the encoded message: the protocol's, as it came. Its schema travels
    /// [beside](Self::schema_url) it. O(1).
    pub fn bytes(self) -> &'a [u8] {
        self.message
    }

    /// Returns the attributes.
    pub fn attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.message, 1)
    }

    /// Returns the value of the first `service.name`, unless it is empty or no text. O(attributes);
    /// a record's own `service` is O(1).
    pub fn service(self) -> Option<&'a str> {
        self.attributes().get("service.name")?.as_str().filter(|name| !name.is_empty())
    }

    /// Returns the value of the first `service.namespace`, unless it is empty or no text: services
    /// of one name in two namespaces are two. O(attributes); a record's own `service_namespace` is
    /// O(1).
    pub fn service_namespace(self) -> Option<&'a str> {
        self.attributes().get("service.namespace")?.as_str().filter(|name| !name.is_empty())
    }

    /// Returns the number of attributes that were discarded before the record came here.
    pub fn dropped_attributes_count(self) -> u32 {
        field_of(self.message, 2).map_or(0, Raw::number) as u32
    }

    /// Returns the schema that the attributes follow; empty if unknown.
    pub fn schema_url(self) -> &'a str {
        self.schema_url
    }

    /// Returns the entities that the attributes are about. Allocates them.
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

    /// Copies it into a [`Resource`]. O(bytes).
    pub fn to_resource(self) -> Resource {
        Resource::new(self.attributes().to_attributes())
            .with_dropped_attributes_count(self.dropped_attributes_count())
            .with_schema_url(self.schema_url)
            .with_entity_refs(self.entity_refs())
    }
}

/// The scope of a record, borrowed from its bytes. Equal if what it says is.
#[derive(Clone, Copy)]
pub struct ScopeRef<'a> {
    pub(super) message: &'a [u8],
    pub(super) schema_url: &'a str,
}

impl<'a> ScopeRef<'a> {
    /// Returns the encoded message: the protocol's, as it came. Its schema travels
    /// [beside](Self::schema_url) it. O(1).
    pub fn bytes(self) -> &'a [u8] {
        self.message
    }

    /// Returns the library's name; empty if unknown.
    pub fn name(self) -> &'a str {
        field_of(self.message, 1).map_or("", Raw::text)
    }

    /// Returns the library's version; empty if unknown.
    pub fn version(self) -> &'a str {
        field_of(self.message, 2).map_or("", Raw::text)
    }

    /// Returns the attributes.
    pub fn attributes(self) -> AttributesRef<'a> {
        AttributesRef::of(self.message, 3)
    }

    /// Returns the number of attributes that were discarded before the record came here.
    pub fn dropped_attributes_count(self) -> u32 {
        field_of(self.message, 4).map_or(0, Raw::number) as u32
    }

    /// Returns the schema of the scope and of its records; empty if unknown.
    pub fn schema_url(self) -> &'a str {
        self.schema_url
    }

    /// Copies it into a [`Scope`]. O(bytes).
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
