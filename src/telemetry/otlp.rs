//! Stores what requests of OpenTelemetry's protocol contain.

use super::Telemetry;
use crate::otlp::{Encoding, Kind, OtlpError, Rejected, Request, read, read_json};
use crate::signal::Signal;
use crate::store::Store;
use bytes::Bytes;

impl Telemetry {
    /// Stores the records of a request body. In protobuf, the records stay ranges of the body's
    /// bytes. O(bytes). Waits for room as [`Store::push_batch`] does. Returns what was rejected, and
    /// why.
    ///
    /// Every record is checked completely first. A body between 4 and 256 KiB is kept without
    /// copying it, if at least four fifths of it are records. It is freed with the last of its
    /// records. Of other bodies, the records' bytes are copied, in pieces of at most 256 KiB, so
    /// that no record keeps more than that. JSON is written anew as protobuf. A borrowed body has to
    /// be copied by the caller: `body.to_vec()`.
    ///
    /// Each stored record counts its own bytes ([`heap_bytes`](Signal::heap_bytes)). What encloses
    /// the records counts once, while one of them is held. When the oldest records of a piece are
    /// evicted, the piece still holds their bytes, which are no longer counted: at most 256 KiB for
    /// each shard, unless something else holds the piece's records. A `Vec` or a buffer with room to
    /// spare holds more than its length, which is not counted either: give a boxed slice where that
    /// matters.
    ///
    /// A record that is larger than [`max_record_bytes`](crate::StoreBuilder::max_record_bytes) is
    /// rejected. A resource, a scope or a metric that is larger is rejected with its records.
    ///
    /// ```
    /// use slipring::otlp::{Encoding, Kind};
    /// use slipring::{Span, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let span = Span::builder().trace_id(7).span_id(7).name("GET /").build();
    /// let body = slipring::otlp::encode([&span], Encoding::Protobuf);
    /// let rejected = telemetry.ingest(Kind::Traces, Encoding::Protobuf, body)?;
    /// assert!(rejected.is_empty());
    /// assert_eq!(telemetry.traces().query().collect()?.records, [span]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Request::read`]. Nothing is stored then.
    pub fn ingest(
        &self,
        kind: Kind,
        encoding: Encoding,
        body: impl Into<Bytes>,
    ) -> Result<Rejected, OtlpError> {
        let mut all = Rejected::default();
        let mut deliver = |request: Request| all.merge(&self.ingest_request(request));
        let largest = match kind {
            Kind::Traces => self.traces().largest_record(),
            Kind::Logs => self.logs().largest_record(),
            Kind::Metrics => self.metrics().largest_record(),
        };
        let (body, known) = (body.into(), Some(self.known(kind)));
        match encoding {
            Encoding::Protobuf => {
                read(kind, &body, largest, known, Rejected::default(), &mut deliver)?
            }
            Encoding::Json => read_json(Some(kind), &body, largest, known, &mut deliver)?,
        }
        Ok(all)
    }

    /// Stores the records of a request that was read before. O(records). Waits for room as
    /// [`Store::push_batch`] does. Returns what was rejected, by the reader or by the stores, and
    /// why.
    ///
    /// ```
    /// use slipring::Telemetry;
    /// use slipring::otlp::Request;
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let line = br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hello"}}]}]}]}"#;
    /// let rejected = telemetry.ingest_request(Request::read_json(line)?);
    /// assert!(rejected.is_empty());
    /// assert_eq!(telemetry.logs().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ingest_request(&self, request: Request) -> Rejected {
        let Request { spans, logs, points, mut rejected } = request;
        push(self.traces(), spans, &mut rejected);
        push(self.logs(), logs, &mut rejected);
        push(self.metrics(), points, &mut rejected);
        rejected
    }
}

fn push<T: Signal>(store: &Store<T>, records: Vec<T>, rejected: &mut Rejected) {
    if records.is_empty() {
        return;
    }
    if let Err(error) = store.push_batch(records) {
        // Of several reasons, the last one is reported; the statistics count all of them.
        rejected.add(error.rejected.len() as u64, &error.reason.to_string());
    }
}
