//! Constructors and shortcuts for unit tests: an engine without a [`Store`](crate::Store) and
//! without an indexer thread.

use crate::engine::evictions::OwnHook;
use crate::engine::index::Fingerprints;
use crate::engine::indexer::{Moved, Work};
use crate::engine::settings::OnFull;
use crate::engine::state::Engine;
use crate::signal::Signal;
use crate::store::StoreBuilder;

impl<T: Signal> Engine<T> {
    /// Builds an engine with fixed hash keys.
    pub(crate) fn of(config: &StoreBuilder<T>) -> Self {
        let settings = &config.settings;
        let fingerprints = Fingerprints::fixed(0, settings.fingerprint_bits);
        Self::new(settings, settings.layouts().expect("the settings are valid"), fingerprints, 0)
            .expect("the slots can be allocated")
    }

    /// Pushes one record, which must be accepted.
    pub(crate) fn push(&self, mut record: T) {
        let meta = self.meta(&mut record).expect("the record's methods do not panic");
        let claim =
            self.claim(std::slice::from_ref(&meta), OnFull::Reject).expect("the ring has room");
        self.publish(claim, record, &meta);
    }

    /// Indexes and evicts all that is due, and reclaims nothing.
    pub(crate) fn settle(&self) {
        for number in 0..self.shards.len() {
            while self.step(number, Work::FLUSH).is_some_and(Moved::any) {}
        }
    }

    /// Adds a hook that does nothing.
    pub(crate) fn hook(&self) {
        self.sinks.update(|sinks| {
            let mut sinks = sinks.clone();
            let hook = OwnHook::new(Box::new(|_, _, _| ()), &self.streamed);
            sinks.hooks.push(std::sync::Arc::new(hook));
            sinks
        });
    }
}

impl Engine<crate::LogRecord> {
    /// Pushes `records` default records.
    pub(crate) fn push_some(&self, records: u64) {
        (0..records).for_each(|_| self.push(crate::LogRecord::default()));
    }
}
