//! Borrowed values and lists of values, from a record's bytes or from a [`Value`].
//!
//! A value may be a list or a map of values, so the types refer to each other and share a module.

mod traits;

use super::value::{Attributes, KeyValue, Value};
use crate::wire::{Fields, Raw, Writer, depth, field_of};

/// A value, borrowed from the record that holds it or from a [`Value`]. Copying it is cheap, and
/// reading it allocates nothing.
///
/// It is compared, hashed, displayed and serialized as the [`Value`] of the same content.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// No value.
    #[default]
    Empty,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// A list of values.
    Array(ValuesRef<'a>),
    /// A list of named values.
    Map(AttributesRef<'a>),
}

impl<'a> ValueRef<'a> {
    /// Reads an encoded `AnyValue`.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        for field in Fields::of(message) {
            return match field.number {
                1 => ValueRef::Text(field.raw.text()),
                2 => ValueRef::Bool(field.raw.number() != 0),
                3 => ValueRef::Int(field.raw.number() as i64),
                4 => ValueRef::Double(field.raw.double()),
                5 => ValueRef::Array(ValuesRef::of(field.raw.bytes())),
                6 => ValueRef::Map(AttributesRef::of(field.raw.bytes(), 1)),
                7 => ValueRef::Bytes(field.raw.bytes()),
                8 => ValueRef::Empty,
                _ => continue,
            };
        }
        ValueRef::Empty
    }

    /// Returns the text, if this is [`Text`](ValueRef::Text).
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            ValueRef::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Copies the value into a [`Value`]. O(bytes), with an allocation for each text and list.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Empty => Value::Empty,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::Text(text) => Value::Text(text.into()),
            ValueRef::Bytes(bytes) => Value::Bytes(bytes.into()),
            ValueRef::Array(values) => {
                Value::Array(values.iter().map(ValueRef::to_value).collect())
            }
            ValueRef::Map(entries) => Value::Map(entries.to_attributes()),
        }
    }

    /// Writes the value as an `AnyValue`, without the key of the field that holds it. `depth` is
    /// the sum of the [`depth`](crate::wire::depth) costs of the enclosing lists and maps. A list
    /// or map that exceeds the limit is written as an empty value, since readers would refuse the
    /// message.
    pub(crate) fn write(self, depth: usize, writer: &mut Writer<'_>) {
        match self {
            ValueRef::Empty => {}
            ValueRef::Bool(value) => writer.always_number(2, value.into()),
            ValueRef::Int(value) => writer.always_number(3, value as u64),
            ValueRef::Double(value) => writer.always_fixed64(4, value.to_bits()),
            ValueRef::Text(text) => writer.always_bytes(1, text.as_bytes()),
            ValueRef::Bytes(bytes) => writer.always_bytes(7, bytes),
            ValueRef::Array(values) if depth + depth::LIST <= depth::DEEPEST => {
                writer.nested(5, |writer| values.write(depth + depth::LIST, writer));
            }
            ValueRef::Map(entries) if depth + depth::MAP <= depth::DEEPEST => {
                writer.nested(6, |writer| entries.write_within(depth + depth::MAP, 1, writer));
            }
            ValueRef::Array(_) | ValueRef::Map(_) => {}
        }
    }
}

/// A borrowed list of values. Iterating takes O(1) per value.
#[derive(Clone, Copy)]
pub struct ValuesRef<'a>(Values<'a>);

#[derive(Clone, Copy)]
enum Values<'a> {
    /// An encoded `ArrayValue`.
    Wire(&'a [u8]),
    Owned(&'a [Value]),
}

/// A borrowed named value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeRef<'a> {
    /// The name.
    pub key: &'a str,
    /// The value.
    pub value: ValueRef<'a>,
}

/// A list of named values, in the order in which they arrived, borrowed from the record that holds
/// them or from [`Attributes`].
///
/// Each access scans the list from its start. Finding a name takes O(attributes), which is fast for
/// the few attributes that a record has.
///
/// ```
/// use slipring::LogRecord;
/// use slipring::attribute::ValueRef;
///
/// let log = LogRecord::builder().attribute("disk", "sda1").attribute("used", 93).build();
/// assert_eq!(log.attributes().get("used"), Some(ValueRef::Int(93)));
/// let names: Vec<&str> = log.attributes().iter().map(|attribute| attribute.key).collect();
/// assert_eq!(names, ["disk", "used"]);
/// ```
#[derive(Clone, Copy)]
pub struct AttributesRef<'a>(List<'a>);

#[derive(Clone, Copy)]
enum List<'a> {
    /// A message, and the number of its repeated field of `KeyValue`s.
    Wire(&'a [u8], u32),
    Owned(&'a [KeyValue]),
}

/// An iterator over the values of a [`ValuesRef`].
#[derive(Clone)]
pub struct ValuesIter<'a>(Iter<Fields<'a>, std::slice::Iter<'a, Value>>);

/// An iterator over the attributes of an [`AttributesRef`].
#[derive(Clone)]
pub struct AttributesIter<'a>(Iter<(Fields<'a>, u32), std::slice::Iter<'a, KeyValue>>);

#[derive(Clone)]
enum Iter<W, O> {
    Wire(W),
    Owned(O),
}

impl<'a> ValuesRef<'a> {
    /// Reads an encoded `ArrayValue`.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(Values::Wire(message))
    }

    pub(super) fn owned(values: &'a [Value]) -> Self {
        Self(Values::Owned(values))
    }

    /// Writes the fields of an `ArrayValue` at this depth: see [`ValueRef::write`].
    pub(super) fn write(self, depth: usize, writer: &mut Writer<'_>) {
        match self.0 {
            Values::Wire(message) => writer.0.extend_from_slice(message),
            Values::Owned(values) => values.iter().for_each(|value| {
                writer.nested(1, |writer| ValueRef::from(value).write(depth, writer))
            }),
        }
    }

    /// Iterates over the values.
    pub fn iter(self) -> ValuesIter<'a> {
        ValuesIter(match self.0 {
            Values::Wire(message) => Iter::Wire(Fields::of(message)),
            Values::Owned(values) => Iter::Owned(values.iter()),
        })
    }

    /// Returns the number of values. O(values).
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

/// Returns the value of an encoded attribute, if it has this name.
#[inline]
pub(crate) fn value_if_named<'a>(attribute: &'a [u8], name: &str) -> Option<ValueRef<'a>> {
    let key = match attribute {
        // The key comes first, and is short.
        &[0x0a, length @ ..0x80, ref rest @ ..] => rest.get(..length.into()).unwrap_or_default(),
        _ => field_of(attribute, 1).map_or(&[][..], Raw::bytes),
    };
    (key == name.as_bytes()).then(|| value_of(attribute))
}

impl<'a> AttributesRef<'a> {
    /// Returns the attributes in a message's repeated field of this number.
    pub(crate) fn of(message: &'a [u8], number: u32) -> Self {
        Self(List::Wire(message, number))
    }

    /// Iterates over the attributes.
    pub fn iter(self) -> AttributesIter<'a> {
        AttributesIter(match self.0 {
            List::Wire(message, number) => Iter::Wire((Fields::of(message), number)),
            List::Owned(list) => Iter::Owned(list.iter()),
        })
    }

    /// Returns the first value of this name. O(attributes).
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        self.named(name).next()
    }

    /// Iterates over the values of this name. There is one, unless the sender repeated the name.
    /// O(attributes). Other values are skipped without being decoded.
    pub fn named<'n>(self, name: &'n str) -> impl Iterator<Item = ValueRef<'a>> + use<'a, 'n> {
        let (wire, owned) = match self.0 {
            List::Wire(message, number) => (Fields::of(message), (number, [].iter())),
            List::Owned(list) => (Fields::default(), (0, list.iter())),
        };
        let (number, owned) = owned;
        let wire = wire
            .filter(move |field| field.number == number)
            .filter_map(move |field| value_if_named(field.raw.bytes(), name));
        wire.chain(owned.filter(move |one| &*one.key == name).map(|one| ValueRef::from(&one.value)))
    }

    /// Returns whether `test` accepts a value of this name.
    #[inline]
    pub(crate) fn any_named(self, name: &str, test: &mut dyn FnMut(ValueRef<'_>) -> bool) -> bool {
        match self.0 {
            List::Wire(message, wanted) => Fields::of(message).any_bytes(|number, bytes| {
                number == wanted && value_if_named(bytes, name).is_some_and(&mut *test)
            }),
            List::Owned(_) => self.named(name).any(test),
        }
    }

    /// Returns the number of attributes. O(attributes).
    pub fn len(self) -> usize {
        match self.0 {
            List::Wire(message, number) => {
                Fields::of(message).filter(|field| field.number == number).count()
            }
            List::Owned(list) => list.len(),
        }
    }

    /// Returns whether the list is empty.
    pub fn is_empty(self) -> bool {
        match self.0 {
            List::Wire(message, number) => field_of(message, number).is_none(),
            List::Owned(list) => list.is_empty(),
        }
    }

    /// Copies the list into [`Attributes`]. O(bytes), with an allocation for the list and for each
    /// name, text and list in it.
    pub fn to_attributes(self) -> Attributes {
        self.iter()
            .map(|one| KeyValue { key: one.key.into(), value: one.value.to_value() })
            .collect()
    }

    /// Writes the attributes as a repeated field of this number.
    pub(crate) fn write(self, number: u32, writer: &mut Writer<'_>) {
        self.write_within(0, number, writer);
    }

    /// Writes the attributes at this depth: see [`ValueRef::write`].
    pub(super) fn write_within(self, depth: usize, number: u32, writer: &mut Writer<'_>) {
        match self.0 {
            List::Wire(message, from) => Fields::of(message)
                .filter(|field| field.number == from)
                .for_each(|field| writer.always_bytes(number, field.raw.bytes())),
            List::Owned(list) => {
                list.iter()
                    .for_each(|one| AttributeRef::from(one).write_within(depth, number, writer));
            }
        }
    }
}

impl AttributeRef<'_> {
    pub(crate) fn write(self, number: u32, writer: &mut Writer<'_>) {
        self.write_within(0, number, writer);
    }

    fn write_within(self, depth: usize, number: u32, writer: &mut Writer<'_>) {
        writer.nested(number, |writer| {
            writer.bytes(1, self.key.as_bytes());
            writer.nested(2, |writer| self.value.write(depth, writer));
        });
    }
}

/// Returns the value of an encoded `KeyValue`.
fn value_of(entry: &[u8]) -> ValueRef<'_> {
    field_of(entry, 2).map_or(ValueRef::Empty, |value| ValueRef::of(value.bytes()))
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        match &mut self.0 {
            Iter::Wire(fields) => {
                fields.find(|field| field.number == 1).map(|field| ValueRef::of(field.raw.bytes()))
            }
            Iter::Owned(values) => values.next().map(ValueRef::from),
        }
    }
}

impl<'a> Iterator for AttributesIter<'a> {
    type Item = AttributeRef<'a>;

    fn next(&mut self) -> Option<AttributeRef<'a>> {
        match &mut self.0 {
            Iter::Wire((fields, number)) => {
                let entry = fields.find(|field| field.number == *number)?.raw.bytes();
                let key = field_of(entry, 1).map_or("", Raw::text);
                Some(AttributeRef { key, value: value_of(entry) })
            }
            Iter::Owned(list) => list.next().map(AttributeRef::from),
        }
    }
}

impl<'a> IntoIterator for ValuesRef<'a> {
    type Item = ValueRef<'a>;
    type IntoIter = ValuesIter<'a>;

    fn into_iter(self) -> ValuesIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for AttributesRef<'a> {
    type Item = AttributeRef<'a>;
    type IntoIter = AttributesIter<'a>;

    fn into_iter(self) -> AttributesIter<'a> {
        self.iter()
    }
}

impl Default for AttributesRef<'_> {
    fn default() -> Self {
        Self(List::Owned(&[]))
    }
}
