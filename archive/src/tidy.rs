//! What the archive's third thread does: it deletes files for their age or bytes, and merges small ones.

use crate::archive::Shared;
use crate::merge::{Group, groups, merge};
use crate::name::{FileId, Partition};
use crate::place::{CHANGES, File, Listed};
use crate::priority;
use crate::retain::Retained;
use crate::settings::Merge;
use crate::table::Table;
use crate::trouble::Work;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// How often all folders are looked at for files to merge, and not only those that were written to.
/// Not measured.
const ALL_FOLDERS_EVERY: Duration = Duration::from_secs(3_600);

/// A clock that does not run ahead of the time that has passed: files are deleted by their age, and a
/// clock that is set wrong for a while must not delete all of them.
struct Clock {
    began: (SystemTime, Instant),
}

impl Clock {
    fn now(&self, wall: SystemTime) -> SystemTime {
        let (began, since) = self.began;
        wall.min(began + since.elapsed())
    }
}

impl Shared {
    /// Runs the third thread until the archive ends.
    pub(crate) fn tidy(&self, runtime: Runtime) {
        priority::lower();
        let clock = Clock { began: (SystemTime::now(), Instant::now()) };
        let (mut all_at, mut failures) = (Instant::now(), 0_u32);
        while !self.has_ended() {
            let now = clock.now(SystemTime::now());
            self.retain(&runtime, now);
            let all = all_at <= Instant::now();
            if !self.merge(&runtime, now, all) {
                // All folders are looked at again soon, and then less and less often.
                let pause = self.settings.tidy_every.saturating_mul(1 << failures.min(16));
                all_at = Instant::now() + pause.min(ALL_FOLDERS_EVERY);
                failures += 1;
            } else if all {
                (all_at, failures) = (Instant::now() + ALL_FOLDERS_EVERY, 0);
            }
            let until = Instant::now() + self.settings.tidy_every;
            let mut state = self.lock();
            while state.ends.is_none() && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                state = self.wait(state, left);
            }
        }
        runtime.shutdown_background();
    }

    /// Deletes what is too old or too much.
    fn retain(&self, runtime: &Runtime, now: SystemTime) {
        let settings = &self.settings;
        if settings.max_age.is_none() && settings.max_bytes.is_none() {
            return;
        }
        let mut retained = Retained::default();
        let (age, bytes) = (settings.max_age, settings.max_bytes);
        let retaining = self.place.retain(now, age, bytes, &mut retained);
        let done = self.waited(runtime, retaining, &|| self.has_ended());
        let Retained { deleted, mut error } = retained;
        if done.is_none() && !self.has_ended() {
            error = Some("files were not listed and deleted in time".to_owned());
        }
        let mut state = self.lock();
        state.counts.deleted_files += deleted.files;
        let counts = &mut state.counts;
        counts.deleted_bytes = counts.deleted_bytes.saturating_add(deleted.bytes);
        counts.deleted_records = counts.deleted_records.saturating_add(deleted.records);
        match error {
            Some(error) => state.count_error(Work::Delete, &error),
            None => state.trouble.is_over(Work::Delete),
        }
    }

    /// Merges small files, and returns whether all went well. Once an hour, looks at `all` folders, and
    /// deletes what a crash has left of merged ones.
    fn merge(&self, runtime: &Runtime, now: SystemTime, all: bool) -> bool {
        let outcome = self.merged(runtime, now, all);
        let mut state = self.lock();
        match outcome {
            Ok(()) => state.trouble.is_over(Work::Merge),
            Err(_) if state.ends.is_some() => {}
            Err(error) => {
                state.counts.merges_failed += 1;
                state.count_error(Work::Merge, &error);
                return false;
            }
        }
        true
    }

    fn merged(&self, runtime: &Runtime, now: SystemTime, all: bool) -> Result<(), String> {
        let this_hour = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 3_600;
        // Asked for before the files are listed: a batch that is not waiting now and in no file then is
        // lost, or newer than all that are listed. So no range of batches has one that is written
        // later. But one that was given up for its time may come to its place late, within a range. It
        // then counts as superseded, unless it has more records than the merged file, and is lost, as
        // it was counted.
        let waiting = self.waiting();
        let mut odd = None;
        for listed in self.looked_at(runtime, this_hour, all)? {
            if !listed.is_whole {
                odd.get_or_insert(CHANGES.to_owned());
                continue;
            }
            self.delete(runtime, &listed.superseded)?;
            if self.settings.merge == Merge::Nothing {
                continue;
            }
            for group in groups(&listed.files, &self.settings, self.run, &waiting, this_hour) {
                if self.has_ended() {
                    return Ok(());
                }
                // Files that cannot be merged do not keep others from it.
                if let Err(error) = self.merge_group(runtime, group)? {
                    odd.get_or_insert(error);
                }
            }
        }
        odd.map_or(Ok(()), Err)
    }

    /// Lists the folders that are looked at.
    fn looked_at(
        &self,
        runtime: &Runtime,
        this_hour: u64,
        all: bool,
    ) -> Result<Vec<Listed>, String> {
        let mut found = Vec::new();
        if all {
            for table in Table::ALL {
                found.push(self.until_end(runtime, self.place.list_table(table))?);
            }
            return Ok(found);
        }
        let due: Vec<Partition> = {
            let least = self.settings.merge_files;
            let is_due = |partition: &Partition, count: usize| {
                count >= least || (count >= 2 && partition.is_over(this_hour))
            };
            let mut state = self.lock();
            let due = state.added.iter().filter(|(partition, count)| is_due(partition, **count));
            let due: Vec<Partition> = due.map(|(partition, _)| *partition).collect();
            due.iter().for_each(|partition| _ = state.added.remove(partition));
            due
        };
        for partition in due {
            found.push(self.until_end(runtime, self.place.list_folder(partition))?);
        }
        Ok(found)
    }

    /// Returns the batches that are in no file yet.
    fn waiting(&self) -> Vec<FileId> {
        let state = self.lock();
        let due = state.due.iter().map(|batch| batch.file);
        let replay = state.replay.iter().map(|pending| pending.file);
        state.batches.open().chain(due).chain(replay).chain(state.writing).collect()
    }

    fn has_ended(&self) -> bool {
        self.lock().ends.is_some()
    }

    /// Waits for an object store, as long as an attempt may take, and until the archive ends.
    fn until_end<T>(
        &self,
        runtime: &Runtime,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, String> {
        let done = self.waited(runtime, work, &|| self.has_ended());
        let most = self.settings.attempt_timeout.as_secs_f64();
        let late = || format!("the object store did not answer within {most} s");
        done.ok_or_else(late)?.map_err(|error| error.to_string())
    }

    /// Merges files into one, which is there before they go. Once it is, they go though the archive
    /// ends, as long as that may take: other engines would count their records twice. If they cannot be
    /// merged, they stay, and the inner result says why. The outer one is about the object store.
    fn merge_group(&self, runtime: &Runtime, group: Group) -> Result<Result<(), String>, String> {
        let mut files: Vec<Bytes> = Vec::new();
        for file in &group.files {
            let read = async { self.place.store.get(&file.meta.location).await?.bytes().await };
            files.push(self.until_end(runtime, read)?);
        }
        let (table, records) = (group.partition.table, group.name.records);
        let is_late = || self.has_ended();
        let merged = || merge(table, files, records, &self.settings, &is_late);
        let merged = match catch_unwind(AssertUnwindSafe(merged)) {
            Ok(Ok(Some(merged))) => merged,
            Ok(Ok(None)) => return Ok(Ok(())),
            Ok(Err(error)) => return Ok(Err(error.to_string())),
            Err(_) => return Ok(Err("merging panicked".to_owned())),
        };
        let path = self.place.path(group.partition, &group.name);
        self.until_end(runtime, self.place.store.put(&path, merged.into()))?;
        self.lock().counts.merged_into += 1;
        self.delete(runtime, &group.files).map(Ok)
    }

    fn delete(&self, runtime: &Runtime, files: &[File]) -> Result<(), String> {
        for file in files {
            let done = self.waited(runtime, self.place.delete(file), &|| self.is_late());
            let late = || format!("{} was not deleted in time", file.meta.location);
            done.ok_or_else(late)?.map_err(|error| error.to_string())?;
            self.lock().counts.merged_files += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_makes_no_file_old() {
        let began = SystemTime::now();
        let clock = Clock { began: (began, Instant::now()) };
        let jumped = clock.now(began + 1_000 * ALL_FOLDERS_EVERY);
        assert!(jumped.duration_since(began).unwrap() < ALL_FOLDERS_EVERY);
        assert_eq!(
            clock.now(began - ALL_FOLDERS_EVERY),
            began - ALL_FOLDERS_EVERY,
            "behind, it deletes later"
        );
    }
}
