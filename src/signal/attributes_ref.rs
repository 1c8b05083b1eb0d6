//! Lists of values and of attributes, borrowed: from a record's bytes, or from [`Value`]s and [`Attributes`].

use super::ValueRef;
use super::value::{Attributes, KeyValue, Value};
use crate::wire::{Fields, Raw, Writer, field_of};
#[cfg(feature = "serde")]
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};

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

impl<'a> ValuesRef<'a> {
    /// Reads an `ArrayValue`.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(Values::Wire(message))
    }

    pub(super) fn owned(values: &'a [Value]) -> Self {
        Self(Values::Owned(values))
    }

    /// Writes the fields of an `ArrayValue`, in lists and maps that count so much: see [`ValueRef::write`].
    pub(super) fn write(self, depth: usize, writer: &mut Writer<'_>) {
        match self.0 {
            Values::Wire(message) => writer.0.extend_from_slice(message),
            Values::Owned(values) => {
                values.iter().for_each(|value| writer.nested(1, |writer| ValueRef::from(value).write(depth, writer)))
            }
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
            List::Wire(message, number) => Fields::of(message).filter(|field| field.number == number).count(),
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
        self.iter().map(|one| KeyValue { key: one.key.into(), value: one.value.to_value() }).collect()
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
                list.iter().for_each(|one| AttributeRef::from(one).write_within(depth, number, writer));
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
