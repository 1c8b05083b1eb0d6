//! What all requests share: the sampler, and the queue to the backend.

use crate::receive::Refusal;
use axum::body::Bytes;
use slipring::otlp::{Encoding, Kind, Reader, Rejected, Request};
use slipring_sampling::forward::Forwarder;
use slipring_sampling::{Sampler, Settings, SettingsError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

pub struct Shared {
    sampler: Mutex<Sampler>,
    reader: RwLock<Arc<Reader>>,
    pub forwarder: Forwarder,
}

fn reader(settings: &Settings) -> Arc<Reader> {
    Arc::new(Reader::default().in_place().max_record_bytes(settings.max_span_bytes))
}

impl Shared {
    pub fn new(settings: &Settings, forwarder: Forwarder) -> Result<Self, SettingsError> {
        let sampler = Mutex::new(Sampler::new(settings)?);
        Ok(Self { sampler, reader: RwLock::new(reader(settings)), forwarder })
    }

    /// Takes new settings, or returns what is wrong with them; then the old ones stay.
    pub fn reload(&self, settings: &Settings) -> Result<(), SettingsError> {
        self.sampler().reload(settings)?;
        *self.reader.write().unwrap_or_else(PoisonError::into_inner) = reader(settings);
        Ok(())
    }

    pub fn sampler(&self) -> MutexGuard<'_, Sampler> {
        // A sampler is intact after a panic.
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the spans of a message to the sampler. Returns what the reader and the sampler
    /// rejected.
    pub fn take(
        &self,
        kind: Kind,
        encoding: Encoding,
        message: Bytes,
    ) -> Result<Rejected, Refusal> {
        let reader: Arc<Reader> =
            Arc::clone(&self.reader.read().unwrap_or_else(PoisonError::into_inner));
        let (now, mut by_sampler) = (Instant::now(), 0);
        let take = |part: Request| {
            by_sampler += self.sampler().take(part.spans, now, &mut self.forwarder.clone());
        };
        let rejected = reader.read(kind, encoding, message, take);
        let mut rejected = rejected.map_err(|error| Refusal::Malformed(error.to_string()))?;
        rejected.add(by_sampler, "a span has no trace id, or more bytes than max_span_bytes");
        Ok(rejected)
    }

    /// Decides what is due.
    pub fn advance(&self, now: Instant) {
        self.sampler().advance(now, &mut self.forwarder.clone());
    }

    /// Decides about all that is there.
    pub fn flush(&self, now: Instant) {
        self.sampler().flush(now, &mut self.forwarder.clone());
    }
}
