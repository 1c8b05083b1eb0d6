//! Values, borrowed: from a record's bytes, or from a [`Value`].

use super::value::{Attributes, Value};
use super::{AttributesRef, ValuesRef};
use crate::wire::{Fields, Writer, depth};
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
            ValueRef::Array(values) => Value::Array(values.iter().map(ValueRef::to_value).collect()),
            ValueRef::Map(entries) => Value::Map(entries.to_attributes()),
        }
    }

    /// Writes it as an `AnyValue`, without the key of the field that holds it. What lies in lists and maps that count so much
    /// already is left empty if no reader would follow.
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

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Empty => ValueRef::Empty,
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::Int(value) => ValueRef::Int(*value),
            Value::Double(value) => ValueRef::Double(*value),
            Value::Text(text) => ValueRef::Text(text),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::Array(values) => ValueRef::Array(ValuesRef::owned(values)),
            Value::Map(entries) => ValueRef::Map(entries.into()),
        }
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
