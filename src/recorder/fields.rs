//! The fields of a span or an event.

use crate::signal::{KeyValue, Value};
use std::fmt;
use tracing::Metadata;
use tracing::field::{Field, Visit};

/// Collected fields, as attribute values.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) message: Option<Value>,
    pub(super) others: Vec<KeyValue>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = Some(value);
        } else {
            self.others.push(KeyValue { key: field.name().into(), value });
        }
    }

    /// Moves `message` to the other fields. A span has no body, so its message is a field like any
    /// other.
    pub(super) fn keep_message(&mut self) {
        let message = self.message.take().map(|value| KeyValue { key: "message".into(), value });
        self.others.extend(message);
    }

    /// Adds the location in the source code.
    pub(super) fn add_location(&mut self, metadata: &Metadata<'_>) {
        let mut add =
            |key: &str, value: Value| self.others.push(KeyValue { key: key.into(), value });
        add("code.namespace", Value::Text(metadata.target().into()));
        if let Some(file) = metadata.file() {
            add("code.file.path", Value::Text(file.into()));
        }
        if let Some(line) = metadata.line() {
            add("code.line.number", Value::Int(line.into()));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Double(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(
            field,
            i64::try_from(value).map_or_else(|_| Value::Text(value.to_string().into()), Value::Int),
        );
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}").into()));
    }
}
