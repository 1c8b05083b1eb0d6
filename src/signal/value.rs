//! Values of attributes and of log bodies, and lists of attributes.

use std::hash::Hash;
use std::ops::Deref;

/// The value of an attribute or of a log body: OpenTelemetry's `AnyValue`. Its indexes into a
/// profile's string table are read as [`Empty`](Value::Empty), which the protocol requires of
/// readers outside of profiles.
///
/// A value takes 24 bytes, and no more heap than its contents need: text and lists are boxed slices
/// without spare capacity. Values nest, and dropping, cloning and comparing a value recurse to its
/// depth. A decoder of untrusted input should therefore bound the depth, as protobuf decoders do.
///
/// Doubles are equal when their bits are equal. A NaN equals itself, so that a value compares equal
/// after it was stored and read back, and `0.0` differs from `-0.0`.
///
/// The serialized form is meant for people and scripts (`"text"`, `12`, `null`, an object for a
/// map) and does not preserve types: bytes become an array of numbers. Values for which JSON has no
/// exact number become text: `"NaN"`, `"Infinity"`, and whole numbers beyond 2⁵³, which many
/// readers would round.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
#[non_exhaustive]
pub enum Value {
    /// No value. An absent `AnyValue` reads as this.
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
    /// A list of named values.
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

/// A list of named values, in the order in which they arrived. Names should be unique, but the
/// sender decides: duplicates are kept, and [`get`](Attributes::get) returns the first.
///
/// Derefs to a slice of [`KeyValue`]. It does not grow in place: collect it from an iterator, or
/// convert it from an array or a `Vec` (free if the `Vec` has no spare capacity). It is serialized
/// as an object that has each name once, with its last value.
///
/// ```
/// use slipring::Value;
/// use slipring::attribute::Attributes;
///
/// let attributes = Attributes::from([("http.request.method", Value::from("GET")), ("retries", Value::from(2))]);
/// assert_eq!(attributes.get("retries"), Some(&Value::Int(2)));
/// assert_eq!(attributes.get("http.request.method").and_then(Value::as_str), Some("GET"));
/// assert_eq!(attributes.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(Box<[KeyValue]>);

impl Value {
    /// Returns the text, if this is [`Text`](Value::Text).
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
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
    /// Creates a named value.
    pub fn new(key: impl Into<Box<str>>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Attributes {
    /// Returns the first value of this name. O(attributes): lists are short, and a scan is faster
    /// than building and probing a map.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|attribute| *attribute.key == *key).map(|attribute| &attribute.value)
    }

    /// Converts the list into a `Vec`, which can be modified and converted back. This does not
    /// allocate.
    pub fn into_vec(self) -> Vec<KeyValue> {
        self.0.into_vec()
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
    fn displays_for_a_person() {
        let inner = Attributes::from([
            ("sum", Value::Double(1.5)),
            ("raw", Value::Bytes([0xab, 1].into())),
        ]);
        let value = Value::from(vec![Value::from("text"), Value::from(inner), Value::from(true)]);
        assert_eq!(value.to_string(), "[text, {sum=1.5, raw=ab01}, true]");
    }
}
