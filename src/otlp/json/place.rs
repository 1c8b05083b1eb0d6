//! The places between a request and its records, the names of the lists there, and what is said of
//! names that stand in a wrong place or in snake case.
//!
//! The protocol lets a receiver skip unknown names. These names are known, so whoever writes them
//! expects their values to be stored. Skipping them would lose data in silence.

use super::super::Kind;
use super::schema::{self, Field};

/// The level of a message that contains others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// `ExportTraceServiceRequest` and its counterparts.
    Request,
    /// `ResourceSpans` and its counterparts.
    Resource,
    /// `ScopeSpans` and its counterparts.
    Scope,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) kind: Kind,
    pub(super) level: Level,
}

impl Container {
    /// Finds the container that has a list of this name. Also returns whether the name is in snake
    /// case, and the name itself.
    pub(super) fn with_list(name: &str) -> Option<(Self, bool, &'static str)> {
        for level in [Level::Request, Level::Resource, Level::Scope] {
            for kind in [Kind::Traces, Kind::Logs, Kind::Metrics] {
                let container = Self { kind, level };
                let [list, snake] = container.lists();
                if name == list {
                    return Some((container, false, list));
                }
                if name == snake && !snake.is_empty() {
                    return Some((container, true, snake));
                }
            }
        }
        None
    }

    pub(super) fn name(self) -> &'static str {
        match self.level {
            Level::Request => "request",
            Level::Resource => "resource",
            Level::Scope => "scope",
        }
    }

    /// Returns the field of the resource or the scope. A request has none.
    pub(super) fn message(self) -> &'static Field {
        match self.level {
            Level::Request | Level::Resource => &schema::RESOURCE_FIELD,
            Level::Scope => &schema::SCOPE_FIELD,
        }
    }

    /// Returns the name of the list of enclosed messages in JSON, and its name in protobuf.
    pub(super) fn lists(self) -> [&'static str; 2] {
        match (self.level, self.kind) {
            (Level::Request, Kind::Traces) => ["resourceSpans", "resource_spans"],
            (Level::Request, Kind::Logs) => ["resourceLogs", "resource_logs"],
            (Level::Request, Kind::Metrics) => ["resourceMetrics", "resource_metrics"],
            (Level::Resource, Kind::Traces) => ["scopeSpans", "scope_spans"],
            (Level::Resource, Kind::Logs) => ["scopeLogs", "scope_logs"],
            (Level::Resource, Kind::Metrics) => ["scopeMetrics", "scope_metrics"],
            // Some lists have the same name in both, and so no other name to look for.
            (Level::Scope, Kind::Traces) => ["spans", ""],
            (Level::Scope, Kind::Logs) => ["logRecords", "log_records"],
            (Level::Scope, Kind::Metrics) => ["metrics", ""],
        }
    }

    /// Returns where a container of this level and kind stands.
    fn path(self) -> &'static str {
        match (self.level, self.kind) {
            (Level::Request, _) => "the request",
            (Level::Resource, Kind::Traces) => "resourceSpans",
            (Level::Resource, Kind::Logs) => "resourceLogs",
            (Level::Resource, Kind::Metrics) => "resourceMetrics",
            (Level::Scope, Kind::Traces) => "resourceSpans.scopeSpans",
            (Level::Scope, Kind::Logs) => "resourceLogs.scopeLogs",
            (Level::Scope, Kind::Metrics) => "resourceMetrics.scopeMetrics",
        }
    }

    /// Says that a container has the list of another one.
    pub(super) fn has_list_of(self, other: Self, name: &str) -> String {
        format!("{name} in {}; it belongs in {}", self.path(), other.path())
    }

    /// Says that the list has its name in snake case.
    pub(super) fn has_snake_list(self) -> String {
        let [list, snake] = self.lists();
        snake_instead(snake, list)
    }
}

/// Returns whether a name is the snake-case spelling of a name in lower camel case that has more
/// than one word.
pub(super) fn is_snake_of(name: &str, camel: &str) -> bool {
    let mut rest = name.bytes();
    let mut words = 1;
    for byte in camel.bytes() {
        if byte.is_ascii_uppercase() {
            words += 1;
            if rest.next() != Some(b'_') {
                return false;
            }
        }
        if rest.next() != Some(byte.to_ascii_lowercase()) {
            return false;
        }
    }
    words > 1 && rest.next().is_none()
}

/// Says that a name is in snake case.
pub(super) fn snake_instead(snake: &str, camel: &str) -> String {
    format!("{snake} instead of {camel}; names in JSON are in lowerCamelCase")
}

/// Returns a name in snake case.
fn snake_of(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Says that a field has its name in snake case.
pub(super) fn has_snake_name(camel: &str) -> String {
    snake_instead(&snake_of(camel), camel)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_another_spelling_of_a_name_is_one() {
        assert!(is_snake_of("start_time_unix_nano", "startTimeUnixNano"));
        assert!(is_snake_of("trace_id", "traceId"));
        for (name, camel) in [
            ("traceId", "traceId"),
            ("trace_ids", "traceId"),
            ("trace_i", "traceId"),
            ("trace", "traceId"),
            ("trace_Id", "traceId"),
            ("traceid", "traceId"),
            ("name", "name"),
            ("_name", "name"),
            ("", "name"),
        ] {
            assert!(!is_snake_of(name, camel), "{name} of {camel}");
        }
        assert_eq!(snake_of("droppedAttributesCount"), "dropped_attributes_count");
    }
}
