//! Reads the messages between a request and its records: resources, scopes, metrics. The records of
//! a malformed message are rejected and counted.

use super::super::{Kind, Rejected};
use super::counted::Counted;
use super::message::{Value, Written};
use super::record::Record;
use super::scalar::{Scalar, Wrong};
use super::schema::{self, Field};
use super::visit::{Name, Take, Via, pass, pass_list, pass_object};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected};

/// Appends a request's resources, unless the list is `null`. The output is the number of their
/// records.
pub(super) struct Resources<'a> {
    pub(super) kind: Kind,
    pub(super) written: &'a mut Written,
    pub(super) rejected: &'a mut Rejected,
}

impl<'de> Take<'de> for Resources<'_> {
    type Out = Option<u64>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        match scalar {
            Scalar::Null => Ok(None),
            other => Err(E::invalid_type(other.unexpected(), &"a list")),
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { kind, written, rejected } = self;
        let (mut records, what) = (0, Container { kind, of: Of::Resource });
        while let Some(some) = list.next_element_seed(Via(Enclosed { what, written, rejected }))? {
            records += some;
        }
        Ok(Some(records))
    }

    fn object<A: MapAccess<'de>>(self, _: A) -> Result<Self::Out, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &"a list"))
    }
}

/// The level of a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// `ResourceSpans` and its counterparts.
    Resource,
    /// `ScopeSpans` and its counterparts.
    Scope,
}

#[derive(Clone, Copy)]
struct Container {
    kind: Kind,
    of: Of,
}

/// A field of a container.
#[derive(Clone, Copy)]
enum Part {
    /// The resource or the scope.
    Message,
    /// The list of enclosed messages.
    List,
    SchemaUrl,
    /// The list of enclosed messages, under its name in protobuf.
    Snake,
    /// The list of enclosed messages, under its name in the protocol's first versions.
    Library,
    Unknown,
}

impl Container {
    fn name(self) -> &'static str {
        match self.of {
            Of::Resource => "resource",
            Of::Scope => "scope",
        }
    }

    fn message(self) -> &'static Field {
        match self.of {
            Of::Resource => &schema::OF_RESOURCE,
            Of::Scope => &schema::OF_SCOPE,
        }
    }

    /// Returns the name of the list of enclosed messages in JSON, and its name in protobuf.
    fn lists(self) -> [&'static str; 2] {
        match (self.of, self.kind) {
            (Of::Resource, Kind::Traces) => ["scopeSpans", "scope_spans"],
            (Of::Resource, Kind::Logs) => ["scopeLogs", "scope_logs"],
            (Of::Resource, Kind::Metrics) => ["scopeMetrics", "scope_metrics"],
            // Some lists have the same name in both, and so no other name to look for.
            (Of::Scope, Kind::Traces) => ["spans", ""],
            (Of::Scope, Kind::Logs) => ["logRecords", "log_records"],
            (Of::Scope, Kind::Metrics) => ["metrics", ""],
        }
    }

    fn part(self, name: &str) -> Part {
        let [list, snake] = self.lists();
        match name {
            "schemaUrl" => Part::SchemaUrl,
            "instrumentationLibrarySpans"
            | "instrumentationLibraryLogs"
            | "instrumentationLibraryMetrics"
                if self.of == Of::Resource =>
            {
                Part::Library
            }
            name if name == self.name() => Part::Message,
            name if name == list => Part::List,
            name if name == snake && !snake.is_empty() => Part::Snake,
            _ => Part::Unknown,
        }
    }
}

/// Appends a container as an element of its enclosing message. The output is the number of its
/// records.
struct Enclosed<'a> {
    what: Container,
    written: &'a mut Written,
    rejected: &'a mut Rejected,
}

impl Enclosed<'_> {
    fn rejected_as_none(self) -> u64 {
        // A value that is not an object counts as one record, since its records are unknown.
        self.rejected.add(1, &format!("{}: something else instead of an object", self.what.name()));
        1
    }
}

impl<'de> Take<'de> for Enclosed<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, _: Scalar<'_>) -> Result<u64, E> {
        Ok(self.rejected_as_none())
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        pass_list(list)?;
        Ok(self.rejected_as_none())
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<u64, A::Error> {
        let Self { what, written, rejected } = self;
        let start = written.bytes.len();
        let nested = written.writer().begin(if what.of == Of::Resource { 1 } else { 2 });
        let mut counted = Counted::default();
        let mut wrong = None::<Wrong>;
        while let Some(part) = object.next_key_seed(Name(|name: &str| what.part(name)))? {
            let why = match part {
                Part::Unknown => {
                    pass(&mut object)?;
                    continue;
                }
                Part::Message => {
                    object.next_value_seed(Via(Value { written, field: what.message() }))?.err()
                }
                Part::SchemaUrl => {
                    let taken = object
                        .next_value_seed(Via(Value { written, field: &schema::SCHEMA_URL }))?;
                    taken.err().map(|wrong| format!("schemaUrl: {wrong}"))
                }
                Part::List => object
                    .next_value_seed(Via(List { what, written, counted: &mut counted }))?
                    .err(),
                Part::Snake => {
                    let (before, mut misplaced) = (written.bytes.len(), Counted::default());
                    let list = List { what, written, counted: &mut misplaced };
                    let taken = object.next_value_seed(Via(list))?;
                    written.bytes.truncate(before);
                    let [list, snake] = what.lists();
                    if taken != Ok(false) {
                        counted.reject(
                            misplaced.records.max(1),
                            &format!(
                                "{snake} instead of {list}; names in JSON are in lowerCamelCase"
                            ),
                        );
                    }
                    None
                }
                Part::Library => {
                    let length = object.next_value_seed(Via(Length))?;
                    if let Some(length) = length {
                        counted.reject(
                            length.max(1),
                            "instrumentationLibrarySpans and the like are of a protocol before 1.0; send scopeSpans",
                        );
                    }
                    None
                }
            };
            wrong = wrong.or(why);
        }
        match wrong {
            None => {
                written.writer().end(nested);
                rejected.merge(&counted.rejected);
            }
            Some(wrong) => {
                written.bytes.truncate(start);
                counted.records = counted.records.max(1);
                rejected.add(counted.records, &format!("{}: {wrong}", what.name()));
            }
        }
        Ok(counted.records)
    }
}

/// Appends the list that a container encloses, unless it is `null`. The output says whether it was
/// anything else.
struct List<'a> {
    what: Container,
    written: &'a mut Written,
    counted: &'a mut Counted,
}

impl List<'_> {
    fn rejected_as_none(self, what: &str) -> Result<bool, Wrong> {
        Err(format!("{}: {what} instead of a list", self.what.lists()[0]))
    }
}

impl<'de> Take<'de> for List<'_> {
    type Out = Result<bool, Wrong>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(false),
            other => self.rejected_as_none(other.kind()),
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { what: Container { kind, of }, written, counted } = self;
        let what = Container { kind, of: Of::Scope };
        loop {
            let some = match of {
                Of::Resource => {
                    let rejected = &mut counted.rejected;
                    list.next_element_seed(Via(Enclosed { what, written, rejected }))?
                }
                Of::Scope => list.next_element_seed(Via(Record {
                    kind,
                    written,
                    rejected: &mut counted.rejected,
                }))?,
            };
            match some {
                Some(some) => counted.records += some,
                None => return Ok(Ok(true)),
            }
        }
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        pass_object(object)?;
        Ok(self.rejected_as_none("an object"))
    }
}

/// Skips a value. The output is the number of its elements if it is a list, `None` if it is `null`,
/// and otherwise 1.
struct Length;

impl<'de> Take<'de> for Length {
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
        pass_object(object).map(|()| Some(1))
    }
}
