//! Times, as people and as programs read them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// A time in nanoseconds since the Unix epoch, written as RFC 3339 in UTC with nine digits of the
/// second. An unknown time (0) is null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// A time in nanoseconds since the Unix epoch, written as text: JavaScript and others round whole
/// numbers of that size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, jiff::Timestamp::from_nanosecond(self.0.into())) {
            (0, _) | (_, Err(_)) => serializer.serialize_none(),
            (_, Ok(time)) => serializer.collect_str(&format_args!("{time:.9}")),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else {
            return Ok(Self(0));
        };
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        u64::try_from(time.as_nanosecond()).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "null"],
            "format": "date-time",
            "description": "RFC 3339 in UTC, with nine digits of the second; null if it is unknown",
        })
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for Nanos {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Nanos".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Nanoseconds since 1970, as text: numbers of this size are rounded by many readers. 0 if it is unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_every_digit_and_is_null_if_unknown() {
        let json = |nanos| serde_json::to_string(&(Time(nanos), Nanos(nanos))).unwrap();
        let time = 1_769_860_800_123_456_789;
        assert_eq!(json(time), r#"["2026-01-31T12:00:00.123456789Z","1769860800123456789"]"#);
        assert_eq!(
            json(time / 1_000_000_000 * 1_000_000_000 + 5)[..32],
            *r#"["2026-01-31T12:00:00.000000005Z"#
        );
        assert_eq!(json(0), r#"[null,"0"]"#);
        for nanos in [0, 1, time, u64::MAX] {
            let (shown, exact): (Time, Nanos) = serde_json::from_str(&json(nanos)).unwrap();
            assert_eq!((shown.0, exact.0), (nanos, nanos));
        }
    }
}
