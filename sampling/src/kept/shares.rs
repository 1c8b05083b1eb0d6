//! What the records of kept traces share, counted once as long as a kept trace has it.

use crate::record::Record;
use slipring::Source;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};

/// Counts the bytes of the sources that kept records have. It goes by what is kept alone: neither
/// by who else holds a source, nor by whose ledger it was charged to.
#[derive(Debug, Default)]
pub(super) struct Shares {
    uses: HashMap<Part, Use>,
    bytes: usize,
}

#[derive(Debug)]
struct Use {
    records: usize,
    bytes: usize,
}

/// A part of sources, told from others as long as a record has it.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Part {
    /// A resource or a scope, by the address of its bytes.
    At(usize),
    /// The innermost part: a metric, or what has no bytes to tell it by.
    Within(Held),
}

/// A source by its allocation.
#[derive(Debug)]
struct Held(Source);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let metric = self.0.metric();
        (metric.name().as_ptr(), metric.description().as_ptr()).hash(state);
        (self.0.resource().bytes().as_ptr(), self.0.scope().bytes().as_ptr()).hash(state);
    }
}

impl Shares {
    /// Returns the bytes of all sources, each once.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that these records are kept.
    pub(super) fn add<T: Record>(&mut self, records: &[T]) {
        for run in runs(records) {
            each_part(run[0].shares(), |part, bytes| {
                let uses = self.uses.entry(part).or_insert_with(|| {
                    self.bytes += bytes;
                    Use { records: 0, bytes }
                });
                uses.records += run.len();
            });
        }
    }

    /// Notes that these records leave.
    pub(super) fn remove<T: Record>(&mut self, records: &[T]) {
        for run in runs(records) {
            each_part(run[0].shares(), |part, _| {
                let Entry::Occupied(mut uses) = self.uses.entry(part) else { return };
                uses.get_mut().records -= run.len();
                if uses.get().records == 0 {
                    self.bytes -= uses.remove().bytes;
                }
            });
        }
    }
}

/// Iterates over neighbours with the same source.
fn runs<T: Record>(records: &[T]) -> impl Iterator<Item = &[T]> {
    records.chunk_by(|one, other| one.shares().ptr_eq(other.shares()))
}

/// Passes each part of a source to `note`, with its bytes.
fn each_part(source: &Source, mut note: impl FnMut(Part, usize)) {
    // An empty scope has only what each part has.
    let alone = Source::default().heap_bytes();
    let (resource, scope) = (source.resource(), source.scope());
    let names = source.service().len() + source.service_namespace().len();
    let mut within = 0;
    let mut own = alone;
    for (bytes, url, more) in
        [(resource.bytes(), resource.schema_url(), names), (scope.bytes(), scope.schema_url(), 0)]
    {
        own = alone + bytes.len() + url.len();
        match [bytes, url.as_bytes()].into_iter().find(|some| !some.is_empty()) {
            Some(some) => note(Part::At(some.as_ptr() as usize), own + more),
            None => within += alone,
        }
    }
    if source.heap_bytes() != own {
        // It is not the scope, but a metric within.
        within += source.heap_bytes();
    }
    if within > 0 {
        note(Part::Within(Held(source.clone())), within);
    }
}
