//! Reads the messages between a request and its records: resources and scopes. The records of a
//! malformed message are rejected and counted.

use super::super::{Kind, Rejected};
use super::counted::Counts;
use super::message::{Output, Value};
use super::place::{Container, Level, has_snake_name, is_snake_of};
use super::record::Record;
use super::scalar::{Reason, Scalar};
use super::schema;
use super::visit::{FieldName, Length, Seed, Visit, skip, skip_list, skip_object};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected};

/// Appends a request's resources, unless the list is `null`. The result is the number of their
/// records, or `None` for `null`.
pub(super) struct Resources<'a> {
    pub(super) kind: Kind,
    pub(super) output: &'a mut Output,
    pub(super) rejected: &'a mut Rejected,
}

impl<'de> Visit<'de> for Resources<'_> {
    type Out = Option<u64>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        match scalar {
            Scalar::Null => Ok(None),
            other => Err(E::invalid_type(other.unexpected(), &"a list")),
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { kind, output, rejected } = self;
        let (mut records, what) = (0, Container { kind, level: Level::Resource });
        while let Some(count) = list.next_element_seed(Seed(Enclosed { what, output, rejected }))? {
            records += count;
        }
        Ok(Some(records))
    }

    fn object<A: MapAccess<'de>>(self, _: A) -> Result<Self::Out, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &"a list"))
    }
}

/// A field of a container.
#[derive(Clone, Copy)]
enum Part {
    /// The resource or the scope.
    Message,
    /// The list of enclosed messages.
    List,
    SchemaUrl,
    /// The list of enclosed messages, under its snake-case name, which JSON does not allow.
    Snake,
    /// The list of enclosed messages, under its name in the protocol's first versions.
    Library,
    /// A list of another container, and its name.
    Misplaced(Container, &'static str),
    /// `schema_url`.
    SnakeSchemaUrl,
    Unknown,
}

impl Container {
    fn part(self, name: &str) -> Part {
        let [list, snake] = self.lists();
        match name {
            "schemaUrl" => Part::SchemaUrl,
            "instrumentationLibrarySpans"
            | "instrumentationLibraryLogs"
            | "instrumentationLibraryMetrics"
                if self.level == Level::Resource =>
            {
                Part::Library
            }
            name if name == self.name() => Part::Message,
            name if name == list => Part::List,
            name if name == snake && !snake.is_empty() => Part::Snake,
            name if is_snake_of(name, "schemaUrl") => Part::SnakeSchemaUrl,
            name => match Container::with_list(name) {
                Some((other, _, name)) => Part::Misplaced(other, name),
                None => Part::Unknown,
            },
        }
    }
}

/// Appends a container as an element of its enclosing message. The result is the number of
/// its records.
struct Enclosed<'a> {
    what: Container,
    output: &'a mut Output,
    rejected: &'a mut Rejected,
}

impl Enclosed<'_> {
    fn reject_as_not_an_object(self) -> u64 {
        // A value that is not an object counts as one record, since its records are unknown.
        self.rejected
            .add(1, &format!("{}: a value of another type instead of an object", self.what.name()));
        1
    }
}

impl<'de> Visit<'de> for Enclosed<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, _: Scalar<'_>) -> Result<u64, E> {
        Ok(self.reject_as_not_an_object())
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        skip_list(list)?;
        Ok(self.reject_as_not_an_object())
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<u64, A::Error> {
        let Self { what, output, rejected } = self;
        let start = output.bytes.len();
        let nested = output.writer().begin(if what.level == Level::Resource { 1 } else { 2 });
        let mut counts = Counts::default();
        let mut wrong = None::<Reason>;
        while let Some(part) = object.next_key_seed(FieldName(|name: &str| what.part(name)))? {
            let why = match part {
                Part::Unknown => {
                    skip(&mut object)?;
                    continue;
                }
                Part::Message => {
                    object.next_value_seed(Seed(Value { output, field: what.message() }))?.err()
                }
                Part::SchemaUrl => {
                    let result = object
                        .next_value_seed(Seed(Value { output, field: &schema::SCHEMA_URL }))?;
                    result.err().map(|wrong| format!("schemaUrl: {wrong}"))
                }
                Part::List => {
                    object.next_value_seed(Seed(List { what, output, counts: &mut counts }))?.err()
                }
                Part::Snake => {
                    let (before, mut misplaced) = (output.bytes.len(), Counts::default());
                    let list = List { what, output, counts: &mut misplaced };
                    let result = object.next_value_seed(Seed(list))?;
                    output.bytes.truncate(before);
                    if result != Ok(false) {
                        counts.reject(misplaced.records.max(1), &what.has_snake_list());
                    }
                    None
                }
                Part::Misplaced(other, name) => {
                    let misplaced = Misplaced { what: other, place: what.level, output };
                    let records = object.next_value_seed(Seed(misplaced))?;
                    counts.reject(records, &what.has_list_of(other, name));
                    None
                }
                Part::SnakeSchemaUrl => {
                    let length = object.next_value_seed(Seed(Length))?;
                    length.map(|_| has_snake_name("schemaUrl"))
                }
                Part::Library => {
                    let length = object.next_value_seed(Seed(Length))?;
                    if let Some(length) = length {
                        counts.reject(
                            length.max(1),
                            "instrumentationLibrarySpans, instrumentationLibraryLogs and instrumentationLibraryMetrics belong to OTLP before 1.0; send scopeSpans, scopeLogs or scopeMetrics",
                        );
                    }
                    None
                }
            };
            wrong = wrong.or(why);
        }
        match wrong {
            None => {
                output.writer().end(nested);
                rejected.merge(&counts.rejected);
            }
            Some(wrong) => {
                output.bytes.truncate(start);
                counts.records = counts.records.max(1);
                rejected.add(counts.records, &format!("{}: {wrong}", what.name()));
            }
        }
        Ok(counts.records)
    }
}

/// Appends the list that a container encloses, unless it is `null`. The result is `Ok(false)` for
/// `null`.
struct List<'a> {
    what: Container,
    output: &'a mut Output,
    counts: &'a mut Counts,
}

impl List<'_> {
    fn not_a_list(self, what: &str) -> Result<bool, Reason> {
        Err(format!("{}: {what} instead of a list", self.what.lists()[0]))
    }
}

impl<'de> Visit<'de> for List<'_> {
    type Out = Result<bool, Reason>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(false),
            other => self.not_a_list(other.type_name()),
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { what: Container { kind, level }, output, counts } = self;
        let inner = if level == Level::Request { Level::Resource } else { Level::Scope };
        let what = Container { kind, level: inner };
        loop {
            let count = match level {
                Level::Request | Level::Resource => {
                    let rejected = &mut counts.rejected;
                    list.next_element_seed(Seed(Enclosed { what, output, rejected }))?
                }
                Level::Scope => list.next_element_seed(Seed(Record {
                    kind,
                    output,
                    rejected: &mut counts.rejected,
                }))?,
            };
            match count {
                Some(count) => counts.records += count,
                None => return Ok(Ok(true)),
            }
        }
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        skip_object(object)?;
        Ok(self.not_a_list("an object"))
    }
}

/// Counts the records of a list that stands in a place of another level or kind. Nothing is
/// appended.
pub(super) struct Misplaced<'a> {
    /// The container that should have the list.
    pub(super) what: Container,
    /// The level at which the list was found.
    pub(super) place: Level,
    pub(super) output: &'a mut Output,
}

impl<'de> Visit<'de> for Misplaced<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<u64, E> {
        Ok(Length.scalar(scalar)?.unwrap_or(0))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        let Self { what, place, output } = self;
        if what.level < place {
            // Its elements could hold such a list again, and so on: the depth of the recursion
            // must not grow with the text.
            return Ok(Length.list(list)?.unwrap_or(0));
        }
        let (before, mut counts) = (output.bytes.len(), Counts::default());
        let read = List { what, output, counts: &mut counts }.list(list)?;
        output.bytes.truncate(before);
        debug_assert!(read.is_ok(), "it is a list");
        Ok(counts.records)
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<u64, A::Error> {
        skip_object(object).map(|()| 1)
    }
}
