//! The shapes of answers: what the query API, the terminal and agents are told, as typed structs.
//!
//! A shape borrows from the records that it shows and is written straight to its reader. What was
//! written can be read back into the same shape, except that attributes and bodies come back as
//! JSON values.
//!
//! Conventions: a time stands in RFC 3339 and beside it as text of nanoseconds. A duration is a
//! number with its unit in its name. Kinds, statuses and severities stand by their lower-case
//! names. A resource, a scope or a metric stands once an answer, and records name it by its place.

pub mod counts;
pub mod graph;
pub mod group;
pub mod kept;
pub mod log;
pub mod plain;
pub mod point;
pub mod reach;
pub mod report;
pub mod series;
pub mod sources;
pub mod span;
pub mod time;
pub mod trace;

#[cfg(test)]
mod tests;

pub use counts::{Count, History, Keys, Moment, Server, ServerRequests, Services};
pub use graph::Graph;
pub use group::{Group, Groups};
pub use kept::Kept;
pub use log::{Log, Logs, severity_name};
pub use plain::{AnyValue, Attributes, Number, Shown};
pub use point::{Exemplar, Measured, Metric, Point, Points};
pub use reach::{FilesRead, Reach};
pub use report::Report;
pub use series::{Recalled, Series, SeriesList, Step, StepSum};
pub use sources::{Origin, Place, Resource, Scope, Sources};
pub use span::{Code, Kind, Span, Spans};
pub use time::{Nanos, Time};
pub use trace::{FromFiles, Note, Trace, TraceList, TraceSpan, TraceSummary};

use schemars::JsonSchema;
use serde::Serialize;
use slipring::query::Answer;
use slipring::{Position, Signal};

/// A record that can be shown.
pub trait Show: Signal {
    /// The shape of one record.
    type One<'a>: Serialize + JsonSchema;
    /// The shape of a page of records.
    type Page<'a>: Serialize + JsonSchema;

    /// Shows one record. Its resource and scope are noted in `sources`.
    fn one<'a>(&'a self, position: Option<Position>, sources: &mut Sources<'a>) -> Self::One<'a>;

    /// Puts shown records and what belongs to them into a page. `next` is the token of the next
    /// page.
    fn page<'a>(
        records: Vec<Self::One<'a>>,
        sources: Sources<'a>,
        next: Option<String>,
        report: Report<'a>,
    ) -> Self::Page<'a>;

    /// Shows records, each with its position if it has one. Their resources and scopes are noted in
    /// `sources`.
    fn records<'a>(
        records: impl IntoIterator<Item = (Option<Position>, &'a Self)>,
        sources: &mut Sources<'a>,
    ) -> Vec<Self::One<'a>> {
        let records = records.into_iter();
        records.map(|(position, record)| record.one(position, sources)).collect()
    }

    /// Shows a query's answer.
    fn answer<'a>(
        answer: &'a Answer<Self>,
        next: Option<String>,
        reach: Option<Reach>,
    ) -> Self::Page<'a> {
        let mut sources = Sources::default();
        let positions = answer.positions.iter().copied().map(Some);
        let records = Self::records(positions.zip(&answer.records), &mut sources);
        let report = Report { history: reach, ..Report::of(&answer.report) };
        Self::page(records, sources, next, report)
    }

    /// Shows one record with its resource and scope in it.
    fn alone(&self, position: Position) -> Self::One<'_> {
        self.one(Some(position), &mut Sources::inline())
    }
}
