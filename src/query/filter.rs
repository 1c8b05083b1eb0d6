//! Attributes and the levels at which records hold them.

use super::needle::Needle;
use crate::signal::{AttributesRef, LogRecord, MetricPoint, Source, Span, ValueRef};

/// The place at which a record holds an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Level {
    /// The record's own attributes.
    Record,
    /// The resource's attributes.
    Resource,
    /// The scope's attributes.
    Scope,
    /// The attributes of a span's events.
    Event,
    /// The attributes of a span's links.
    Link,
    /// The filtered attributes of a metric point's exemplars.
    Exemplar,
}

impl Level {
    /// All levels, in the order in which they are searched.
    pub const ALL: [Self; 6] =
        [Self::Record, Self::Resource, Self::Scope, Self::Event, Self::Link, Self::Exemplar];
}

/// A record with attributes.
///
/// Implement it for your own type to use attribute conditions in queries.
pub trait Attributed {
    /// Calls `visit` with each list of attributes at this level until it returns true. Returns
    /// whether it did.
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool;

    /// Returns whether `test` accepts the value of an attribute of this name, at this level or,
    /// with `None`, at any. O(attributes). Values of other attributes are skipped without being
    /// decoded.
    fn any_value(
        &self,
        level: Option<Level>,
        name: &str,
        test: &mut dyn FnMut(ValueRef<'_>) -> bool,
    ) -> bool {
        let mut any = |level| self.any_list(level, &mut |list| list.any_named(name, test));
        match level {
            Some(level) => any(level),
            None => Level::ALL.into_iter().any(any),
        }
    }

    /// Returns whether a value of this name, at this level or, with `None`, at any, may contain a
    /// text. It may return true where none does, and does so by default. A record that can search
    /// its bytes in O(bytes) spares a query the look at each of its attributes.
    fn may_contain(&self, level: Option<Level>, name: &str, text: &Needle) -> bool {
        let _ = (level, name, text);
        true
    }

    /// Calls `read` with the first value of an attribute of this name, at this level or, with
    /// `None`, at any. Returns its result.
    fn read_attribute<R>(
        &self,
        level: Option<Level>,
        name: &str,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Option<R>
    where
        Self: Sized,
    {
        let (mut read, mut found) = (Some(read), None);
        self.any_value(level, name, &mut |value| {
            found = read.take().map(|read| read(value));
            true
        });
        found
    }
}

/// The function that an attribute's values are tested with.
type Test<'t> = dyn FnMut(ValueRef<'_>) -> bool + 't;

/// Does what [`Attributed::any_value`] does for one level.
fn any_at<T: Attributed>(record: &T, level: Level, name: &str, test: &mut Test<'_>) -> bool {
    record.any_list(level, &mut |list| list.any_named(name, test))
}

/// Returns whether `test` accepts a value of this name in the resource or the scope. Most sources
/// are seen not to have the name without a look at their attributes.
fn any_of_source(source: &Source, name: &str, test: &mut Test<'_>) -> bool {
    source.may_have_attribute(name)
        && (source.resource().attributes().any_named(name, test)
            || source.scope().attributes().any_named(name, test))
}

/// Does what [`Attributed::may_contain`] does, for a record with these bytes.
fn may_contain(
    bytes: &[u8],
    source: &Source,
    level: Option<Level>,
    name: &str,
    text: &Needle,
) -> bool {
    let in_source = || source.may_have_attribute_in(name, |bytes| text.is_in(bytes));
    match level {
        Some(Level::Resource | Level::Scope) => in_source(),
        Some(_) => text.is_in(bytes),
        None => text.is_in(bytes) || in_source(),
    }
}

impl Attributed for Span {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool {
        match level {
            Level::Record => visit(self.attributes()),
            Level::Resource => visit(self.resource().attributes()),
            Level::Scope => visit(self.scope().attributes()),
            Level::Event => self.events().iter().any(|event| visit(event.attributes())),
            Level::Link => self.links().iter().any(|link| visit(link.attributes())),
            Level::Exemplar => false,
        }
    }

    fn may_contain(&self, level: Option<Level>, name: &str, text: &Needle) -> bool {
        may_contain(self.bytes(), self.source(), level, name, text)
    }

    fn any_value(&self, level: Option<Level>, name: &str, test: &mut Test<'_>) -> bool {
        match level {
            Some(level) => any_at(self, level, name, test),
            None => {
                let (found, has_more) = self.any_own_value(name, test);
                found
                    || any_of_source(self.source(), name, test)
                    || has_more
                        && (any_at(self, Level::Event, name, test)
                            || any_at(self, Level::Link, name, test))
            }
        }
    }
}

impl Attributed for LogRecord {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool {
        match level {
            Level::Record => visit(self.attributes()),
            Level::Resource => visit(self.resource().attributes()),
            Level::Scope => visit(self.scope().attributes()),
            Level::Event | Level::Link | Level::Exemplar => false,
        }
    }

    fn may_contain(&self, level: Option<Level>, name: &str, text: &Needle) -> bool {
        may_contain(self.bytes(), self.source(), level, name, text)
    }

    fn any_value(&self, level: Option<Level>, name: &str, test: &mut Test<'_>) -> bool {
        match level {
            Some(level) => any_at(self, level, name, test),
            None => {
                any_at(self, Level::Record, name, test) || any_of_source(self.source(), name, test)
            }
        }
    }
}

impl Attributed for MetricPoint {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool {
        match level {
            Level::Record => visit(self.attributes()),
            Level::Resource => visit(self.resource().attributes()),
            Level::Scope => visit(self.scope().attributes()),
            Level::Exemplar => {
                self.exemplars().iter().any(|exemplar| visit(exemplar.filtered_attributes()))
            }
            Level::Event | Level::Link => false,
        }
    }

    fn may_contain(&self, level: Option<Level>, name: &str, text: &Needle) -> bool {
        may_contain(self.bytes(), self.source(), level, name, text)
    }

    fn any_value(&self, level: Option<Level>, name: &str, test: &mut Test<'_>) -> bool {
        match level {
            Some(level) => any_at(self, level, name, test),
            None => {
                any_at(self, Level::Record, name, test)
                    || any_of_source(self.source(), name, test)
                    || any_at(self, Level::Exemplar, name, test)
            }
        }
    }
}
