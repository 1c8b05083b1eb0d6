//! Values and lists of values, borrowed: from a record's bytes, or from a [`Value`].
//!
//! A value may be a list or a map of values, so the types refer to each other.

mod traits;

use super::value::{Attributes, KeyValue, Value};
use crate::wire::{Fields, Raw, Writer, depth, field_of};

/// A value, borrowed from the record that holds it, or from a [`Value`]. Copying one costs nothing;
/// reading one allocates nothing.
///
/// Equal, hashed, displayed and serialised as the [`Value`] of the same content is.
#[derive(Clone, Copy, Debug, Default)]
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
    /// Values by name.
    Map(AttributesRef<'a>),
}

impl<'a> ValueRef<'a> {
    /// Reads an `AnyValue`.
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

    /// Copies it into a [`Value`]. O(bytes), with an allocation for each text and list.
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

    /// Writes it as an `AnyValue`, without the key of the field that holds it. What lies in lists
    /// and maps that count so much already is left empty if no reader would follow.
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

/// A list of values, borrowed. Iterate it; O(1) for each value passed.
#[derive(Clone, Copy)]
pub struct ValuesRef<'a>(Values<'a>);

#[derive(Clone, Copy)]
enum Values<'a> {
    /// An `ArrayValue`.
    Wire(&'a [u8]),
    Owned(&'a [Value]),
}

/// A named value, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeRef<'a> {
    /// The name.
    pub key: &'a str,
    /// The value.
    pub value: ValueRef<'a>,
}

/// Named values in the order in which they came, borrowed from the record that holds them, or from
/// [`Attributes`].
///
/// A list is gone through from its start each time: O(attributes) to find one, which for the few
/// that a record has is fast.
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
    /// A message, and the number of its field that repeats a `KeyValue`.
    Wire(&'a [u8], u32),
    Owned(&'a [KeyValue]),
}

/// The values of a list.
#[derive(Clone)]
pub struct ValuesIter<'a>(Iter<Fields<'a>, std::slice::Iter<'a, Value>>);

/// The attributes of a list.
#[derive(Clone)]
pub struct AttributesIter<'a>(Iter<(Fields<'a>, u32), std::slice::Iter<'a, KeyValue>>);

#[derive(Clone)]
enum Iter<W, O> {
    Wire(W),
    Owned(O),
}

impl<'a> ValuesRef<'a> {
    /// Reads an `ArrayValue`.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(Values::Wire(message))
    }

    pub(super) fn owned(values: &'a [Value]) -> Self {
        Self(Values::Owned(values))
    }

    /// Writes the fields of an `ArrayValue`, in lists and maps that count so much: see
    /// [`ValueRef::write`].
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

    /// Returns the number of them. O(values).
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Returns whether there are none.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> AttributesRef<'a> {
    /// Reads the fields of this number in a message.
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

    /// Iterates over the values of this name: one, unless the sender repeated it. O(attributes);
    /// other values are passed over unread.
    pub fn named<'n>(self, name: &'n str) -> impl Iterator<Item = ValueRef<'a>> + use<'a, 'n> {
        let (wire, owned) = match self.0 {
            List::Wire(message, number) => (Fields::of(message), (number, [].iter())),
            List::Owned(list) => (Fields::default(), (0, list.iter())),
        };
        let (number, owned) = owned;
        let wire = wire.filter(move |field| field.number == number).filter_map(move |field| {
            let entry = field.raw.bytes();
            let key = field_of(entry, 1).map_or(&[][..], Raw::bytes);
            (key == name.as_bytes()).then(|| value_of(entry))
        });
        wire.chain(owned.filter(move |one| &*one.key == name).map(|one| ValueRef::from(&one.value)))
    }

    /// Returns the number of them. O(attributes).
    pub fn len(self) -> usize {
        match self.0 {
            List::Wire(message, number) => {
                Fields::of(message).filter(|field| field.number == number).count()
            }
            List::Owned(list) => list.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(self) -> bool {
        match self.0 {
            List::Wire(message, number) => field_of(message, number).is_none(),
            List::Owned(list) => list.is_empty(),
        }
    }

    /// Copies them into [`Attributes`]. O(bytes), with an allocation for the list and for each
    /// name, text and list in it.
    pub fn to_attributes(self) -> Attributes {
        self.iter()
            .map(|one| KeyValue { key: one.key.into(), value: one.value.to_value() })
            .collect()
    }

    /// Writes them as a repeated field of this number.
    pub(crate) fn write(self, number: u32, writer: &mut Writer<'_>) {
        self.write_within(0, number, writer);
    }

    /// Writes them within lists and maps that count so much: see [`ValueRef::write`].
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

/// Reads the value of a `KeyValue`.
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
