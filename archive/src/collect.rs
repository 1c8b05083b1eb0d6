//! What the archive's first thread does: it takes in what was evicted, logs it, and says which batches
//! are due. And the thread that syncs the log.

use crate::archive::{NAP, Shared, State};
use crate::batch::Sorted;
use crate::log::{Log, LogSync, NotLogged};
use crate::trouble::Work;
use std::fs::File;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most files of the log that wait to be synced. Before there are more, they are synced by who
/// writes. Not measured.
const MOST_UNSYNCED: usize = 16;

impl Shared {
    /// Takes the right to add records and to write the log: it is taken before `state`, and may be held
    /// while a disk writes.
    pub(crate) fn intake(&self) -> MutexGuard<'_, Option<Log>> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the first thread until the archive ends.
    pub(crate) fn collect(&self) {
        loop {
            let mut log = self.intake();
            let (flushes, ends, has_room) = {
                let state = self.lock();
                (state.flushes, state.ends, state.batches.bytes < self.settings.batch_bytes)
            };
            if has_room {
                let mut sorted = Sorted::default();
                while !sorted.is_full(&self.settings)
                    && let Some(record) = self.queue.pop()
                {
                    sorted.add(record);
                }
                self.take_in(&mut log, sorted);
            }
            self.mark_done(&mut log);
            let is_empty = self.queue.is_empty();
            let mut state = self.lock();
            let all = is_empty && (ends.is_some() || state.flushed < flushes);
            let is_written = state.writing.is_some() || !state.due.is_empty();
            let now = Instant::now();
            let due = state.batches.take_due(&self.settings, now, all, is_written);
            let is_news = !due.is_empty() || (is_empty && state.flushed < flushes);
            state.due.extend(due);
            if is_empty {
                state.flushed = flushes;
            }
            drop(state);
            drop(log);
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

    /// Adds records to the batches, and to the log. A batch is not made due before its records are
    /// logged, since that takes the same right.
    pub(crate) fn take_in(&self, log: &mut Option<Log>, sorted: Sorted) {
        if sorted.len() == 0 {
            return;
        }
        let mut state = self.lock();
        let added = state.batches.add(sorted, self.settings.open_hours, log.is_some());
        let has_failed = std::mem::take(&mut state.sync_failed);
        drop(state);
        let Some(log) = log else { return };
        if has_failed {
            // What a disk could not sync once, it may not sync later, and say nothing.
            log.roll();
        }
        let mut are_all_logged = true;
        for records in &added {
            let outcome = log.append(records);
            are_all_logged &= outcome.is_ok();
            let count = records.len() as u64;
            let mut state = self.lock();
            match outcome {
                Ok(()) => {
                    state.batches.are_logged(&records.file, count);
                    state.counts.log.logged += count;
                }
                Err(NotLogged::Full) => {
                    state.counts.log.full += count;
                    state.trouble.tell(Work::Log, &"it has as many bytes as it may");
                }
                Err(NotLogged::Failed(error)) => {
                    state.counts.log.failed += count;
                    state.count_error(Work::Log, &error);
                }
            }
            state.is_unsynced(log.file().cloned());
        }
        let mut state = self.lock();
        if are_all_logged {
            state.trouble.is_over(Work::Log);
        }
        state.has_log(log);
        let must_sync = self.syncs_each_write() || state.unsynced.len() >= MOST_UNSYNCED;
        drop(state);
        if must_sync {
            self.sync();
        }
    }

    fn syncs_each_write(&self) -> bool {
        let log = self.settings.log.as_ref();
        log.is_some_and(|log| log.sync == LogSync::EachWrite)
    }

    /// Syncs what was logged, one thread at a time: another one could take the first one's files for
    /// synced before they are. A file that cannot be synced is tried again, but nothing that was logged
    /// up to then ever counts as synced: a disk that failed once may say later that all is well.
    fn sync(&self) {
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        let (files, logged) = (std::mem::take(&mut state.unsynced), state.counts.log.logged);
        drop(state);
        let mut failed = Vec::new();
        let mut error = None;
        for file in files {
            if let Err(why) = file.sync_data() {
                failed.push(file);
                error = Some(why);
            }
        }
        self.lock().are_synced(logged, failed, error);
    }

    /// The thread that syncs the log.
    pub(crate) fn sync_log(&self, every: Duration) {
        let mut until = Instant::now() + every;
        let mut state = self.lock();
        while state.ends.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.wait(state, left);
                continue;
            }
            let is_due = !state.unsynced.is_empty();
            drop(state);
            if is_due {
                self.sync();
            }
            until = Instant::now() + every;
            state = self.lock();
        }
    }

    /// Marks in the log which batches need it no more.
    fn mark_done(&self, log: &mut Option<Log>) {
        let Some(log) = log else { return };
        let mut state = self.lock();
        let (done, unread) = (std::mem::take(&mut state.done), std::mem::take(&mut state.unread));
        drop(state);
        log.are_damaged(&unread);
        if done.is_empty() && !log.has_unmarked() {
            return;
        }
        let outcome = log.done(&done);
        let mut state = self.lock();
        state.is_unsynced(log.file().cloned());
        state.has_log(log);
        outcome.unwrap_or_else(|error| state.count_error(Work::Log, &error));
    }

    /// Ends the log, when no thread writes any more. The stores' hooks may keep `self` for long, and
    /// the log's folder is free all the same.
    pub(crate) fn close_log(&self) {
        let mut intake = self.intake();
        self.mark_done(&mut intake);
        let Some(mut log) = intake.take() else { return };
        drop(intake);
        self.sync();
        let outcome = log.close();
        let mut state = self.lock();
        state.has_log(&log);
        outcome.unwrap_or_else(|error| state.count_error(Work::Log, &error));
    }
}

impl State {
    /// Remembers that a file of the log has what was not synced.
    fn is_unsynced(&mut self, file: Option<Arc<File>>) {
        let Some(file) = file else { return };
        if !self.unsynced.iter().any(|one| Arc::ptr_eq(one, &file)) {
            self.unsynced.push(file);
        }
    }

    /// Counts what was logged before a sync. `failed` are the files that could not be synced.
    fn are_synced(
        &mut self,
        logged: u64,
        mut failed: Vec<Arc<File>>,
        error: Option<std::io::Error>,
    ) {
        match error {
            None => {
                self.trouble.is_over(Work::Sync);
                if !self.has_sync_failed {
                    self.counts.log.synced = logged;
                }
            }
            Some(error) => {
                let counted = self.counts.log.synced.max(self.failed_up_to);
                self.counts.log.failed += logged.saturating_sub(counted);
                self.failed_up_to = logged;
                self.has_sync_failed = true;
                self.sync_failed = true;
                self.count_error(Work::Sync, &error);
                // Those that came meanwhile have to be synced as well.
                failed.truncate(MOST_UNSYNCED / 2);
                failed.retain(|file| !self.unsynced.iter().any(|one| Arc::ptr_eq(one, file)));
                self.unsynced.extend(failed);
            }
        }
    }

    fn has_log(&mut self, log: &Log) {
        let counts = &mut self.counts.log;
        (counts.bytes, counts.segments) = (log.bytes(), log.segments());
        counts.set_aside = log.set_aside();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_synced_never_counts_as_synced_and_is_tried_again() {
        let mut state = State::default();
        let files: Vec<_> =
            (0..2).map(|_| Arc::new(tempfile::tempfile().expect("a file"))).collect();
        state.are_synced(10, Vec::new(), None);
        assert_eq!((state.counts.log.synced, state.counts.log.failed), (10, 0));
        let error = || Some(std::io::Error::other("no"));
        state.is_unsynced(Some(Arc::clone(&files[0])));
        state.are_synced(15, files.clone(), error());
        assert_eq!((state.counts.log.synced, state.counts.log.failed), (10, 5));
        assert_eq!(state.unsynced.len(), 2, "each is tried again, once");
        state.are_synced(17, files, error());
        assert_eq!((state.counts.log.synced, state.counts.log.failed), (10, 7));
        state.are_synced(20, Vec::new(), None);
        assert_eq!((state.counts.log.synced, state.counts.log.failed), (10, 7));
    }
}
