//! Values and attributes, borrowed: from a record's bytes, or from a [`Value`].

use super::value::{Attributes, KeyValue, Value};
use crate::wire::{Fields, Raw, Writer, field_of};
#[cfg(feature = "serde")]
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A value, borrowed from the record that holds it, or from a [`Value`]. Copying one costs nothing; reading one allocates nothing.
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

/// Named values in the order in which they came, borrowed from the record that holds them, or from [`Attributes`].
///
/// A list is gone through from its start each time: O(attributes) to find one, which for the few that a record has is fast.
///
/// ```
/// use slipring::{LogRecord, ValueRef};
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

impl<'a> ValueRef<'a> {
    /// Of an `AnyValue`.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        for field in Fields::of(message) {
            return match field.number {
                1 => ValueRef::Text(field.raw.text()),
                2 => ValueRef::Bool(field.raw.number() != 0),
                3 => ValueRef::Int(field.raw.number() as i64),
                4 => ValueRef::Double(field.raw.double()),
                5 => ValueRef::Array(ValuesRef(Values::Wire(field.raw.bytes()))),
                6 => ValueRef::Map(AttributesRef::of(field.raw.bytes(), 1)),
                7 => ValueRef::Bytes(field.raw.bytes()),
                8 => ValueRef::Empty,
                _ => continue,
            };
        }
        ValueRef::Empty
    }

    /// The text, if this is [`Text`](ValueRef::Text).
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            ValueRef::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same value, owned. O(bytes), with an allocation for each text and list.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Empty => Value::Empty,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::Text(text) => Value::Text(text.into()),
            ValueRef::Bytes(bytes) => Value::Bytes(bytes.into()),
            ValueRef::Array(values) => Value::Array(values.iter().map(ValueRef::to_value).collect()),
            ValueRef::Map(entries) => Value::Map(entries.to_attributes()),
        }
    }

    /// Writes it as an `AnyValue`, without the key of the field that holds it.
    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        match self {
            ValueRef::Empty => {}
            ValueRef::Bool(value) => writer.always_number(2, value.into()),
            ValueRef::Int(value) => writer.always_number(3, value as u64),
            ValueRef::Double(value) => writer.always_fixed64(4, value.to_bits()),
            ValueRef::Text(text) => writer.always_bytes(1, text.as_bytes()),
            ValueRef::Bytes(bytes) => writer.always_bytes(7, bytes),
            ValueRef::Array(ValuesRef(Values::Wire(bytes))) => writer.always_bytes(5, bytes),
            ValueRef::Array(values) => writer.nested(5, |writer| {
                values.iter().for_each(|value| writer.nested(1, |writer| value.write(writer)));
            }),
            ValueRef::Map(entries) => writer.nested(6, |writer| entries.write(1, writer)),
        }
    }
}

impl<'a> ValuesRef<'a> {
    /// The values.
    pub fn iter(self) -> ValuesIter<'a> {
        ValuesIter(match self.0 {
            Values::Wire(message) => Iter::Wire(Fields::of(message)),
            Values::Owned(values) => Iter::Owned(values.iter()),
        })
    }

    /// How many there are. O(values).
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> AttributesRef<'a> {
    /// Those in the field of this number of a message.
    pub(crate) fn of(message: &'a [u8], number: u32) -> Self {
        Self(List::Wire(message, number))
    }

    /// The attributes.
    pub fn iter(self) -> AttributesIter<'a> {
        AttributesIter(match self.0 {
            List::Wire(message, number) => Iter::Wire((Fields::of(message), number)),
            List::Owned(list) => Iter::Owned(list.iter()),
        })
    }

    /// The first value of this name. O(attributes).
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        self.named(name).next()
    }

    /// The values of this name: one, unless the sender repeated it. O(attributes); other values are passed over unread.
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

    /// How many there are. O(attributes).
    pub fn len(self) -> usize {
        match self.0 {
            List::Wire(message, number) => Fields::of(message).filter(|field| field.number == number).count(),
            List::Owned(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        match self.0 {
            List::Wire(message, number) => field_of(message, number).is_none(),
            List::Owned(list) => list.is_empty(),
        }
    }

    /// The same attributes, owned. O(bytes), with an allocation for the list and for each name, text and list in it.
    pub fn to_attributes(self) -> Attributes {
        self.iter().map(|one| KeyValue { key: one.key.into(), value: one.value.to_value() }).collect()
    }

    /// Writes them as a repeated field of this number.
    pub(crate) fn write(self, number: u32, writer: &mut Writer<'_>) {
        match self.0 {
            List::Wire(message, from) => Fields::of(message)
                .filter(|field| field.number == from)
                .for_each(|field| writer.always_bytes(number, field.raw.bytes())),
            List::Owned(list) => list.iter().for_each(|one| AttributeRef::from(one).write(number, writer)),
        }
    }
}

impl AttributeRef<'_> {
    pub(crate) fn write(self, number: u32, writer: &mut Writer<'_>) {
        writer.nested(number, |writer| {
            writer.bytes(1, self.key.as_bytes());
            writer.nested(2, |writer| self.value.write(writer));
        });
    }
}

/// The value in a `KeyValue`.
fn value_of(entry: &[u8]) -> ValueRef<'_> {
    field_of(entry, 2).map_or(ValueRef::Empty, |value| ValueRef::of(value.bytes()))
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        match &mut self.0 {
            Iter::Wire(fields) => fields.find(|field| field.number == 1).map(|field| ValueRef::of(field.raw.bytes())),
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

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Empty => ValueRef::Empty,
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::Int(value) => ValueRef::Int(*value),
            Value::Double(value) => ValueRef::Double(*value),
            Value::Text(text) => ValueRef::Text(text),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::Array(values) => ValueRef::Array(ValuesRef(Values::Owned(values))),
            Value::Map(entries) => ValueRef::Map(entries.into()),
        }
    }
}

impl<'a> From<&'a KeyValue> for AttributeRef<'a> {
    fn from(one: &'a KeyValue) -> Self {
        Self { key: &one.key, value: (&one.value).into() }
    }
}

impl<'a> From<&'a Attributes> for AttributesRef<'a> {
    fn from(attributes: &'a Attributes) -> Self {
        Self(List::Owned(attributes))
    }
}

impl<'a> From<&'a [KeyValue]> for AttributesRef<'a> {
    fn from(attributes: &'a [KeyValue]) -> Self {
        Self(List::Owned(attributes))
    }
}

impl<'a> From<&'a str> for ValueRef<'a> {
    fn from(text: &'a str) -> Self {
        ValueRef::Text(text)
    }
}

impl<'a> From<&'a String> for ValueRef<'a> {
    fn from(text: &'a String) -> Self {
        ValueRef::Text(text)
    }
}

impl<'a> From<&'a [u8]> for ValueRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        ValueRef::Bytes(bytes)
    }
}

impl<'a> From<&'a Attributes> for ValueRef<'a> {
    fn from(entries: &'a Attributes) -> Self {
        ValueRef::Map(entries.into())
    }
}

impl From<bool> for ValueRef<'_> {
    fn from(value: bool) -> Self {
        ValueRef::Bool(value)
    }
}

impl From<i64> for ValueRef<'_> {
    fn from(value: i64) -> Self {
        ValueRef::Int(value)
    }
}

impl From<f64> for ValueRef<'_> {
    fn from(value: f64) -> Self {
        ValueRef::Double(value)
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (ValueRef::Empty, ValueRef::Empty) => true,
            (ValueRef::Bool(a), ValueRef::Bool(b)) => a == b,
            (ValueRef::Int(a), ValueRef::Int(b)) => a == b,
            (ValueRef::Double(a), ValueRef::Double(b)) => a.to_bits() == b.to_bits(),
            (ValueRef::Text(a), ValueRef::Text(b)) => a == b,
            (ValueRef::Bytes(a), ValueRef::Bytes(b)) => a == b,
            (ValueRef::Array(a), ValueRef::Array(b)) => a == b,
            (ValueRef::Map(a), ValueRef::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for ValueRef<'_> {}

impl PartialEq<Value> for ValueRef<'_> {
    fn eq(&self, other: &Value) -> bool {
        *self == ValueRef::from(other)
    }
}

impl Hash for ValueRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            ValueRef::Empty => {}
            ValueRef::Bool(value) => value.hash(state),
            ValueRef::Int(value) => value.hash(state),
            ValueRef::Double(value) => value.to_bits().hash(state),
            ValueRef::Text(text) => text.hash(state),
            ValueRef::Bytes(bytes) => bytes.hash(state),
            ValueRef::Array(values) => values.hash(state),
            ValueRef::Map(entries) => entries.hash(state),
        }
    }
}

macro_rules! list {
    ($list:ident) => {
        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        /// In a length's place stands an end, since the length is not known without going through the list.
        impl Hash for $list<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.iter().for_each(|one| (true, one).hash(state));
                state.write_u8(0);
            }
        }

        impl fmt::Debug for $list<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    };
}

list!(ValuesRef);
list!(AttributesRef);

impl fmt::Debug for ValuesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl fmt::Debug for AttributesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// For a person to read: text as it is, bytes as hexadecimal digits, `[1, 2]`, `{name=value}`.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueRef::Empty => Ok(()),
            ValueRef::Bool(value) => value.fmt(f),
            ValueRef::Int(value) => value.fmt(f),
            ValueRef::Double(value) => value.fmt(f),
            ValueRef::Text(text) => f.pad(text),
            ValueRef::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            ValueRef::Array(values) => {
                f.write_str("[")?;
                for (position, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            ValueRef::Map(entries) => entries.fmt(f),
        }
    }
}

/// For a person to read: `{name=value, name=value}`.
impl fmt::Display for AttributesRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, AttributeRef { key, value }) in self.iter().enumerate() {
            write!(f, "{}{key}={value}", if position == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ValueRef<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ValueRef::Empty => serializer.serialize_unit(),
            ValueRef::Bool(value) => serializer.serialize_bool(*value),
            ValueRef::Int(value) => super::plain::whole(value, serializer),
            ValueRef::Double(value) => super::plain::double(value, serializer),
            ValueRef::Text(text) => serializer.serialize_str(text),
            ValueRef::Bytes(bytes) => bytes.serialize(serializer),
            ValueRef::Array(values) => serializer.collect_seq(values.iter()),
            ValueRef::Map(entries) => entries.serialize(serializer),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for AttributesRef<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to so many, each is compared with each: that takes less than a table of them.
        const FEW: usize = 16;
        let is_repeated = |(place, name): (usize, &str)| self.iter().take(place).any(|other| other.key == name);
        if self.iter().nth(FEW).is_none() && !self.iter().map(|one| one.key).enumerate().any(is_repeated) {
            return serializer.collect_map(self.iter().map(|one| (one.key, one.value)));
        }
        // Of one name the last: setting it again overwrites, says the specification, and an object has each name once.
        let last: HashMap<&str, usize> = self.iter().enumerate().map(|(place, one)| (one.key, place)).collect();
        let each = self.iter().enumerate().filter(|(place, one)| last[one.key] == *place);
        serializer.collect_map(each.map(|(_, one)| (one.key, one.value)))
    }
}
