//! Conversions, comparison, hashing, display and serialization of values. Owned values delegate to
//! borrowed ones.

use super::{AttributeRef, AttributesIter, AttributesRef, List, ValueRef, ValuesIter, ValuesRef};
use crate::signal::value::{Attributes, KeyValue, Value};
#[cfg(feature = "serde")]
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};

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

/// Formats the value for people: text unquoted, bytes as hexadecimal digits, lists as `[1, 2]`,
/// maps as `{name=value}`.
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
            ValueRef::Int(value) => crate::signal::plain::whole(value, serializer),
            ValueRef::Double(value) => crate::signal::plain::double(value, serializer),
            ValueRef::Text(text) => serializer.serialize_str(text),
            ValueRef::Bytes(bytes) => bytes.serialize(serializer),
            ValueRef::Array(values) => serializer.collect_seq(values.iter()),
            ValueRef::Map(entries) => entries.serialize(serializer),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        ValueRef::from(self) == ValueRef::from(other)
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ValueRef::from(self).hash(state);
    }
}

/// Formats the value for people: text unquoted, bytes as hexadecimal digits, lists as `[1, 2]`,
/// maps as `{name=value}`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValueRef::from(self).fmt(f)
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

macro_rules! list {
    ($list:ident) => {
        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        /// Hashes a terminator instead of the length, since the length is not known without
        /// scanning the list.
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

/// Formats the list for people: `{name=value, name=value}`.
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
impl serde::Serialize for AttributesRef<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to this many attributes are compared pairwise, which is faster than building a hash
        /// table.
        const FEW: usize = 16;
        let is_repeated =
            |(place, name): (usize, &str)| self.iter().take(place).any(|other| other.key == name);
        if self.iter().nth(FEW).is_none()
            && !self.iter().map(|one| one.key).enumerate().any(is_repeated)
        {
            return serializer.collect_map(self.iter().map(|one| (one.key, one.value)));
        }
        // An object has each name once, so the last value of a name is written: the specification
        // says that setting an attribute again overwrites it.
        let last: HashMap<&str, usize> =
            self.iter().enumerate().map(|(place, one)| (one.key, place)).collect();
        let each = self.iter().enumerate().filter(|(place, one)| last[one.key] == *place);
        serializer.collect_map(each.map(|(_, one)| (one.key, one.value)))
    }
}

/// Formats the list for people: `{name=value, name=value}`.
impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        AttributesRef::from(self).fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AttributesRef::from(self).serialize(serializer)
    }
}
