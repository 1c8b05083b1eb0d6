//! Conditions on what only some records have: attributes, durations, severities.

use super::builder::Query;
use super::filter::{Attributed, Level};
use super::matching::Match;
use super::nanos::{IntoNanos, inclusive};
use crate::signal::{LogRecord, Severity, Signal, Span, StatusCode};
use std::ops::RangeBounds;

/// Conditions on attributes.
impl<T: Signal + Attributed> Query<'_, T> {
    /// Keeps records with an attribute of this name that matches, at any level: the record's own
    /// attributes, those of its resource, its scope, an event, a link or an exemplar. A
    /// [negation](Match::Not) keeps records that have the attribute at some level and match it at
    /// none.
    pub fn attribute(self, name: impl Into<Box<str>>, value: Match) -> Self {
        self.with_attribute(None, name.into(), value)
    }

    /// Keeps records with an attribute of this name that matches, at this level.
    pub fn attribute_at(self, level: Level, name: impl Into<Box<str>>, value: Match) -> Self {
        self.with_attribute(Some(level), name.into(), value)
    }

    fn with_attribute(self, level: Option<Level>, name: Box<str>, value: Match) -> Self {
        match value.compile() {
            Ok(test) => self.test(true, move |record| test.accepts_attribute(record, level, &name)),
            Err(error) => self.fail(error),
        }
    }
}

/// Conditions on spans.
impl Query<'_, Span> {
    /// Keeps spans whose duration lies in this range: of [`Duration`](std::time::Duration)s, or of
    /// nanoseconds. A span without a known start or end has no known duration, and is kept only if
    /// the range includes every duration.
    ///
    /// ```
    /// use slipring::{Span, Store};
    /// use std::time::Duration;
    ///
    /// let spans: Store<Span> = Store::builder().build()?;
    /// spans.push(Span::builder().start_unix_nanos(1_000).end_unix_nanos(300_000_000).build())?;
    ///
    /// assert_eq!(spans.query().duration(Duration::from_millis(250)..).count()?, 1);
    /// assert_eq!(spans.query().duration(..=300_000_000).count()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn duration<V: IntoNanos>(self, durations: impl RangeBounds<V>) -> Self {
        match inclusive("duration", &durations, V::nanos) {
            Ok(range) if range == (0..=u64::MAX) => self,
            Ok(range) => self.filter(move |span| {
                span.known_duration().is_some_and(|took| range.contains(&took))
            }),
            Err(error) => self.fail(error),
        }
    }

    /// Keeps spans with an event whose name matches. A [negation](Match::Not) keeps spans that have
    /// events, none of which matches.
    pub fn event(self, name: Match) -> Self {
        match name.compile() {
            Ok(test) => self.filter(move |span| {
                test.accepts(|fits| span.events().iter().any(|event| fits(event.name().into())))
            }),
            Err(error) => self.fail(error),
        }
    }

    /// Keeps spans with this status.
    pub fn status(self, code: StatusCode) -> Self {
        self.filter(move |span| span.status_code() == code)
    }
}

/// Conditions on log records.
impl Query<'_, LogRecord> {
    /// Keeps records of at least this severity, up to number 24. The index answers this for any
    /// severity above [`UNSPECIFIED`](Severity::UNSPECIFIED). At or below it, the query reads each
    /// record, and records without a severity are kept too.
    pub fn severity_at_least(self, severity: Severity) -> Self {
        if severity <= Severity::UNSPECIFIED {
            return self
                .filter(move |record| (severity..=Severity::FATAL4).contains(&record.severity()));
        }
        self.any_of("severity", (severity.0..=Severity::FATAL4.0).map(Severity))
    }

    /// Keeps records whose body matches.
    pub fn body(self, value: Match) -> Self {
        match value.compile() {
            Ok(test) => self.filter(move |record| {
                test.may_accept(record.bytes())
                    && test.accepts(|fits| record.body().is_some_and(fits))
            }),
            Err(error) => self.fail(error),
        }
    }
}
