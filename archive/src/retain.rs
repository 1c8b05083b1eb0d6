//! Deleting files for their age, or for the bytes of all.

use crate::place::{File, Place};
use crate::table::Table;
use std::time::{Duration, SystemTime};

/// Files that are gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

/// What was deleted, and what went wrong.
#[derive(Default)]
pub(crate) struct Retained {
    pub(crate) deleted: Deleted,
    pub(crate) error: Option<String>,
}

/// Returns how many of these files, the newest first, stay.
fn staying(
    files: &[File],
    now: SystemTime,
    max_age: Option<Duration>,
    max_bytes: Option<u64>,
) -> usize {
    let mut bytes = 0_u64;
    let stays = |file: &&File| {
        bytes = bytes.saturating_add(file.meta.size);
        let age = now.duration_since(file.written()).unwrap_or_default();
        max_bytes.is_none_or(|most| bytes <= most) && max_age.is_none_or(|most| age <= most)
    };
    files.iter().take_while(stays).count()
}

impl Place {
    /// Deletes the files that are older than `max_age`, and the oldest while all have more than
    /// `max_bytes`. `retained` says how far it came, if the future is dropped.
    pub(crate) async fn retain(
        &self,
        now: SystemTime,
        max_age: Option<Duration>,
        max_bytes: Option<u64>,
        retained: &mut Retained,
    ) {
        let files = match self.list(&Table::ALL).await {
            Ok(listed) => listed.files,
            Err(error) => {
                retained.error = Some(error.to_string());
                return;
            }
        };
        // The oldest go first, so that what is left is whole if a deletion fails.
        let stay = staying(&files, now, max_age, max_bytes);
        for file in files[stay..].iter().rev() {
            if let Err(error) = self.delete(file).await {
                retained.error = Some(error.to_string());
                return;
            }
            retained.deleted.files += 1;
            // What names say may be odd.
            let deleted = &mut retained.deleted;
            deleted.bytes = deleted.bytes.saturating_add(file.meta.size);
            deleted.records = deleted.records.saturating_add(file.records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Name, Partition};
    use object_store::{ObjectStoreExt, memory::InMemory};
    use std::sync::Arc;

    const MINUTE: Duration = Duration::from_secs(60);

    fn deleted(max_age: Option<Duration>, max_bytes: Option<u64>, later: Duration) -> Deleted {
        let runtime = crate::archive::runtime().unwrap();
        runtime.block_on(async {
            let store = Arc::new(InMemory::new());
            let place = Place::of_store(store.clone(), "history");
            for (number, bytes) in [(1, 10), (2, 20), (3, 40)] {
                let name: Name =
                    format!("0000000000000-0000000000000000-0-{number}.parquet").parse().unwrap();
                let path = place.path(Partition { table: Table::Logs, hour: number }, &name);
                store.put(&path, vec![0; bytes].into()).await.unwrap();
            }
            let other = object_store::path::Path::from("history/mine.parquet");
            store.put(&other, vec![0; 500].into()).await.unwrap();
            let mut retained = Retained::default();
            place.retain(SystemTime::now() + later, max_age, max_bytes, &mut retained).await;
            assert!(store.head(&other).await.is_ok() && retained.error.is_none());
            retained.deleted
        })
    }

    #[test]
    fn the_oldest_files_go_first_and_only_the_archives_own() {
        let none = Deleted::default();
        assert_eq!(deleted(None, None, MINUTE), none);
        assert_eq!(deleted(None, Some(70), MINUTE), none);
        assert_eq!(deleted(None, Some(69), MINUTE), Deleted { files: 1, bytes: 10, records: 1 });
        assert_eq!(deleted(None, Some(45), MINUTE), Deleted { files: 2, bytes: 30, records: 3 });
        assert_eq!(deleted(Some(2 * MINUTE), None, MINUTE), none);
        assert_eq!(
            deleted(Some(MINUTE / 2), None, MINUTE),
            Deleted { files: 3, bytes: 70, records: 6 }
        );
    }
}
