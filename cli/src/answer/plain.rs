//! Numbers, ids and attributes, as JSON can hold them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use slipring::attribute::{AttributesRef, ValueRef};
use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

/// Many readers, JavaScript among them, round whole numbers beyond this.
const EXACT: u64 = 1 << 53;

/// A value that stands as its text: an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<T>(pub T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Shown<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<T> JsonSchema for Shown<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]+$", "description": "An id, in lower-case hexadecimal digits" })
    }
}

/// A number. What JSON has no number for is text: NaN, infinities, and whole numbers that many
/// readers would round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// A count, which may be larger.
    Count(u64),
    /// A double.
    Double(f64),
}

impl Number {
    /// Returns the number as a double.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Count(number) => number as f64,
            Number::Double(number) => number,
        }
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Number::Double(number)
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Number::Count(number)
    }
}

impl From<slipring::metric::Number> for Number {
    fn from(number: slipring::metric::Number) -> Self {
        match number {
            slipring::metric::Number::Int(number) => Number::Int(number),
            slipring::metric::Number::Double(number) => Number::Double(number),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Number::Int(number) if number.unsigned_abs() > EXACT => serializer.collect_str(&number),
            Number::Int(number) => serializer.serialize_i64(number),
            Number::Count(number) if number > EXACT => serializer.collect_str(&number),
            Number::Count(number) => serializer.serialize_u64(number),
            Number::Double(number) if number.is_finite() => serializer.serialize_f64(number),
            Number::Double(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Number::Double(number) if number > 0.0 => serializer.serialize_str("Infinity"),
            Number::Double(_) => serializer.serialize_str("-Infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Read {
            Int(i64),
            Count(u64),
            Double(f64),
            Text(String),
        }
        Ok(match Read::deserialize(deserializer)? {
            Read::Int(number) => Number::Int(number),
            Read::Count(number) => Number::Count(number),
            Read::Double(number) => Number::Double(number),
            Read::Text(text) => match text.parse() {
                Ok(number) => Number::Int(number),
                Err(_) => match text.parse() {
                    Ok(number) => Number::Count(number),
                    Err(_) => Number::Double(text.parse().map_err(D::Error::custom)?),
                },
            },
        })
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "description": "A number; \"NaN\", \"Infinity\", \"-Infinity\" and whole numbers beyond 2^53 are text",
        })
    }
}

/// A value of any type.
#[derive(Clone, Debug)]
pub enum AnyValue<'a> {
    /// Borrowed from a record.
    Of(ValueRef<'a>),
    /// Read back.
    Read(serde_json::Value),
}

/// Attributes, as an object. Of a name that is given several times, the last value stands.
#[derive(Clone, Debug)]
pub enum Attributes<'a> {
    /// Borrowed from a record.
    Of(AttributesRef<'a>),
    /// Read back.
    Read(serde_json::Map<String, serde_json::Value>),
}

impl Attributes<'_> {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Attributes::Of(attributes) => attributes.is_empty(),
            Attributes::Read(attributes) => attributes.is_empty(),
        }
    }
}

impl<'a> From<AttributesRef<'a>> for Attributes<'a> {
    fn from(attributes: AttributesRef<'a>) -> Self {
        Attributes::Of(attributes)
    }
}

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AnyValue::Of(value) => value.serialize(serializer),
            AnyValue::Read(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AnyValue<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(AnyValue::Read)
    }
}

impl JsonSchema for AnyValue<'_> {
    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any value; bytes are a list of numbers" })
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Attributes::Of(attributes) => attributes.serialize(serializer),
            Attributes::Read(attributes) => attributes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Attributes<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Map::deserialize(deserializer).map(Attributes::Read)
    }
}

impl JsonSchema for Attributes<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Attributes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "Attributes by their names" })
    }
}

pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_has_no_number_for_is_text() {
        let numbers = [
            (Number::Int(-7), "-7"),
            (Number::Int(i64::MIN), "\"-9223372036854775808\""),
            (Number::Count(u64::MAX), "\"18446744073709551615\""),
            (Number::Double(0.25), "0.25"),
            (Number::Double(f64::INFINITY), "\"Infinity\""),
            (Number::Double(f64::NEG_INFINITY), "\"-Infinity\""),
        ];
        for (number, text) in numbers {
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
            assert_eq!(serde_json::from_str::<Number>(text).unwrap(), number);
        }
        assert_eq!(serde_json::to_string(&Number::Double(f64::NAN)).unwrap(), "\"NaN\"");
        assert!(serde_json::from_str::<Number>("\"NaN\"").unwrap().as_f64().is_nan());
        assert!(serde_json::from_str::<Number>("\"seven\"").is_err());
    }
}
