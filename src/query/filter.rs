//! Where attributes are.

use crate::signal::{Attributes, KeyValue, LogRecord, MetricPoint, Span, Value};

/// Where an attribute may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Level {
    /// The record's own.
    Record,
    /// Its resource's.
    Resource,
    /// Its scope's.
    Scope,
    /// One of a span's events'.
    Event,
    /// One of a span's links'.
    Link,
    /// One of a metric point's exemplars'.
    Exemplar,
}

impl Level {
    /// All of them, in the order in which they are looked through.
    pub const ALL: [Self; 6] = [Self::Record, Self::Resource, Self::Scope, Self::Event, Self::Link, Self::Exemplar];
}

/// A record with attributes.
///
/// Implement it for a type of your own, and queries can ask for its attributes.
pub trait Attributed {
    /// Calls `visit` with each list of attributes at this level, until it answers true; whether it did.
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(&Attributes) -> bool) -> bool;

    /// Whether an attribute at this level, or at any, is one that `test` wants. O(attributes).
    fn any_attribute(&self, level: Option<Level>, test: &mut dyn FnMut(&KeyValue) -> bool) -> bool {
        let mut any = |level| self.any_list(level, &mut |list| list.iter().any(&mut *test));
        match level {
            Some(level) => any(level),
            None => Level::ALL.into_iter().any(any),
        }
    }

    /// The first attribute of this name, at this level or at any, as `read` reads it.
    fn read_attribute<R>(&self, level: Option<Level>, name: &str, read: impl FnOnce(&Value) -> R) -> Option<R>
    where
        Self: Sized,
    {
        let (mut read, mut found) = (Some(read), None);
        self.any_attribute(level, &mut |attribute| {
            let wanted = &*attribute.key == name;
            if wanted {
                found = read.take().map(|read| read(&attribute.value));
            }
            wanted
        });
        found
    }
}

impl Attributed for Span {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(&Attributes) -> bool) -> bool {
        match level {
            Level::Record => visit(&self.attributes),
            Level::Resource => visit(self.resource.attributes()),
            Level::Scope => visit(&self.scope.attributes),
            Level::Event => self.events.iter().any(|event| visit(&event.attributes)),
            Level::Link => self.links.iter().any(|link| visit(&link.attributes)),
            Level::Exemplar => false,
        }
    }
}

impl Attributed for LogRecord {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(&Attributes) -> bool) -> bool {
        match level {
            Level::Record => visit(&self.attributes),
            Level::Resource => visit(self.resource.attributes()),
            Level::Scope => visit(&self.scope.attributes),
            Level::Event | Level::Link | Level::Exemplar => false,
        }
    }
}

impl Attributed for MetricPoint {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(&Attributes) -> bool) -> bool {
        match level {
            Level::Record => visit(&self.attributes),
            Level::Resource => visit(self.resource.attributes()),
            Level::Scope => visit(&self.scope.attributes),
            Level::Exemplar => self.exemplars.iter().any(|exemplar| visit(&exemplar.filtered_attributes)),
            Level::Event | Level::Link => false,
        }
    }
}
