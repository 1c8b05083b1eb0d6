//! What the archive's two threads do.

use crate::archive::{NAP, Shared};
use crate::batch::{Batch, Sorted};
use crate::place::file_name;
use crate::retain::Retained;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::errors::ParquetError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How often files are looked at that may have to be deleted.
const RETAINED: Duration = Duration::from_secs(60);

/// How often a write looks whether the archive has to end.
const TICK: Duration = Duration::from_millis(50);

/// The error of a file whose making panicked.
const PANIC: &str = "a file could not be made: its writer panicked";

/// What the second thread does next.
enum Next {
    Write(Batch),
    Look,
    End,
}

/// Why a file was not written.
enum Failed {
    TooOften,
    TooLate,
}

impl Shared {
    /// The first thread: takes in what was evicted, and says which batches are due.
    pub(crate) fn collect(&self) {
        loop {
            let mut state = self.lock();
            let (flushes, ends) = (state.flushes, state.ends);
            let has_room = state.batches.bytes < self.settings.batch_bytes;
            if has_room {
                let mut sorted = Sorted::default();
                while !sorted.is_full(&self.settings)
                    && let Some(record) = self.queue.pop()
                {
                    sorted.add(record);
                }
                state.batches.add(sorted, self.settings.open_hours);
            }
            let is_empty = self.queue.is_empty();
            let all = is_empty && (ends.is_some() || state.flushed < flushes);
            let is_written = state.is_writing || !state.due.is_empty();
            let now = Instant::now();
            let due = state.batches.take_due(&self.settings, now, all, is_written);
            let is_news = !due.is_empty() || (is_empty && state.flushed < flushes);
            state.due.extend(due);
            if is_empty {
                state.flushed = flushes;
            }
            drop(state);
            if is_news {
                self.changed.notify_all();
            }
            if ends.is_some_and(|ends| is_empty || ends <= now) {
                // The writer looks whether anything is left.
                self.changed.notify_all();
                return;
            }
            if !has_room {
                // The queue may be crowded for long, so its sleep would be none.
                let state = self.lock();
                if state.batches.bytes >= self.settings.batch_bytes {
                    drop(self.wait(state, NAP));
                }
            } else if is_empty {
                self.queue.sleep(NAP.min(self.settings.file_age));
            }
        }
    }

    /// The second thread: writes the batches that are due, and deletes old files.
    pub(crate) fn write(&self, runtime: Runtime) {
        let mut looked: Option<Instant> = None;
        loop {
            match self.next() {
                Next::Write(batch) => self.write_batch(&runtime, batch),
                Next::Look => {}
                Next::End => break,
            }
            if looked.is_none_or(|looked| looked.elapsed() >= RETAINED) {
                looked = Some(Instant::now());
                self.retain(&runtime);
            }
        }
        // A write to a disk that hangs is left behind.
        runtime.shutdown_background();
    }

    fn next(&self) -> Next {
        let mut state = self.lock();
        if state.due.is_empty() && state.ends.is_none() {
            state = self.wait(state, NAP);
        }
        if state.ends.is_some_and(|ends| ends <= Instant::now()) {
            return Next::End;
        }
        if let Some(batch) = state.due.pop_front() {
            state.is_writing = true;
            return Next::Write(batch);
        }
        // Nothing comes any more, and the first thread has nothing left.
        if state.ends.is_some() && !state.batches.has_open() && self.queue.is_empty() {
            return Next::End;
        }
        if state.ends.is_some() {
            drop(self.wait(state, TICK));
        }
        Next::Look
    }

    fn write_batch(&self, runtime: &Runtime, mut batch: Batch) {
        let (records, bytes, partition) = (batch.len() as u64, batch.bytes, batch.partition);
        // A fault in what makes a file costs that file, and not those after it.
        let is_late = || self.is_late();
        let encoded = catch_unwind(AssertUnwindSafe(|| batch.encode(&self.settings, &is_late)));
        let written = match encoded.unwrap_or_else(|_| Err(ParquetError::General(PANIC.to_owned())))
        {
            Ok(None) => Err(Failed::TooLate),
            Ok(Some(file)) => {
                drop(batch);
                let path = self.place.path(partition.table, partition.hour, &self.name(records));
                let size = file.len() as u64;
                runtime.block_on(self.put(&path, file.into())).map(|()| size)
            }
            Err(error) => {
                self.count_error(&error);
                Err(Failed::TooOften)
            }
        };
        let mut state = self.lock();
        state.is_writing = false;
        state.batches.forget(records, bytes);
        match written {
            Ok(size) => {
                state.counts.written += records;
                state.counts.written_bytes += size;
                state.counts.files += 1;
            }
            Err(Failed::TooOften) => state.counts.lost.failed += records,
            Err(Failed::TooLate) => state.counts.lost.unfinished += records,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns a name that no other file has.
    fn name(&self, records: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let counts = &self.lock().counts;
        let number = counts.files + counts.errors;
        file_name(now, self.run, number, records)
    }

    /// Puts a file to its place, completely or not at all.
    async fn put(&self, path: &Path, file: PutPayload) -> Result<(), Failed> {
        let mut backoff = self.settings.backoff;
        for attempt in 1..=self.settings.attempts {
            let until = Instant::now() + self.settings.attempt_timeout;
            let mut put = pin!(self.place.store.put(path, file.clone()));
            let failed = loop {
                match timeout(TICK, put.as_mut()).await {
                    Ok(Ok(_)) => return Ok(()),
                    Ok(Err(error)) => break error.to_string(),
                    Err(_) if self.is_late() => return Err(Failed::TooLate),
                    Err(_) if Instant::now() >= until => {
                        let seconds = self.settings.attempt_timeout.as_secs_f64();
                        break format!("{path} was not written within {seconds} s");
                    }
                    Err(_) => {}
                }
            };
            self.count_error(&failed);
            let until = Instant::now() + backoff;
            while attempt < self.settings.attempts && Instant::now() < until {
                if self.is_late() {
                    return Err(Failed::TooLate);
                }
                tokio::time::sleep(TICK.min(backoff)).await;
            }
            backoff = backoff.saturating_mul(2);
        }
        Err(Failed::TooOften)
    }

    fn is_late(&self) -> bool {
        self.lock().ends.is_some_and(|ends| ends <= Instant::now())
    }

    pub(crate) fn count_error(&self, error: &impl ToString) {
        let mut state = self.lock();
        state.counts.errors += 1;
        state.counts.last_error = Some(error.to_string());
    }

    /// Deletes what is too old or too much.
    fn retain(&self, runtime: &Runtime) {
        let settings = &self.settings;
        if settings.max_age.is_none() && settings.max_bytes.is_none() {
            return;
        }
        let now = SystemTime::now();
        let mut retained = Retained::default();
        let late = runtime.block_on(async {
            let (age, bytes) = (settings.max_age, settings.max_bytes);
            timeout(settings.attempt_timeout, self.place.retain(now, age, bytes, &mut retained))
                .await
        });
        let Retained { deleted, mut error } = retained;
        if late.is_err() {
            error = Some("files were not listed and deleted in time".to_owned());
        }
        let mut state = self.lock();
        state.counts.deleted_files += deleted.files;
        state.counts.deleted_bytes += deleted.bytes;
        state.counts.deleted_records += deleted.records;
        drop(state);
        error.into_iter().for_each(|error| self.count_error(&error));
    }
}
