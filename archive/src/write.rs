//! What the archive's second thread does: it writes batches into files, those that are due and those
//! that an earlier archive has left in the log.

use crate::archive::{NAP, Shared};
use crate::batch::Batch;
use crate::log::Pending;
use crate::name::{FileId, Name};
use crate::place::CHANGES;
use crate::priority;
use crate::trouble::Work;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::errors::ParquetError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How often a write looks whether the archive has to end. Not measured.
const TICK: Duration = Duration::from_millis(50);

/// How often the pause after a failure doubles: up to 16 s. Not measured.
const DOUBLINGS: u32 = 6;

/// The most folders whose number of files is known. Not measured.
const MOST_ADDED: usize = 4_096;

/// The error of a file whose making panicked.
const PANIC: &str = "a file could not be made: its writer panicked";

/// What the second thread does next.
enum Next {
    Write(Batch),
    Replay(Pending),
    Look,
    End,
}

/// Why a file was not written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// It could not be made.
    Broken,
    /// It was tried as long as there was room for what came meanwhile.
    NoRoom,
    TooLate,
}

impl Shared {
    /// Runs the second thread until the archive ends.
    pub(crate) fn write(&self, runtime: Runtime) {
        // Senders go first: what finds no room meanwhile is counted.
        priority::lower();
        let mut has_replayed = false;
        loop {
            match self.next(has_replayed) {
                Next::Write(batch) => self.write_due(&runtime, batch),
                Next::Replay(pending) => {
                    self.replay(&runtime, pending);
                    has_replayed = true;
                    continue;
                }
                Next::Look => {}
                Next::End => break,
            }
            has_replayed = false;
        }
        // A write to a disk that hangs is left behind.
        runtime.shutdown_background();
    }

    /// What is due and what is in the log take turns: one takes memory, the other room in the log. At the
    /// end, what is in the log comes last: the next start has it in any case.
    fn next(&self, has_replayed: bool) -> Next {
        let mut state = self.lock();
        if state.due.is_empty() && state.replay.is_empty() && state.ends.is_none() {
            state = self.wait(state, NAP);
        }
        if state.ends.is_some_and(|ends| ends <= Instant::now()) {
            return Next::End;
        }
        let ends = state.ends.is_some();
        let is_its_turn = match state.due.is_empty() {
            true => !ends || (!state.batches.has_open() && self.queue.is_empty()),
            false => !ends && !has_replayed,
        };
        if is_its_turn && let Some(pending) = state.replay.pop_front() {
            state.writing = Some(pending.file);
            return Next::Replay(pending);
        }
        if let Some(batch) = state.due.pop_front() {
            state.writing = Some(batch.file);
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

    fn write_due(&self, runtime: &Runtime, batch: Batch) {
        let (records, bytes, logged, file) =
            (batch.len() as u64, batch.bytes, batch.logged, batch.file);
        let written = self.write_batch(runtime, batch);
        let mut state = self.lock();
        state.writing = None;
        state.batches.forget(records, bytes);
        match written {
            Ok(size) => state.has_written(&file, records, size),
            Err(Failed::Broken | Failed::NoRoom) => state.counts.lost.failed += records,
            Err(Failed::TooLate) => {
                state.counts.left += logged;
                state.counts.lost.unfinished += records - logged;
            }
        }
        if written != Err(Failed::TooLate) && logged > 0 {
            state.done.push(file.batch);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Writes what an earlier archive has left of a batch, if it is in no file. If that fails, it will be
    /// tried again. Until then it waits: under one lock, it ceases to be written and waits again, so that
    /// who merges files always sees it.
    fn replay(&self, runtime: &Runtime, mut pending: Pending) {
        let outcome = self.replayed(runtime, &mut pending);
        let mut state = self.lock();
        state.writing = None;
        let is_done = match outcome {
            Ok(None) => true,
            Ok(Some((written, read, bytes))) => {
                state.batches.give_bytes(bytes);
                match written {
                    Ok(size) => state.has_written(&pending.file, read, size),
                    Err(Failed::Broken) => state.counts.lost.failed += read,
                    Err(Failed::NoRoom | Failed::TooLate) => {}
                }
                let is_done = matches!(written, Ok(_) | Err(Failed::Broken));
                if is_done {
                    state.counts.recovered += pending.records;
                    let unreadable = pending.records.saturating_sub(read);
                    state.counts.lost.unreadable += unreadable;
                    if unreadable > 0 {
                        let lost = format!("{unreadable} records of a batch cannot be read");
                        state.count_error(Work::Replay, &lost);
                    } else {
                        state.trouble.is_over(Work::Replay);
                    }
                }
                is_done
            }
            Err(error) => {
                state.count_error(Work::Replay, &error);
                state.replay.push_back(pending);
                drop(self.wait(state, NAP));
                return;
            }
        };
        if is_done {
            state.done.push(pending.file.batch);
        } else {
            state.replay.push_back(pending);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns whether the batch was written, how many records were read, and their bytes. `None` if it is
    /// in a file already.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn replayed(
        &self,
        runtime: &Runtime,
        pending: &mut Pending,
    ) -> Result<Option<(Result<u64, Failed>, u64, usize)>, String> {
        let file = pending.file;
        let listing = self.place.list_folder(file.partition);
        let listed = self
            .waited(runtime, listing, &|| self.is_late())
            .ok_or("its folder was not listed in time")?;
        let listed = listed.map_err(|error| error.to_string())?;
        if !listed.is_whole {
            return Err(CHANGES.to_owned());
        }
        let mut all = listed.files.iter().chain(&listed.superseded);
        if all.any(|one| one.name.has(file.batch)) {
            return Ok(None);
        }
        let (batch, unread) =
            pending.read().map_err(|error| format!("the log cannot be read: {error}"))?;
        let (read, bytes) = (batch.len() as u64, batch.bytes);
        let mut state = self.lock();
        state.batches.take_bytes(bytes);
        state.unread.extend(unread);
        drop(state);
        if read == 0 {
            return Ok(Some((Err(Failed::Broken), 0, bytes)));
        }
        Ok(Some((self.write_batch(runtime, batch), read, bytes)))
    }

    /// Waits for an object store, as long as an attempt may take, and until it is late.
    pub(crate) fn waited<T>(
        &self,
        runtime: &Runtime,
        work: impl Future<Output = T>,
        is_late: &dyn Fn() -> bool,
    ) -> Option<T> {
        let until = Instant::now() + self.settings.attempt_timeout;
        runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                match timeout(TICK, work.as_mut()).await {
                    Ok(done) => return Some(done),
                    Err(_) if is_late() || Instant::now() >= until => return None,
                    Err(_) => {}
                }
            }
        })
    }

    /// Makes the file of a batch and puts it to its place. Returns its bytes.
    fn write_batch(&self, runtime: &Runtime, mut batch: Batch) -> Result<u64, Failed> {
        let name = Name::of(&batch.file, batch.len() as u64);
        let path = self.place.path(batch.file.partition, &name);
        // A fault in what makes a file costs that file, and not those after it.
        let is_late = || self.is_late();
        let encoded = catch_unwind(AssertUnwindSafe(|| batch.encode(&self.settings, &is_late)));
        match encoded.unwrap_or_else(|_| Err(ParquetError::General(PANIC.to_owned()))) {
            Ok(None) => Err(Failed::TooLate),
            Ok(Some(file)) => {
                drop(batch);
                let size = file.len() as u64;
                runtime.block_on(self.put(&path, file.into())).map(|()| size)
            }
            Err(error) => {
                self.lock().count_error(Work::Make, &error);
                Err(Failed::Broken)
            }
        }
    }

    /// Puts a file to its place, completely or not at all. It is tried as long as there is room for what
    /// comes meanwhile.
    async fn put(&self, path: &Path, file: PutPayload) -> Result<(), Failed> {
        let mut backoff = self.settings.backoff;
        let most = backoff.saturating_mul(1 << DOUBLINGS);
        for attempt in 1_u32.. {
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
            self.lock().count_error(Work::Write, &failed);
            let until = Instant::now() + backoff;
            loop {
                if self.is_late() {
                    return Err(Failed::TooLate);
                }
                if attempt >= self.settings.attempts && !self.has_room() {
                    return Err(Failed::NoRoom);
                }
                if Instant::now() >= until {
                    break;
                }
                tokio::time::sleep(TICK.min(backoff)).await;
            }
            backoff = backoff.saturating_mul(2).min(most);
        }
        Err(Failed::NoRoom)
    }

    fn has_room(&self) -> bool {
        self.lock().batches.bytes < self.settings.batch_bytes
    }

    pub(crate) fn is_late(&self) -> bool {
        self.lock().ends.is_some_and(|ends| ends <= Instant::now())
    }
}

impl crate::archive::State {
    fn has_written(&mut self, file: &FileId, records: u64, size: u64) {
        self.counts.written += records;
        self.counts.written_bytes += size;
        self.counts.files += 1;
        self.trouble.is_over(Work::Make);
        self.trouble.is_over(Work::Write);
        *self.added.entry(file.partition).or_default() += 1;
        if self.added.len() > MOST_ADDED {
            // Files of the oldest hours are the least likely to become more.
            let oldest = self.added.keys().min_by_key(|partition| partition.hour).copied();
            oldest.and_then(|partition| self.added.remove(&partition));
        }
    }
}
