//! What tells records apart over pages: a record may be in the store, in a kept trace and in a file at
//! once.

use crate::serve::ask::Asking;
use slipring_sampling::hash_record;
use std::hash::{DefaultHasher, Hasher};

/// Returns what tells a record from others of its time, as [`hash_record`] does. It is the same in each
/// run, so that a page can say where the next one begins.
pub fn identity<T: Asking>(record: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_record(record, &mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::{Resource, Scope, Source, Span};

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
