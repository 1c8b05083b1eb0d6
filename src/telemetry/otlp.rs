//! Requests of OpenTelemetry's protocol, taken into the stores.

use super::Telemetry;
use crate::otlp::{Encoding, Kind, OtlpError, Rejected, Request, read, read_json};
use crate::signal::Signal;
use crate::store::Store;
use bytes::Bytes;

impl Telemetry {
    /// Takes a request as it came: in protobuf, its records stay ranges of its bytes. O(bytes). It
    /// may wait for room, as [`Store::push_batch`] does.
    ///
    /// Every record is checked completely first. A request between 4 and 256 KiB is kept without
    /// copying it, if at least four fifths of it are records, as long as one of its records is. Of
    /// others, the records' bytes are copied, in pieces of at most 256 KiB, so that no record keeps
    /// more than that. JSON is written anew as protobuf.
    ///
    /// Each record that is stored counts its own bytes ([`heap_bytes`](Signal::heap_bytes)); what
    /// encloses them counts once, as long as one of them is held. Of a piece whose oldest records
    /// were evicted, their bytes are held and no longer counted: at most 256 KiB for each shard,
    /// unless somebody else holds its records. A `Vec` or a buffer with room to spare holds more
    /// than its length, and that is not counted either: give a boxed slice where that matters.
    ///
    /// A record that is larger than [`max_record_bytes`](crate::StoreBuilder::max_record_bytes) is
    /// rejected; a resource, a scope or a metric that is larger, with its records.
    ///
    /// ```
    /// use slipring::otlp::{Encoding, Kind};
    /// use slipring::{Span, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let span = Span::builder().trace_id(7).span_id(7).name("GET /").build();
    /// let body = slipring::otlp::write([&span], Encoding::Protobuf);
    /// let rejected = telemetry.ingest(Kind::Traces, Encoding::Protobuf, body)?;
    /// assert!(rejected.is_empty());
    /// assert_eq!(telemetry.traces().query().collect()?.records, [span]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Request::read`]; then nothing was taken.
    pub fn ingest(
        &self,
        kind: Kind,
        encoding: Encoding,
        body: impl Into<Bytes>,
    ) -> Result<Rejected, OtlpError> {
        let mut all = Rejected::default();
        let mut deliver = |request: Request| all.merge(&self.take(request));
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

    /// Takes a request that is borrowed: as [`ingest`](Telemetry::ingest), after copying it.
    ///
    /// ```
    /// use slipring::Telemetry;
    /// use slipring::otlp::{Encoding, Kind};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let body = br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {"timeUnixNano": "soon"}]}]}]}"#;
    /// let rejected = telemetry.take_from(Kind::Logs, Encoding::Json, body)?;
    /// assert_eq!((telemetry.logs().len(), rejected.records()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Request::read`]; then nothing was taken.
    pub fn take_from(
        &self,
        kind: Kind,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<Rejected, OtlpError> {
        self.ingest(kind, encoding, Bytes::copy_from_slice(body))
    }

    /// Takes a request's records; what was rejected, while it was read or by the stores, and why.
    /// O(records). It may wait for room, as [`Store::push_batch`] does.
    ///
    /// ```
    /// use slipring::Telemetry;
    /// use slipring::otlp::Request;
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// let line = br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hello"}}]}]}]}"#;
    /// let rejected = telemetry.take(Request::read_json(line)?);
    /// assert!(rejected.is_empty());
    /// assert_eq!(telemetry.logs().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take(&self, request: Request) -> Rejected {
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
