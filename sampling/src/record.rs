//! What the records of the three signals have in common.

use slipring::{LogRecord, MetricPoint, Source, Span};
use std::hash::{Hash, Hasher};

/// A record that can be kept: a span, a log record or a metric point.
pub trait Record: sealed::Record {}

impl<T: sealed::Record> Record for T {}

pub(crate) mod sealed {
    use super::Source;

    pub trait Record: Clone {
        /// Returns the record's own bytes.
        fn own(&self) -> &[u8];
        /// Returns what it shares with others.
        fn shares(&self) -> &Source;
        /// Copies records into a body that only they share.
        fn detach_together(records: &mut [Self]);
        /// Returns the record as it was before a sampler saw it.
        fn plain(&self) -> Self;
    }
}

macro_rules! record {
    ($record:ident, $plain:expr) => {
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

            fn plain(&self) -> Self {
                let plain: fn(&Self) -> Self = $plain;
                plain(self)
            }
        }
    };
}

record!(Span, |span| span.with_trace_state(""));
record!(LogRecord, Clone::clone);
record!(MetricPoint, Clone::clone);

/// Hashes everything that a record says, except what a sampler may have written.
pub(crate) fn hash(record: &impl sealed::Record, state: &mut impl Hasher) {
    let source = record.shares();
    let (resource, scope, metric) = (source.resource(), source.scope(), source.metric());
    record.plain().own().hash(state);
    (resource.bytes(), resource.schema_url(), scope.bytes(), scope.schema_url()).hash(state);
    (metric.name(), metric.unit(), metric.description(), metric.kind()).hash(state);
}
