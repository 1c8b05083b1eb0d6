//! What this repository's own tests, models and fuzz targets set in a store. It is not for users:
//! it exists only with the feature `__for_tests`, which `--all-features` turns on, and of which
//! nothing is promised. Its items are left out of the documentation.

use super::{Store, StoreBuilder};
use crate::signal::Signal;
use std::time::{Duration, Instant};

impl<T: Signal> StoreBuilder<T> {
    /// Sets narrow fingerprints, so that keys collide.
    pub fn fingerprint_bits(mut self, bits: u32) -> Self {
        self.settings.fingerprint_bits = bits;
        self
    }

    /// Sets how long a thread that does a shard's work may stand still before other threads take
    /// the work over. `None`: for ever.
    pub fn patience(mut self, lasts: Option<Duration>) -> Self {
        self.settings.patience = lasts;
        self
    }

    /// Sets how many slots each shard has beyond its capacity.
    pub fn slack(mut self, slots: usize) -> Self {
        self.settings.slack = Some(slots);
        self
    }
}

impl<T: Signal> Store<T> {
    /// Steps like [`step`](Store::step), with `now` as its clock.
    pub fn step_at(&self, now: impl Fn() -> Instant) -> bool {
        self.step_by(now)
    }
}
