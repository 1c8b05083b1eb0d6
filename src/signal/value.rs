//! Attribute values and lists of attributes.

#[cfg(feature = "serde")]
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// What an attribute or a log body holds: OpenTelemetry's `AnyValue`, but for the indexes into a profile's table of
/// strings, which outside of profiles the protocol has readers take for [`Empty`](Value::Empty).
///
/// 24 bytes, and no more heap than its contents need: text and lists are boxed slices, so that a record's size is what
/// it holds. Values nest; dropping, cloning and comparing one recurses as deep as it nests, so a decoder of foreign
/// input should bound the depth, as protobuf decoders do.
///
/// Doubles are equal when their bits are: a NaN equals itself, so that what was stored and read back compares equal,
/// and `0.0` is not `-0.0`.
///
/// Serialised plainly (`"text"`, `12`, `null`, an object for a map), which is for reading: bytes look like an array. What JSON has no
/// number for is in text: `"NaN"`, `"Infinity"`, and whole numbers beyond 2⁵³, which many readers would round.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Value {
    /// No value; also what an absent `AnyValue` means.
    #[default]
    Empty,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::whole"))] i64),
    /// A floating-point number.
    Double(#[cfg_attr(feature = "serde", serde(serialize_with = "super::plain::double"))] f64),
    /// Text.
    Text(Box<str>),
    /// Raw bytes.
    Bytes(Box<[u8]>),
    /// A list of values, not necessarily of one type.
    Array(Box<[Value]>),
    /// Values by name.
    Map(Attributes),
}

/// A named value: an attribute, or an entry of a [`Value::Map`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KeyValue {
    /// The name, such as `http.request.method`.
    pub key: Box<str>,
    /// The value.
    pub value: Value,
}

/// Named values in the order in which they came. Names should be unique, but whoever sent them decides: duplicates are
/// kept, and [`get`](Attributes::get) answers with the first.
///
/// Derefs to a slice of [`KeyValue`]. It does not grow in place: collect it, or build it from a `Vec` (free of charge
/// if the `Vec` is full) or an array. Serialised as an object that has each name once, with its last value.
///
/// ```
/// use slipring::{Attributes, Value};
///
/// let attributes = Attributes::from([("http.request.method", Value::from("GET")), ("retries", Value::from(2))]);
/// assert_eq!(attributes.get("retries"), Some(&Value::Int(2)));
/// assert_eq!(attributes.get("http.request.method").and_then(Value::as_str), Some("GET"));
/// assert_eq!(attributes.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(Box<[KeyValue]>);

impl Value {
    /// The text, if this is [`Text`](Value::Text).
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes that this value owns on the heap, beyond its own 24. O(values nested in it).
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Array(values) => list_bytes(values, Value::heap_bytes),
            Value::Map(entries) => entries.heap_bytes(),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Empty, Value::Empty) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Empty => {}
            Value::Bool(value) => value.hash(state),
            Value::Int(value) => value.hash(state),
            Value::Double(value) => value.to_bits().hash(state),
            Value::Text(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::Array(values) => values.hash(state),
            Value::Map(entries) => entries.hash(state),
        }
    }
}

/// For a person to read: text as it is, bytes as hexadecimal digits, `[1, 2]`, `{name=value}`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Empty => Ok(()),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Double(value) => value.fmt(f),
            Value::Text(text) => f.pad(text),
            Value::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Value::Array(values) => {
                f.write_str("[")?;
                for (position, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => entries.fmt(f),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Value::Array(values.into())
    }
}

impl From<Attributes> for Value {
    fn from(entries: Attributes) -> Self {
        Value::Map(entries)
    }
}

impl KeyValue {
    /// A named value.
    pub fn new(key: impl Into<Box<str>>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }

    /// Bytes that the name and the value own on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.key.len() + self.value.heap_bytes()
    }
}

impl Attributes {
    /// The first value of this name. O(attributes); lists are short, and a scan beats a map of them.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|attribute| *attribute.key == *key).map(|attribute| &attribute.value)
    }

    /// The attributes as a `Vec`, to be changed and turned back. Allocates nothing.
    pub fn into_vec(self) -> Vec<KeyValue> {
        self.0.into_vec()
    }

    /// Bytes that the list and all in it own on the heap. O(attributes and values nested in them).
    pub fn heap_bytes(&self) -> usize {
        list_bytes(&self.0, KeyValue::heap_bytes)
    }
}

impl Deref for Attributes {
    type Target = [KeyValue];

    fn deref(&self) -> &[KeyValue] {
        &self.0
    }
}

impl From<Vec<KeyValue>> for Attributes {
    fn from(attributes: Vec<KeyValue>) -> Self {
        Self(attributes.into())
    }
}

impl<K: Into<Box<str>>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Attributes {
    fn from(attributes: [(K, V); N]) -> Self {
        attributes.into_iter().collect()
    }
}

impl FromIterator<KeyValue> for Attributes {
    fn from_iter<I: IntoIterator<Item = KeyValue>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}

impl<K: Into<Box<str>>, V: Into<Value>> FromIterator<(K, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(attributes: I) -> Self {
        attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect()
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = &'a KeyValue;
    type IntoIter = std::slice::Iter<'a, KeyValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// For a person to read: `{name=value, name=value}`.
impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, KeyValue { key, value }) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if position == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to so many, each is compared with each: that takes less than a table of them.
        const FEW: usize = 16;
        let is_repeated = |(place, one): (usize, &KeyValue)| self.0[..place].iter().any(|other| other.key == one.key);
        if self.0.len() <= FEW && !self.0.iter().enumerate().any(is_repeated) {
            return serializer.collect_map(self.0.iter().map(|attribute| (&attribute.key, &attribute.value)));
        }
        let all = self.0.iter().enumerate();
        // Of one name the last: setting it again overwrites, says the specification, and an object has each name once.
        let last: HashMap<&str, usize> = all.clone().map(|(place, attribute)| (&*attribute.key, place)).collect();
        let each = all.filter(|(place, attribute)| last[&*attribute.key] == *place);
        serializer.collect_map(each.map(|(_, attribute)| (&attribute.key, &attribute.value)))
    }
}

/// Heap bytes of a boxed list: its elements, and what each of them owns.
pub(super) fn list_bytes<T>(list: &[T], heap_bytes: impl Fn(&T) -> usize) -> usize {
    size_of_val(list) + list.iter().map(heap_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<Value>() == 24 && size_of::<KeyValue>() == 40);

    #[test]
    fn doubles_are_equal_by_their_bits() {
        assert_eq!(Value::Double(f64::NAN), Value::Double(f64::NAN));
        assert_ne!(Value::Double(0.0), Value::Double(-0.0));
        assert_ne!(Value::Double(1.0), Value::Int(1));
    }

    #[test]
    fn duplicates_stay_and_the_first_answers() {
        let attributes = Attributes::from([("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(attributes.len(), 3);
        assert_eq!(attributes.get("a"), Some(&Value::Int(1)));
        assert_eq!(attributes.get("c"), None);
    }

    #[test]
    fn heap_bytes_count_nested_contents() {
        let inner = Attributes::from([("key", Value::Bytes([1, 2, 3, 4].into()))]);
        assert_eq!(inner.heap_bytes(), 40 + 3 + 4);
        let array = Value::from(vec![Value::from("text"), Value::from(inner), Value::Int(1)]);
        assert_eq!(array.heap_bytes(), 3 * 24 + 4 + 47);
        assert_eq!(Attributes::default().heap_bytes(), 0);
    }

    #[test]
    fn displays_for_a_person() {
        let inner = Attributes::from([("sum", Value::Double(1.5)), ("raw", Value::Bytes([0xab, 1].into()))]);
        let value = Value::from(vec![Value::from("text"), Value::from(inner), Value::from(true)]);
        assert_eq!(value.to_string(), "[text, {sum=1.5, raw=ab01}, true]");
    }
}
