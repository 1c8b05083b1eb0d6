//! Times and durations as callers give them to a query.

use crate::error::QueryError;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A duration that a query takes: a [`Duration`], or nanoseconds as a `u64`, as records give them.
///
/// A duration of more than 584 years counts as the longest that nanoseconds can say.
pub trait IntoNanos: sealed::Nanos {}

/// A time that a query takes: a [`SystemTime`], or nanoseconds since the Unix epoch as a `u64`, as
/// records give them.
///
/// A time before the epoch counts as the epoch, and one after the year 2554 as the last that
/// nanoseconds can say.
pub trait IntoUnixNanos: sealed::UnixNanos {}

impl IntoNanos for u64 {}
impl IntoNanos for Duration {}
impl IntoUnixNanos for u64 {}
impl IntoUnixNanos for SystemTime {}

pub(super) mod sealed {
    /// A number of nanoseconds.
    pub trait Nanos: Copy {
        fn nanos(self) -> u64;
    }

    /// A number of nanoseconds since the Unix epoch.
    pub trait UnixNanos: Copy {
        fn unix_nanos(self) -> u64;
    }
}

use sealed::{Nanos, UnixNanos};

impl Nanos for u64 {
    fn nanos(self) -> u64 {
        self
    }
}

impl Nanos for Duration {
    fn nanos(self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl UnixNanos for u64 {
    fn unix_nanos(self) -> u64 {
        self
    }
}

impl UnixNanos for SystemTime {
    fn unix_nanos(self) -> u64 {
        self.duration_since(UNIX_EPOCH).map_or(0, Duration::nanos)
    }
}

/// Converts a range to an inclusive one in nanoseconds. An empty range is valid; one that ends
/// before it starts is an error.
pub(super) fn inclusive<V: Copy>(
    what: &'static str,
    range: &impl RangeBounds<V>,
    nanos: impl Fn(V) -> u64,
) -> Result<RangeInclusive<u64>, QueryError> {
    let (start, starts_after) = match range.start_bound() {
        Bound::Unbounded => (0, false),
        Bound::Included(&start) => (nanos(start), false),
        Bound::Excluded(&start) => (nanos(start), true),
    };
    let (end, ends_before) = match range.end_bound() {
        Bound::Unbounded => (u64::MAX, false),
        Bound::Included(&end) => (nanos(end), false),
        Bound::Excluded(&end) => (nanos(end), true),
    };
    if end < start {
        return Err(QueryError::EndsBeforeStart { what, start, end });
    }
    let first = if starts_after { start.checked_add(1) } else { Some(start) };
    let last = if ends_before { end.checked_sub(1) } else { Some(end) };
    Ok(first.zip(last).map_or(EMPTY, |(first, last)| first..=last))
}

#[expect(clippy::reversed_empty_ranges, reason = "the range is empty on purpose")]
const EMPTY: RangeInclusive<u64> = 1..=0;
