//! Tags: attributes with their types, as Jaeger's older API shows them.

use super::search::kind_name;
use crate::answer::Number;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use slipring::Span;
use slipring::attribute::{AttributeRef, AttributesRef, ValueRef};
use slipring::span::StatusCode;
use std::borrow::Cow;

/// A named value with its type.
#[derive(Clone, Debug, Serialize)]
pub struct Tag<'t> {
    pub key: &'t str,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Shown<'t>,
}

/// A value that JSON can hold.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Shown<'t> {
    Text(Cow<'t, str>),
    Bool(bool),
    Int(i64),
    Double(Number),
}

/// JavaScript rounds whole numbers beyond this.
const EXACT: u64 = (1 << 53) - 1;

impl<'t> Tag<'t> {
    /// Makes a tag of text.
    pub fn text(key: &'t str, text: impl Into<Cow<'t, str>>) -> Self {
        Self { key, kind: "string", value: Shown::Text(text.into()) }
    }

    fn of(AttributeRef { key, value }: AttributeRef<'t>) -> Self {
        let (kind, value) = match value {
            ValueRef::Bool(value) => ("bool", Shown::Bool(value)),
            ValueRef::Int(value) if value.unsigned_abs() > EXACT => {
                ("int64", Shown::Text(value.to_string().into()))
            }
            ValueRef::Int(value) => ("int64", Shown::Int(value)),
            ValueRef::Double(value) => ("float64", Shown::Double(value.into())),
            ValueRef::Bytes(bytes) => ("binary", Shown::Text(STANDARD.encode(bytes).into())),
            ValueRef::Text(text) => return Self::text(key, text),
            ValueRef::Empty => return Self::text(key, ""),
            // A list or a map stands as its JSON.
            other => return Self::text(key, serde_json::to_string(&other).unwrap_or_default()),
        };
        Self { key, kind, value }
    }

    /// Turns an address that was sent as a number into the usual form.
    fn with_address(self) -> Self {
        let number = match &self.value {
            Shown::Int(number) => *number as u32,
            Shown::Double(Number::Double(number)) => *number as u32,
            _ => return self,
        };
        match self.key {
            "ip" | "peer.ipv4" => {
                Self::text(self.key, std::net::Ipv4Addr::from_bits(number).to_string())
            }
            _ => self,
        }
    }
}

/// Returns attributes as tags: by name, unless they are to be `raw`.
pub fn attributes<'t>(
    attributes: AttributesRef<'t>,
    raw: bool,
) -> impl Iterator<Item = Tag<'t>> + use<'t> {
    let mut tags: Vec<Tag<'t>> = attributes.iter().map(Tag::of).collect();
    if !raw {
        tags.sort_by_key(|tag| tag.key);
        tags = tags.into_iter().map(Tag::with_address).collect();
    }
    tags.into_iter()
}

/// Returns a span's attributes, and the tags that Jaeger derives from its other fields.
pub fn derived(span: &Span, raw: bool) -> Vec<Tag<'_>> {
    let (scope, status) = (span.scope(), span.status());
    let some = |key, text| Some(Tag::text(key, text)).filter(|_| !str::is_empty(text));
    let code = match status.code {
        StatusCode::Ok => "OK",
        StatusCode::Error => "ERROR",
        _ => "",
    };
    let failed = Tag { key: "error", kind: "bool", value: Shown::Bool(true) };
    let before =
        [some("otel.scope.name", scope.name()), some("otel.scope.version", scope.version())];
    let after = [
        some("span.kind", kind_name(span.kind())),
        some("otel.status_code", code),
        (status.code == StatusCode::Error).then_some(failed),
        some("otel.status_description", status.message),
        some("w3c.tracestate", span.trace_state()),
    ];
    let own = attributes(span.attributes(), raw);
    before.into_iter().flatten().chain(own).chain(after.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use slipring::Value;
    use slipring::attribute::Attributes;

    #[test]
    fn each_type_of_value_is_told() {
        let list = Value::from(vec![Value::Int(1), Value::from("a")]);
        let all: [(&str, Value); 9] = [
            ("text", "a".into()),
            ("yes", true.into()),
            ("int", (-3).into()),
            ("large", Value::Int((1 << 53) - 1)),
            ("larger", Value::Int(-(1 << 53))),
            ("double", 72.5.into()),
            ("bytes", Value::Bytes([1, 2, 255].into())),
            ("list", list),
            ("none", Value::Empty),
        ];
        let all = Attributes::from(all);
        let told: Vec<Tag<'_>> = attributes((&all).into(), true).collect();
        assert_eq!(
            serde_json::to_value(told).unwrap(),
            json!([
                { "key": "text", "type": "string", "value": "a" },
                { "key": "yes", "type": "bool", "value": true },
                { "key": "int", "type": "int64", "value": -3 },
                { "key": "large", "type": "int64", "value": 9_007_199_254_740_991_i64 },
                { "key": "larger", "type": "int64", "value": "-9007199254740992" },
                { "key": "double", "type": "float64", "value": 72.5 },
                { "key": "bytes", "type": "binary", "value": "AQL/" },
                { "key": "list", "type": "string", "value": "[1,\"a\"]" },
                { "key": "none", "type": "string", "value": "" },
            ])
        );
    }

    #[test]
    fn tags_are_sorted_and_addresses_readable_unless_raw() {
        let all = Attributes::from([("peer.ipv4", Value::Int(0x7f00_0001)), ("a", Value::Int(1))]);
        let of = |raw| {
            let tags: Vec<Tag<'_>> = attributes((&all).into(), raw).collect();
            serde_json::to_value(tags).unwrap()
        };
        let one = json!({ "key": "a", "type": "int64", "value": 1 });
        let address = json!({ "key": "peer.ipv4", "type": "string", "value": "127.0.0.1" });
        assert_eq!(of(false), json!([one, address]));
        let number = json!({ "key": "peer.ipv4", "type": "int64", "value": 0x7f00_0001 });
        assert_eq!(of(true), json!([number, one]));
    }
}
