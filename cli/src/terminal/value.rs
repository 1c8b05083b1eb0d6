//! Values and attributes on a line.

use crate::answer::{AnyValue, Attributes};
use serde_json::Value;

/// Writes a value: text as it is, anything else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Writes a body.
pub fn any(value: &AnyValue<'_>) -> String {
    serde_json::to_value(value).map_or_else(|error| error.to_string(), |value| plain(&value))
}

/// Writes attributes as `name=value`.
pub fn attributes(all: &Attributes<'_>) -> String {
    let Attributes::Read(all) = all else { return String::new() };
    let each: Vec<_> = all.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    each.join(" ")
}
