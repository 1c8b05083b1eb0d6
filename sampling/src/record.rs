//! What the records of the three signals have in common.

use slipring::{LogRecord, MetricPoint, Source, Span};
use std::hash::{Hash, Hasher};

/// A record that can be kept: a span, a log record or a metric point.
pub trait Record: sealed::Record {}

impl<T: sealed::Record> Record for T {}

pub(crate) mod sealed {
    use super::{Hasher, Source};

    pub trait Record: Clone {
        /// Returns the record's own bytes.
        fn own(&self) -> &[u8];
        /// Returns what it shares with others.
        fn shares(&self) -> &Source;
        /// Copies records into a body that only they share.
        fn detach_together(records: &mut [Self]);
        /// Hashes the record's own bytes, without what a sampler may have written into them.
        fn hash_own(&self, state: &mut impl Hasher);
    }
}

macro_rules! record {
    ($record:ident, $hash_own:expr) => {
        impl sealed::Record for $record {
            fn own(&self) -> &[u8] {
                self.bytes()
            }

            fn shares(&self) -> &Source {
                self.source()
            }

            fn detach_together(records: &mut [Self]) {
                $record::detach_together(records)
            }

            fn hash_own(&self, state: &mut impl Hasher) {
                $hash_own(self, state)
            }
        }
    };
}

record!(Span, hash_span);
record!(LogRecord, |log: &LogRecord, state| log.bytes().hash(state));
record!(MetricPoint, |point: &MetricPoint, state| point.bytes().hash(state));

fn hash_span(span: &Span, state: &mut impl Hasher) {
    let mut plain = Vec::with_capacity(span.bytes().len());
    span.write_with_trace_state("", &mut plain);
    plain.hash(state);
}

/// Hashes everything that a record says, with the resource, scope and metric that it shares: what
/// tells whether two records are the same. The `tracestate` of spans does not count, because a
/// sampler may have rewritten it. O(bytes).
///
/// [`Seen`](crate::Seen) counts records by it. A hasher without keys of its own, such as
/// [`DefaultHasher::new`](std::hash::DefaultHasher::new), gives the same number in each run of a
/// program; whoever chooses the records can then make two of the same number.
///
/// ```
/// use slipring::Span;
/// use slipring_sampling::hash_record;
/// use std::hash::{DefaultHasher, Hasher};
///
/// let number = |span: &Span| {
///     let mut state = DefaultHasher::new();
///     hash_record(span, &mut state);
///     state.finish()
/// };
/// let span = |id: u64| Span::builder().trace_id(7).span_id(id).build();
/// assert_eq!(number(&span(1)), number(&span(1).with_trace_state("ot=th:c")));
/// assert_ne!(number(&span(1)), number(&span(2)));
/// ```
pub fn hash_record(record: &impl Record, state: &mut impl Hasher) {
    let source = record.shares();
    let (resource, scope, metric) = (source.resource(), source.scope(), source.metric());
    record.hash_own(state);
    (resource.bytes(), resource.schema_url(), scope.bytes(), scope.schema_url()).hash(state);
    (metric.name(), metric.unit(), metric.description(), metric.kind()).hash(state);
}
