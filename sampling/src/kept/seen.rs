//! Which kept records a store does not hold any more.

use crate::record::{Record, hash_record};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The records that a store holds, counted, so that kept ones can be added and each record stands
/// in an answer once.
///
/// Two records are the same if their bytes are, and those of the resource, scope and metric that
/// they share. The `tracestate` of spans does not count, because a sampler may have rewritten it. A
/// record that was delivered twice is two records, as it is in a store.
///
/// ```
/// use slipring::LogRecord;
/// use slipring_sampling::Seen;
///
/// let log = |body: &str| LogRecord::builder().trace_id(7).body(body).build();
/// let kept = [log("a"), log("b"), log("b")];
/// let mut seen = Seen::default();
/// seen.note(&log("b"));
/// assert_eq!(seen.others(&kept), [(0, &log("a")), (2, &log("b"))]);
/// ```
///
/// It takes some 40 bytes for each record, and compares records by hashes of 128 bits with keys of
/// its own.
#[derive(Debug, Default)]
pub struct Seen {
    counts: HashMap<Identity, u32>,
    keys: [RandomState; 2],
}

/// What tells a record from others: hashes with the keys of a [`Seen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity([u64; 2]);

impl Seen {
    /// Makes an empty one with the keys of this one, so that the identities of either hold for the
    /// other.
    ///
    /// ```
    /// use slipring::LogRecord;
    /// use slipring_sampling::Seen;
    ///
    /// let log = LogRecord::builder().trace_id(7).body("a").build();
    /// let keys = Seen::default();
    /// let identity = keys.identity(&log);
    /// // Later:
    /// let mut seen = keys.emptied();
    /// seen.note_again(identity);
    /// assert!(seen.others(&[log]).is_empty());
    /// ```
    pub fn emptied(&self) -> Self {
        Self { counts: HashMap::new(), keys: self.keys.clone() }
    }

    /// Counts a record that a store holds.
    pub fn note(&mut self, record: &impl Record) {
        self.note_again(self.identity(record));
    }

    /// Counts a record by its identity, without the record.
    pub fn note_again(&mut self, identity: Identity) {
        *self.counts.entry(identity).or_default() += 1;
    }

    /// Returns whether a record was counted, and if so, counts it once less: of equal ones, as many
    /// are taken as were counted. For records of a place that others move into, such as files.
    ///
    /// ```
    /// use slipring::LogRecord;
    /// use slipring_sampling::Seen;
    ///
    /// let log = |body: &str| LogRecord::builder().trace_id(7).body(body).build();
    /// let mut seen = Seen::default();
    /// seen.note(&log("a"));
    /// seen.note(&log("a"));
    /// let in_files = [log("a"), log("b"), log("a"), log("a")];
    /// assert_eq!(in_files.map(|log| seen.take(&log)), [true, false, true, false]);
    /// ```
    pub fn take(&mut self, record: &impl Record) -> bool {
        let identity = self.identity(record);
        match self.counts.get_mut(&identity) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Returns the records of a kept trace that were not counted, or not as often as it has them,
    /// each with its place. Counts them too: a metric point that several traces keep is returned
    /// for the first one alone.
    pub fn others<'a, T: Record>(&mut self, kept: &'a [T]) -> Vec<(usize, &'a T)> {
        self.others_that(kept, |_| true)
    }

    /// Returns what [`others`](Self::others) does, of the records that fit. Those that do not fit
    /// are not compared, so equal records must fit all or none.
    pub fn others_that<'a, T: Record>(
        &mut self,
        kept: &'a [T],
        fits: impl Fn(&T) -> bool,
    ) -> Vec<(usize, &'a T)> {
        let mut here: HashMap<Identity, u32> = HashMap::new();
        let mut others = Vec::new();
        for (place, record) in kept.iter().enumerate().filter(|(_, record)| fits(record)) {
            let identity = self.identity(record);
            let count = here.entry(identity).or_default();
            *count += 1;
            let seen = self.counts.entry(identity).or_default();
            if *count > *seen {
                *seen = *count;
                others.push((place, record));
            }
        }
        others
    }

    /// Returns what tells the record from others. O(bytes).
    pub fn identity(&self, record: &impl Record) -> Identity {
        Identity(self.keys.each_ref().map(|key| {
            let mut state = key.build_hasher();
            hash_record(record, &mut state);
            state.finish()
        }))
    }
}
