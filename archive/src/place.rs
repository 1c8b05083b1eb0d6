//! Where files are: a folder on a disk, or a prefix in an object store.

use crate::name::{Name, Partition};
use crate::settings::ArchiveError;
use crate::table::Table;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a write that never ended leaves in a folder, and how old it is before it is removed.
const LEFT_OVER: Duration = Duration::from_secs(3_600);

/// The place of an archive's files.
///
/// ```
/// use slipring_archive::Place;
///
/// let folder = tempfile::tempdir()?;
/// let place = Place::open(folder.path().to_str().unwrap())?;
/// assert!(Place::open("ftp://example.com/history").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    prefix: Path,
    name: Arc<str>,
}

/// One of an archive's files.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) meta: ObjectMeta,
    /// Which batches it has.
    pub(crate) name: Name,
    pub(crate) records: u64,
    pub(crate) table: Table,
    /// The hour of its folder, which is 0 if its records may be of any.
    pub(crate) hour: u64,
}

impl Place {
    /// Opens a folder, which is made if it is not there, or what a URL names: `file:///folder`, or
    /// with the feature `s3`, `s3://bucket/prefix`. Credentials and region for S3 come from the
    /// usual `AWS_…` variables of the environment, and another server from `AWS_ENDPOINT`.
    ///
    /// Files in a folder are synced to the disk before they appear there. What writes that never
    /// ended have left is removed once it is an hour old.
    ///
    /// # Errors
    /// [`ArchiveError::Place`] if the folder cannot be made, or nothing is known of such URLs.
    pub fn open(place: &str) -> Result<Self, ArchiveError> {
        let wrong = |reason: String| ArchiveError::Place { place: place.to_owned(), reason };
        let folder = match place.split_once("://") {
            None => place,
            Some(("file", path)) => path,
            #[cfg(feature = "s3")]
            Some(("s3", rest)) => {
                return Self::in_s3(rest).map_err(|error| wrong(error.to_string()));
            }
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => {
                return Err(wrong("built without S3; build with the feature `s3`".into()));
            }
            Some((scheme, _)) => {
                return Err(wrong(format!(
                    "nothing is known of {scheme}; give a folder, file:///folder or s3://bucket/prefix"
                )));
            }
        };
        std::fs::create_dir_all(folder).map_err(|error| wrong(error.to_string()))?;
        remove_left_over(std::path::Path::new(folder), SystemTime::now());
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| wrong(error.to_string()))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default(), name: place.into() })
    }

    #[cfg(feature = "s3")]
    fn in_s3(rest: &str) -> object_store::Result<Self> {
        // Fails if the program has chosen another already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket);
        let name = format!("s3://{rest}").into();
        Ok(Self { store: Arc::new(builder.build()?), prefix: Path::parse(prefix)?, name })
    }

    /// Uses an object store of your own, below this prefix.
    pub fn of_store(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let name = format!("{store}/{prefix}").into();
        Self { store, prefix: Path::from(prefix), name }
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, partition: Partition, name: &Name) -> Path {
        self.folder_of(partition).join(name.to_string())
    }

    fn folder_of(&self, Partition { table, hour }: Partition) -> Path {
        self.folder(table).join(format!("date={}", date(hour))).join(hour_of(hour))
    }

    pub(crate) fn folder(&self, table: Table) -> Path {
        self.prefix.clone().join(table.name())
    }

    /// Lists the files of some tables, the newest first. What others have put into the folders is
    /// passed over, as it would be deleted when it is old. Of files that were merged and not deleted
    /// yet, only the merged one is there.
    pub(crate) async fn list(&self, tables: &[Table]) -> object_store::Result<Vec<File>> {
        let mut files = Vec::new();
        for table in tables {
            files.extend(Listed::of(self.files_below(*table, self.folder(*table)).await?).files);
        }
        files.sort_by_cached_key(|file| (file.written(), file.meta.location.clone()));
        files.reverse();
        Ok(files)
    }

    /// Lists the files of a folder, with those that are superseded.
    pub(crate) async fn list_folder(&self, partition: Partition) -> object_store::Result<Listed> {
        let files = self.files_below(partition.table, self.folder_of(partition)).await?;
        Ok(Listed::of(files))
    }

    /// Lists the files of a table, with those that are superseded.
    pub(crate) async fn list_table(&self, table: Table) -> object_store::Result<Listed> {
        Ok(Listed::of(self.files_below(table, self.folder(table)).await?))
    }

    async fn files_below(&self, table: Table, below: Path) -> object_store::Result<Vec<File>> {
        let folder = self.folder(table);
        let mut files = Vec::new();
        let mut found = self.store.list(Some(&below));
        while let Some(meta) = found.next().await {
            files.extend(File::of(meta?, table, &folder));
        }
        Ok(files)
    }
}

/// The files of one or more folders of a table.
pub(crate) struct Listed {
    /// Those that count.
    pub(crate) files: Vec<File>,
    /// Those that are in a merged file as well.
    pub(crate) superseded: Vec<File>,
}

impl Listed {
    fn of(files: Vec<File>) -> Self {
        let mut merged: HashMap<u64, Vec<Name>> = HashMap::new();
        for file in files.iter().filter(|file| file.name.is_merged()) {
            merged.entry(file.hour).or_default().push(file.name.clone());
        }
        let counts = |file: &File| {
            let others = merged.get(&file.hour);
            !others.into_iter().flatten().any(|other| other.supersedes(&file.name))
        };
        let (files, superseded) = files.into_iter().partition(counts);
        Self { files, superseded }
    }
}

impl File {
    /// Returns when the records of the file came to where it is, as far as is known. A merged file is
    /// as old as the newest of those that it was made from, unless its name is wrong about the time.
    pub(crate) fn written(&self) -> SystemTime {
        let modified = SystemTime::from(self.meta.last_modified);
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.name.made));
        made.filter(|_| self.name.is_merged()).map_or(modified, |made| modified.min(made))
    }

    pub(crate) fn partition(&self) -> Partition {
        Partition { table: self.table, hour: self.hour }
    }

    /// Returns the file, if the archive gives such names below a table's folder.
    fn of(meta: ObjectMeta, table: Table, folder: &Path) -> Option<Self> {
        let parts: Vec<_> = meta.location.prefix_match(folder)?.collect();
        let [day, hour, name] = &parts[..] else { return None };
        let (day, hour, name) = (day.as_ref(), hour.as_ref(), name.as_ref());
        let number = hour_from(day.strip_prefix("date=")?, hour.strip_prefix("hour=")?)?;
        let is_own = day.strip_prefix("date=") == Some(&date(number)) && hour == hour_of(number);
        let name = name.parse::<Name>().ok().filter(|_| is_own)?;
        Some(Self { meta, records: name.records, name, table, hour: number })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.name).finish()
    }
}

/// Returns the date of an hour since 1970. Hours beyond chrono's years have none.
fn date(hour: u64) -> String {
    let seconds = i64::try_from(hour).unwrap_or(i64::MAX).saturating_mul(3_600);
    let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%d").to_string()
}

fn hour_of(hour: u64) -> String {
    format!("hour={:02}", hour % 24)
}

fn hour_from(date: &str, hour: &str) -> Option<u64> {
    let date: chrono::NaiveDate = date.parse().ok()?;
    let days = date.signed_duration_since(chrono::NaiveDate::default()).num_days();
    Some(u64::try_from(days).ok()? * 24 + hour.parse::<u64>().ok()?)
}

/// Removes what `object_store` writes before it renames, if nobody can be writing it any more.
fn remove_left_over(folder: &std::path::Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && (name.starts_with("otel_") || name.contains('=')) {
            remove_left_over(&entry.path(), now);
        } else if let Some((_, number)) = name.rsplit_once(".parquet#")
            && number.parse::<u64>().is_ok()
            && let Ok(modified) = meta.modified()
            && now.duration_since(modified).is_ok_and(|age| age > LEFT_OVER)
        {
            // One that cannot be removed stays; engines look for names that end in .parquet.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(place: &Place, path: &str) -> Option<File> {
        let meta = ObjectMeta {
            location: Path::from(path),
            last_modified: Default::default(),
            size: 0,
            e_tag: None,
            version: None,
        };
        File::of(meta, Table::Traces, &place.folder(Table::Traces))
    }

    #[test]
    fn only_names_that_the_archive_gives_are_its_own() {
        let place = Place::of_store(Arc::new(object_store::memory::InMemory::new()), "a");
        let is_own = |path: &str| file_of(&place, &format!("a/otel_traces/{path}")).is_some();
        let name = "18446744073709551615-ffffffffffffffff-0-12.parquet";
        assert!(is_own(&format!("date=2023-11-14/hour=22/{name}")));
        let folders =
            ["", "date=2023-11-14/", "date=2023-11-14/hour=22/a/", "a/date=2023-11-14/hour=22/"];
        let odd =
            ["date=2023-11-14/hour=24/", "date=2023-11-14/hour=7/", "day=2023-11-14/hour=07/"];
        for folder in folders.iter().chain(&odd) {
            assert!(!is_own(&format!("{folder}{name}")), "{folder}");
        }
        for name in [
            "part-0.parquet",
            "a-b-0-7.parquet",
            "0000000000001-0000000000000002-3-7.parquet.parquet",
            "0000000000001-0000000000000002-3-+7.parquet",
            "0000000000001-0000000000000002-03-7.parquet",
            "1-0000000000000002-3-7.parquet",
            "0000000000001-000000000000000A-3-7.parquet",
            "0000000000001-0000000000000002-3-7-1.parquet",
        ] {
            assert!(!is_own(&format!("date=2023-11-14/hour=22/{name}")), "{name}");
        }
    }

    #[test]
    fn hours_are_folders_and_come_back() {
        let store = Arc::new(object_store::memory::InMemory::new());
        let place = Place::of_store(store, "a/b");
        let hour = 1_700_000_000 / 3_600;
        let name: Name = "0000000000001-0000000000000002-3-7.parquet".parse().unwrap();
        let path = place.path(Partition { table: Table::Traces, hour }, &name);
        assert_eq!(
            path.as_ref(),
            "a/b/otel_traces/date=2023-11-14/hour=22/0000000000001-0000000000000002-3-7.parquet"
        );
        let file = file_of(&place, path.as_ref()).unwrap();
        assert_eq!((file.hour, file.records), (hour, 7));
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(u64::MAX / 3_600_000_000_000), "2554-07-21");
    }

    #[test]
    fn what_was_never_finished_goes_after_an_hour_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("otel_logs/date=2023-11-14");
        std::fs::create_dir_all(&inner).unwrap();
        for name in ["a-1.parquet", "a-1.parquet#1", "b#1"] {
            std::fs::write(inner.join(name), "").unwrap();
        }
        remove_left_over(folder.path(), SystemTime::now());
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 3);
        remove_left_over(folder.path(), SystemTime::now() + 2 * LEFT_OVER);
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 2);
        assert!(!inner.join("a-1.parquet#1").exists());
    }
}
