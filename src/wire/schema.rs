//! The schemas of OTLP's messages: the type of each field.
//!
//! They follow opentelemetry-proto 1.8, with the profiles' additions to values. A test compares
//! each with `prost`'s decoder.

use super::depth;

/// The fields of a message by their numbers, and its cost in depth.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The type of the field with each number.
    pub(super) fields: [Type; NUMBERS],
    /// The members of the message's `oneof`, as bits of their numbers.
    pub(super) one_of: u32,
    /// The cost of the message for the values in it: see [`depth`](super::depth).
    pub(super) nests: usize,
    /// Whether the message is an `AnyValue`, at which the depth is checked.
    pub(super) value: bool,
}

/// An exclusive upper bound of the field numbers that the protocol's messages use.
pub(super) const NUMBERS: usize = 17;

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    /// A field that the protocol does not define.
    Unknown,
    /// `fixed64`, `sfixed64`, `double`.
    Fixed64,
    /// `fixed32`.
    Fixed32,
    /// `uint32`, `int64`, `bool`, enums and other varints.
    Varint,
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// A message.
    Message(&'static Schema),
    /// `repeated fixed64`, `repeated double`.
    ManyFixed64,
    /// `repeated uint64`.
    ManyVarint,
    /// `repeated string`.
    ManyTexts,
    /// Repeated messages.
    Many(&'static Schema),
}

const fn of<const N: usize>(known: [(usize, Type); N]) -> Schema {
    let mut fields = [Type::Unknown; NUMBERS];
    let mut at = 0;
    while at < N {
        fields[known[at].0] = known[at].1;
        at += 1;
    }
    Schema { fields, one_of: 0, nests: 0, value: false }
}

impl Schema {
    /// Returns the type of the field with this number.
    #[inline(always)]
    pub(super) fn type_of(&self, number: u32) -> Type {
        self.fields.get(number as usize).copied().unwrap_or(Type::Unknown)
    }

    /// Returns whether the field with this number belongs to the `oneof`.
    pub(super) fn is_member(&self, number: u32) -> bool {
        (number as usize) < NUMBERS && self.one_of & 1 << number != 0
    }

    const fn with_one_of(self, one_of: u32) -> Self {
        Self { one_of, ..self }
    }

    const fn that_nests(self, nests: usize) -> Self {
        Self { nests, ..self }
    }
}

use Type::{
    Bytes, Fixed32, Fixed64, Many, ManyFixed64, ManyTexts, ManyVarint, Message, Text, Varint,
};

pub(crate) static ANY_VALUE: Schema = Schema {
    value: true,
    ..of([
        (1, Text),
        (2, Varint),
        (3, Varint),
        (4, Fixed64),
        (5, Message(&ARRAY)),
        (6, Message(&LIST)),
        (7, Bytes),
        (8, Varint),
    ])
    .with_one_of(0x1fe)
};
static ARRAY: Schema = of([(1, Many(&ANY_VALUE))]).that_nests(depth::LIST);
static LIST: Schema = of([(1, Many(&KEY_VALUE))]).that_nests(depth::MAP);
pub(crate) static KEY_VALUE: Schema = of([(1, Text), (2, Message(&ANY_VALUE)), (3, Varint)]);

pub(crate) static RESOURCE: Schema = of([(1, Many(&KEY_VALUE)), (2, Varint), (3, Many(&ENTITY))]);
static ENTITY: Schema = of([(1, Text), (2, Text), (3, ManyTexts), (4, ManyTexts)]);
pub(crate) static SCOPE: Schema = of([(1, Text), (2, Text), (3, Many(&KEY_VALUE)), (4, Varint)]);

pub(crate) static SPAN: Schema = of([
    (1, Bytes),
    (2, Bytes),
    (3, Text),
    (4, Bytes),
    (5, Text),
    (6, Varint),
    (7, Fixed64),
    (8, Fixed64),
    (9, Many(&KEY_VALUE)),
    (10, Varint),
    (11, Many(&EVENT)),
    (12, Varint),
    (13, Many(&LINK)),
    (14, Varint),
    (15, Message(&STATUS)),
    (16, Fixed32),
]);
static EVENT: Schema = of([(1, Fixed64), (2, Text), (3, Many(&KEY_VALUE)), (4, Varint)]);
static LINK: Schema =
    of([(1, Bytes), (2, Bytes), (3, Text), (4, Many(&KEY_VALUE)), (5, Varint), (6, Fixed32)]);
static STATUS: Schema = of([(2, Text), (3, Varint)]);

pub(crate) static LOG: Schema = of([
    (1, Fixed64),
    (2, Varint),
    (3, Text),
    (5, Message(&ANY_VALUE)),
    (6, Many(&KEY_VALUE)),
    (7, Varint),
    (8, Fixed32),
    (9, Bytes),
    (10, Bytes),
    (11, Fixed64),
    (12, Text),
]);

/// `Metric`, without its data.
pub(crate) static METRIC: Schema = of([(1, Text), (2, Text), (3, Text), (12, Many(&KEY_VALUE))]);

/// Returns the schema of a metric's data in the field of this number, without its points.
pub(crate) fn data(tag: u32) -> &'static Schema {
    match tag {
        7 => &SUM,
        9 | 10 => &DISTRIBUTION,
        _ => &PLAIN,
    }
}
static SUM: Schema = of([(2, Varint), (3, Varint)]);
/// `Histogram` and `ExponentialHistogram`.
static DISTRIBUTION: Schema = of([(2, Varint)]);
/// `Gauge` and `Summary`.
static PLAIN: Schema = of([]);

pub(crate) static NUMBER: Schema = of([
    (2, Fixed64),
    (3, Fixed64),
    (4, Fixed64),
    (5, Many(&EXEMPLAR)),
    (6, Fixed64),
    (7, Many(&KEY_VALUE)),
    (8, Varint),
])
.with_one_of(1 << 4 | 1 << 6);
pub(crate) static HISTOGRAM: Schema = of([
    (2, Fixed64),
    (3, Fixed64),
    (4, Fixed64),
    (5, Fixed64),
    (6, ManyFixed64),
    (7, ManyFixed64),
    (8, Many(&EXEMPLAR)),
    (9, Many(&KEY_VALUE)),
    (10, Varint),
    (11, Fixed64),
    (12, Fixed64),
]);
pub(crate) static EXPONENTIAL: Schema = of([
    (1, Many(&KEY_VALUE)),
    (2, Fixed64),
    (3, Fixed64),
    (4, Fixed64),
    (5, Fixed64),
    (6, Varint),
    (7, Fixed64),
    (8, Message(&BUCKETS)),
    (9, Message(&BUCKETS)),
    (10, Varint),
    (11, Many(&EXEMPLAR)),
    (12, Fixed64),
    (13, Fixed64),
    (14, Fixed64),
]);
static BUCKETS: Schema = of([(1, Varint), (2, ManyVarint)]);
pub(crate) static SUMMARY: Schema = of([
    (2, Fixed64),
    (3, Fixed64),
    (4, Fixed64),
    (5, Fixed64),
    (6, Many(&QUANTILE)),
    (7, Many(&KEY_VALUE)),
    (8, Varint),
]);
static QUANTILE: Schema = of([(1, Fixed64), (2, Fixed64)]);
static EXEMPLAR: Schema =
    of([(2, Fixed64), (3, Fixed64), (4, Bytes), (5, Bytes), (6, Fixed64), (7, Many(&KEY_VALUE))])
        .with_one_of(1 << 3 | 1 << 6);
