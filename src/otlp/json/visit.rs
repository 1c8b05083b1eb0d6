//! Visits JSON value by value, with any parser that implements `serde`'s `Deserializer`. No tree of
//! values is built.

use super::scalar::Scalar;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Receives one value of any type.
///
/// An error of the parser means that the text is not valid JSON, or not a request. An error that
/// costs only a part of the request is returned within [`Out`](Visit::Out) instead. In that case
/// the whole value has been read.
pub(super) trait Visit<'de>: Sized {
    type Out;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E>;

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error>;

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error>;
}

/// Adapts a [`Visit`] to `serde`'s traits.
pub(super) struct Seed<T>(pub(super) T);

impl<'de, T: Visit<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Visit<'de>> Visitor<'de> for Seed<T> {
    type Value = T::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value in JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<T::Out, E> {
        self.0.scalar(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<T::Out, E> {
        self.0.scalar(Scalar::Bool(boolean))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T::Out, E> {
        self.0.scalar(Scalar::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T::Out, E> {
        self.0.scalar(Scalar::Signed(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T::Out, E> {
        self.0.scalar(Scalar::Double(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T::Out, E> {
        self.0.scalar(Scalar::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T::Out, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T::Out, A::Error> {
        self.0.object(object)
    }
}

/// Looks up the name of a field with this function.
pub(super) struct FieldName<F>(pub(super) F);

impl<'de, R, F: FnOnce(&str) -> R> DeserializeSeed<'de> for FieldName<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<R, F: FnOnce(&str) -> R> Visitor<'_> for FieldName<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<R, E> {
        Ok((self.0)(name))
    }
}

/// Skips the value of a name that was read.
pub(super) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(|_| ())
}

/// Skips the rest of an object.
pub(super) fn skip_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Skips the rest of a list.
pub(super) fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Skips a value. The result is the number of its elements if it is a list, `None` if it is `null`,
/// and otherwise 1.
pub(super) struct Length;

impl<'de> Visit<'de> for Length {
    type Out = Option<u64>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok((!matches!(scalar, Scalar::Null)).then_some(1))
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let mut length = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(Some(length))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        skip_object(object).map(|()| Some(1))
    }
}
