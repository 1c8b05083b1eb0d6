//! What files are asked for, and who takes what is found.

use super::files::OfTables;
use slipring::TraceId;
use std::ops::{ControlFlow, RangeBounds, RangeInclusive};

/// Which records are looked for in files. Conditions are those by which files, row groups and rows
/// are passed over without a record being made of them.
///
/// ```
/// use slipring_archive::Search;
///
/// let nine_o_clock = 1_769_850_000_000_000_000_u64;
/// let search = Search::new().between(nine_o_clock..=nine_o_clock + 60_000_000_000).service("cart");
/// # let _ = search;
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    pub(crate) times: RangeInclusive<u64>,
    pub(crate) traces: Option<Vec<TraceId>>,
    pub(crate) services: Option<Vec<String>>,
    pub(crate) earliest_first: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self { times: 0..=u64::MAX, traces: None, services: None, earliest_first: false }
    }
}

impl Search {
    /// Looks for all records, those of the latest hours first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Restricts the records' [times](slipring::Signal::timestamp), in nanoseconds since the Unix
    /// epoch. Folders rule files out, statistics row groups, and values rows.
    pub fn between(mut self, times: impl RangeBounds<u64>) -> Self {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let first = match times.start_bound() {
            Included(first) => Some(*first),
            Excluded(before) => before.checked_add(1),
            Unbounded => Some(0),
        };
        let last = match times.end_bound() {
            Included(last) => Some(*last),
            Excluded(after) => after.checked_sub(1),
            Unbounded => Some(u64::MAX),
        };
        self.times = match (first, last) {
            (Some(first), Some(last)) => {
                first.max(*self.times.start())..=last.min(*self.times.end())
            }
            // Nothing is before the first time or after the last.
            _ => RangeInclusive::new(1, 0),
        };
        self
    }

    /// Restricts spans and log records to these traces. Bloom filters rule row groups out. Metric
    /// points are of no trace: of them, none is found.
    pub fn traces(mut self, traces: impl IntoIterator<Item = TraceId>) -> Self {
        self.traces = Some(traces.into_iter().collect());
        self
    }

    /// Adds a service to those of which records are looked for. Statistics rule row groups out.
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.services.get_or_insert_default().push(service.into());
        self
    }

    /// Looks at the files of the earliest hours first.
    pub fn earliest_first(mut self) -> Self {
        self.earliest_first = true;
        self
    }
}

/// Takes the records that a [search](crate::Files::search) finds, one by one.
pub trait Visitor<T> {
    /// Says whether records of these times may still be of use. If not, files and row groups of
    /// these times are passed over. It is asked before a file is opened, and for each of its row
    /// groups then.
    fn wants(&self, times: RangeInclusive<u64>) -> bool {
        let _ = times;
        true
    }

    /// Takes a record. The search ends with [`ControlFlow::Break`].
    fn take(&mut self, record: T) -> ControlFlow<Cut>;
}

/// Visits with a closure, all files that may have what is looked for.
impl<T, F: FnMut(T) -> ControlFlow<Cut>> Visitor<T> for F {
    fn take(&mut self, record: T) -> ControlFlow<Cut> {
        self(record)
    }
}

/// Which limit ended an answer early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// It has as many records as it may have.
    Records,
    /// Its records take as many bytes as they may.
    Bytes,
    /// As many files were opened as may be.
    Files,
    /// As many bytes of files were read as may be.
    BytesRead,
    /// The time for it is over.
    Time,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Records => "it has as many records as it may have",
            Self::Bytes => "its records take as many bytes as they may",
            Self::Files => "as many files were opened as may be",
            Self::BytesRead => "as many bytes of files were read as may be",
            Self::Time => "the time for reading files is over",
        })
    }
}

/// A record that files hold: a [`Span`](slipring::Span), a [`LogRecord`](slipring::LogRecord) or a
/// [`MetricPoint`](slipring::MetricPoint).
#[expect(private_bounds, reason = "only this crate's tables have rows for records")]
pub trait Filed: OfTables {}

impl<T: OfTables> Filed for T {}
