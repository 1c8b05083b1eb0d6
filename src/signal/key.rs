//! Index keys, borrowed from a record or owned.

use std::fmt;

/// A key in an index, borrowed from the record that carries it. Comparing two keys costs as much as
/// comparing their contents.
///
/// Keys of different kinds are different keys, even if they look alike: `Text("1")` is not
/// `Int(1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Key<'a> {
    /// A number: a severity, an enum's discriminant, a worker's id.
    Int(u64),
    /// A 128-bit identifier, such as a trace id.
    Id(u128),
    /// Text, such as a service name.
    Text(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

/// An owned [`Key`], as returned in lists of distinct keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
#[non_exhaustive]
pub enum KeyBuf {
    /// See [`Key::Int`].
    Int(u64),
    /// See [`Key::Id`]. Serialized as 32 hexadecimal digits.
    Id(#[cfg_attr(feature = "serde", serde(serialize_with = "serialize_id"))] u128),
    /// See [`Key::Text`].
    Text(Box<str>),
    /// See [`Key::Bytes`].
    Bytes(Box<[u8]>),
}

impl Key<'_> {
    /// Copies the key out of its record. Text and bytes take one allocation.
    #[inline]
    pub fn to_owned(self) -> KeyBuf {
        match self {
            Key::Int(number) => KeyBuf::Int(number),
            Key::Id(id) => KeyBuf::Id(id),
            Key::Text(text) => KeyBuf::Text(text.into()),
            Key::Bytes(bytes) => KeyBuf::Bytes(bytes.into()),
        }
    }
}

impl KeyBuf {
    /// Borrows the key.
    pub fn as_key(&self) -> Key<'_> {
        match self {
            KeyBuf::Int(number) => Key::Int(*number),
            KeyBuf::Id(id) => Key::Id(*id),
            KeyBuf::Text(text) => Key::Text(text),
            KeyBuf::Bytes(bytes) => Key::Bytes(bytes),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Int(number) => number.fmt(f),
            Key::Id(id) => write!(f, "{id:032x}"),
            Key::Text(text) => f.pad(text),
            Key::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Display for KeyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_key().fmt(f)
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(text: &'a str) -> Self {
        Key::Text(text)
    }
}

impl<'a> From<&'a String> for Key<'a> {
    fn from(text: &'a String) -> Self {
        Key::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Key::Bytes(bytes)
    }
}

impl From<u64> for Key<'_> {
    fn from(number: u64) -> Self {
        Key::Int(number)
    }
}

impl From<u128> for Key<'_> {
    fn from(id: u128) -> Self {
        Key::Id(id)
    }
}

impl<'a> From<&'a KeyBuf> for Key<'a> {
    fn from(key: &'a KeyBuf) -> Self {
        key.as_key()
    }
}

#[cfg(feature = "serde")]
fn serialize_id<S: serde::Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:032x}"))
}
