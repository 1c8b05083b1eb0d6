//! Tables of OTLP's messages: each field's name in JSON, its number in protobuf, and its type.

use crate::wire::depth;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};

/// The fields of a message, in the order of their numbers. Most writers use the same order.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// The depth cost of the message for the values in it: see `wire::depth`.
    pub(super) nests: usize,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) value_type: FieldType,
    pub(super) presence: Presence,
}

/// Whether a field is written if it has its default value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// A default value is left out.
    Implicit,
    /// A default value is written.
    Explicit,
    /// A default value is written, and the field belongs to the message's `oneof`. Of several
    /// members, the one with the lowest rank is kept.
    OneOf(u8),
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldType {
    Text,
    /// An id as hexadecimal digits.
    Id,
    /// An id as hexadecimal digits. An invalid one is ignored.
    LenientId,
    /// Bytes in base64.
    Bytes,
    Bool,
    Double,
    Integer(Integer),
    /// An enum: a number, or the name of an enumerator.
    Enum(fn(&str) -> Option<i32>),
    Message(&'static Message),
    Messages(&'static Message),
    Texts,
    Doubles,
    Integers(Integer),
}

/// The protobuf encoding of an integer, which determines its range.
#[derive(Clone, Copy, Debug)]
pub(super) enum Integer {
    /// `uint32`.
    U32,
    /// `uint64`.
    U64,
    /// `int32` and enums.
    I32,
    /// `int64`.
    I64,
    /// `sint32`.
    Zigzag,
    Fixed32,
    Fixed64,
    /// `sfixed64`.
    SignedFixed64,
}

use FieldType::{
    Bool, Bytes, Double, Doubles, Enum, Id, Integers, LenientId, Messages, Text, Texts,
};
use Integer::{Fixed32, Fixed64, I64, SignedFixed64, U32, U64, Zigzag};

const fn field(name: &'static str, number: u32, value_type: FieldType) -> Field {
    Field { name, number, value_type, presence: Presence::Implicit }
}

const fn optional(name: &'static str, number: u32, value_type: FieldType) -> Field {
    Field { name, number, value_type, presence: Presence::Explicit }
}

const fn one_of(rank: u8, name: &'static str, number: u32, value_type: FieldType) -> Field {
    Field { name, number, value_type, presence: Presence::OneOf(rank) }
}

const fn integer(name: &'static str, number: u32, integer: Integer) -> Field {
    field(name, number, FieldType::Integer(integer))
}

const fn message(fields: &'static [Field]) -> Message {
    Message { fields, nests: 0 }
}

pub(super) static VALUE: Message = message(&[
    one_of(0, "stringValue", 1, Text),
    one_of(3, "boolValue", 2, Bool),
    one_of(1, "intValue", 3, FieldType::Integer(I64)),
    one_of(2, "doubleValue", 4, Double),
    one_of(4, "arrayValue", 5, FieldType::Message(&ARRAY)),
    one_of(5, "kvlistValue", 6, FieldType::Message(&LIST)),
    one_of(6, "bytesValue", 7, Bytes),
]);
static ARRAY: Message =
    Message { fields: &[field("values", 1, Messages(&VALUE))], nests: depth::LIST };
static LIST: Message =
    Message { fields: &[field("values", 1, Messages(&KEY_VALUE))], nests: depth::MAP };
pub(super) static KEY_VALUE: Message =
    message(&[field("key", 1, Text), field("value", 2, FieldType::Message(&VALUE))]);

/// The resource of a `ResourceSpans`, the scope of a `ScopeSpans`, and the schema URL of both.
pub(super) static RESOURCE_FIELD: Field = field("resource", 1, FieldType::Message(&RESOURCE));
pub(super) static SCOPE_FIELD: Field = field("scope", 1, FieldType::Message(&SCOPE));
pub(super) static SCHEMA_URL: Field = field("schemaUrl", 3, Text);

static RESOURCE: Message = message(&[
    field("attributes", 1, Messages(&KEY_VALUE)),
    integer("droppedAttributesCount", 2, U32),
    field("entityRefs", 3, Messages(&ENTITY)),
]);
static ENTITY: Message = message(&[
    field("schemaUrl", 1, Text),
    field("type", 2, Text),
    field("idKeys", 3, Texts),
    field("descriptionKeys", 4, Texts),
]);
static SCOPE: Message = message(&[
    field("name", 1, Text),
    field("version", 2, Text),
    field("attributes", 3, Messages(&KEY_VALUE)),
    integer("droppedAttributesCount", 4, U32),
]);

pub(super) static SPAN: Message = message(&[
    field("traceId", 1, Id),
    field("spanId", 2, Id),
    field("traceState", 3, Text),
    field("parentSpanId", 4, Id),
    field("name", 5, Text),
    field("kind", 6, Enum(|name| SpanKind::from_str_name(name).map(|kind| kind as i32))),
    integer("startTimeUnixNano", 7, Fixed64),
    integer("endTimeUnixNano", 8, Fixed64),
    field("attributes", 9, Messages(&KEY_VALUE)),
    integer("droppedAttributesCount", 10, U32),
    field("events", 11, Messages(&EVENT)),
    integer("droppedEventsCount", 12, U32),
    field("links", 13, Messages(&LINK)),
    integer("droppedLinksCount", 14, U32),
    field("status", 15, FieldType::Message(&STATUS)),
    integer("flags", 16, Fixed32),
]);
static EVENT: Message = message(&[
    integer("timeUnixNano", 1, Fixed64),
    field("name", 2, Text),
    field("attributes", 3, Messages(&KEY_VALUE)),
    integer("droppedAttributesCount", 4, U32),
]);
static LINK: Message = message(&[
    field("traceId", 1, LenientId),
    field("spanId", 2, LenientId),
    field("traceState", 3, Text),
    field("attributes", 4, Messages(&KEY_VALUE)),
    integer("droppedAttributesCount", 5, U32),
    integer("flags", 6, Fixed32),
]);
static STATUS: Message = message(&[
    field("message", 2, Text),
    field("code", 3, Enum(|name| StatusCode::from_str_name(name).map(|code| code as i32))),
]);

pub(super) static LOG: Message = message(&[
    integer("timeUnixNano", 1, Fixed64),
    field(
        "severityNumber",
        2,
        Enum(|name| SeverityNumber::from_str_name(name).map(|severity| severity as i32)),
    ),
    field("severityText", 3, Text),
    field("body", 5, FieldType::Message(&VALUE)),
    field("attributes", 6, Messages(&KEY_VALUE)),
    integer("droppedAttributesCount", 7, U32),
    integer("flags", 8, Fixed32),
    field("traceId", 9, LenientId),
    field("spanId", 10, LenientId),
    integer("observedTimeUnixNano", 11, Fixed64),
    field("eventName", 12, Text),
]);

/// `Metric`, without its data.
pub(super) static METRIC: Message = message(&[
    field("name", 1, Text),
    field("description", 2, Text),
    field("unit", 3, Text),
    field("metadata", 12, Messages(&KEY_VALUE)),
]);

const TEMPORALITY: Field = field(
    "aggregationTemporality",
    2,
    Enum(|name| AggregationTemporality::from_str_name(name).map(|one| one as i32)),
);

/// `Sum`, `Histogram` and `ExponentialHistogram`, without their points. `Gauge` and `Summary` have
/// no fields other than their points.
pub(super) static SUM: Message = message(&[TEMPORALITY, field("isMonotonic", 3, Bool)]);
pub(super) static HISTOGRAMS: Message = message(&[TEMPORALITY]);
pub(super) static PLAIN: Message = message(&[]);

pub(super) static NUMBER: Message = message(&[
    integer("startTimeUnixNano", 2, Fixed64),
    integer("timeUnixNano", 3, Fixed64),
    one_of(0, "asDouble", 4, Double),
    field("exemplars", 5, Messages(&EXEMPLAR)),
    one_of(1, "asInt", 6, FieldType::Integer(SignedFixed64)),
    field("attributes", 7, Messages(&KEY_VALUE)),
    integer("flags", 8, U32),
]);
pub(super) static HISTOGRAM: Message = message(&[
    integer("startTimeUnixNano", 2, Fixed64),
    integer("timeUnixNano", 3, Fixed64),
    integer("count", 4, Fixed64),
    optional("sum", 5, Double),
    field("bucketCounts", 6, Integers(Fixed64)),
    field("explicitBounds", 7, Doubles),
    field("exemplars", 8, Messages(&EXEMPLAR)),
    field("attributes", 9, Messages(&KEY_VALUE)),
    integer("flags", 10, U32),
    optional("min", 11, Double),
    optional("max", 12, Double),
]);
pub(super) static EXPONENTIAL: Message = message(&[
    field("attributes", 1, Messages(&KEY_VALUE)),
    integer("startTimeUnixNano", 2, Fixed64),
    integer("timeUnixNano", 3, Fixed64),
    integer("count", 4, Fixed64),
    optional("sum", 5, Double),
    integer("scale", 6, Zigzag),
    integer("zeroCount", 7, Fixed64),
    field("positive", 8, FieldType::Message(&BUCKETS)),
    field("negative", 9, FieldType::Message(&BUCKETS)),
    integer("flags", 10, U32),
    field("exemplars", 11, Messages(&EXEMPLAR)),
    optional("min", 12, Double),
    optional("max", 13, Double),
    field("zeroThreshold", 14, Double),
]);
static BUCKETS: Message =
    message(&[integer("offset", 1, Zigzag), field("bucketCounts", 2, Integers(U64))]);
pub(super) static SUMMARY: Message = message(&[
    integer("startTimeUnixNano", 2, Fixed64),
    integer("timeUnixNano", 3, Fixed64),
    integer("count", 4, Fixed64),
    field("sum", 5, Double),
    field("quantileValues", 6, Messages(&QUANTILE)),
    field("attributes", 7, Messages(&KEY_VALUE)),
    integer("flags", 8, U32),
]);
static QUANTILE: Message = message(&[field("quantile", 1, Double), field("value", 2, Double)]);
static EXEMPLAR: Message = message(&[
    integer("timeUnixNano", 2, Fixed64),
    one_of(0, "asDouble", 3, Double),
    field("spanId", 4, LenientId),
    field("traceId", 5, LenientId),
    one_of(1, "asInt", 6, FieldType::Integer(SignedFixed64)),
    field("filteredAttributes", 7, Messages(&KEY_VALUE)),
]);
