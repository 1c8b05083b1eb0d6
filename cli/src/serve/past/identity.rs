//! What tells records apart: a record may be in the store, in a kept trace and in a file at once.

use crate::serve::ask::Asking;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns what tells a record apart: its bytes, and those around it. It is the same in each run, so
/// that a page can say where the next one begins.
///
/// The samplers write into the trace state of what they keep, so that of spans says nothing here.
pub fn identity<T: Asking>(record: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.own_bytes(&mut |bytes| bytes.hash(&mut hasher));
    let source = record.shared();
    let (resource, scope, metric) = (source.resource(), source.scope(), source.metric());
    (resource.bytes(), resource.schema_url(), scope.bytes(), scope.schema_url()).hash(&mut hasher);
    (metric.name(), metric.unit(), metric.description(), metric.kind()).hash(&mut hasher);
    hasher.finish()
}

/// Records that were seen in memory, so that those of files that are the same do not count again. Of
/// equal ones, as many are left out as were seen: a record may have moved into a file meanwhile, and
/// others may equal it.
#[derive(Default)]
pub struct Seen(HashMap<u64, u32>);

impl Seen {
    pub fn note<T: Asking>(&mut self, record: &T) {
        *self.0.entry(identity(record)).or_default() += 1;
    }

    /// Returns whether a record was not seen, or not as often as it was asked for.
    pub fn is_new<T: Asking>(&mut self, record: &T) -> bool {
        match self.0.get_mut(&identity(record)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::{LogRecord, Resource, Scope, Source, Span};

    #[test]
    fn as_many_equal_records_are_left_out_as_were_seen() {
        let log = |body: &str| LogRecord::builder().time_unix_nanos(7).body(body).build();
        let mut seen = Seen::default();
        ["a", "b", "a"].map(log).iter().for_each(|log| seen.note(log));
        let found = ["a", "c", "a", "a", "b", "c"].map(log);
        let new = found.iter().map(|log| seen.is_new(log)).collect::<Vec<_>>();
        assert_eq!(new, [false, true, false, true, false, true]);
    }

    #[test]
    fn what_is_around_a_record_counts_and_a_samplers_note_does_not() {
        let span = Span::builder().trace_id(7).span_id(8).name("a").build();
        let source = Source::new(&Resource::new([("service.name", "b")]), &Scope::default());
        let other = Span::builder().source(&source).trace_id(7).span_id(8).name("a").build();
        assert_ne!(identity(&span), identity(&other));
        assert_eq!(identity(&span), identity(&span.with_trace_state("ot=th:8")));
        let later = Span::builder().trace_id(7).span_id(8).name("a").start_unix_nanos(1).build();
        assert_ne!(identity(&span), identity(&later));
    }
}
