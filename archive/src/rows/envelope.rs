//! The bytes around records, encoded once for each source.

use super::{Row, envelope};
use slipring::Source;
use std::collections::HashMap;

/// The envelopes of the sources of one file.
#[derive(Default)]
pub(crate) struct Envelopes {
    /// By the addresses of what a source shares. The sources are held, so no address is reused.
    known: HashMap<[usize; 3], Vec<(Source, Vec<u8>)>>,
}

impl Envelopes {
    /// Returns the envelope of a record's source.
    pub(crate) fn of<T: Row>(&mut self, record: &T) -> &[u8] {
        let source = record.shared();
        let known = self.known.entry(addresses(record)).or_default();
        let at = known.iter().position(|(other, _)| other.ptr_eq(source));
        let at = at.unwrap_or_else(|| {
            known.push((source.clone(), envelope::<T>(source)));
            known.len() - 1
        });
        &known[at].1
    }
}

/// Returns the addresses of what a record shares with others, which say nothing once it is freed.
pub(crate) fn addresses<T: Row>(record: &T) -> [usize; 3] {
    let source = record.shared();
    let address = |bytes: &[u8]| bytes.as_ptr() as usize;
    [
        address(source.resource().bytes()),
        address(source.scope().bytes()),
        address(source.metric().name().as_bytes()),
    ]
}
