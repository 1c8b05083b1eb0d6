//! Where files are: a folder on a disk, or a prefix in an object store.

use crate::disk::{self, remove_left_over};
use crate::name::{Name, Partition};
use crate::settings::ArchiveError;
use crate::supersede::superseded;
use crate::table::Table;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often files are listed, if they come and go meanwhile. Not measured.
const MOST_LISTS: u32 = 8;

/// Says why a list is not used: it shows the files at no single moment.
pub(crate) const CHANGES: &str = "files came and went each time that they were listed";

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
    /// The folder on a disk, if it is one.
    disk: Option<Arc<std::path::Path>>,
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
    /// Deletes a file. That it is gone already is no error, as others delete, too.
    pub(crate) async fn delete(&self, file: &File) -> object_store::Result<()> {
        match self.store.delete(&file.meta.location).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            outcome => outcome,
        }
    }

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
        let disk = std::fs::canonicalize(folder).map_err(|error| wrong(error.to_string()))?;
        let disk = Some(disk.into());
        Ok(Self { store: Arc::new(store), prefix: Path::default(), name: place.into(), disk })
    }

    #[cfg(feature = "s3")]
    fn in_s3(rest: &str) -> object_store::Result<Self> {
        // Fails if the program has chosen another already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket);
        let name = format!("s3://{rest}").into();
        let (store, prefix) = (Arc::new(builder.build()?), Path::parse(prefix)?);
        Ok(Self { store, prefix, name, disk: None })
    }

    /// Uses an object store of your own, below this prefix.
    pub fn of_store(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let name = format!("{store}/{prefix}").into();
        Self { store, prefix: Path::from(prefix), name, disk: None }
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
    pub(crate) async fn list(&self, tables: &[Table]) -> object_store::Result<Listed> {
        let mut all = Listed { files: Vec::new(), superseded: Vec::new(), is_whole: true };
        for table in tables {
            let listed = self.list_table(*table).await?;
            all.files.extend(listed.files);
            all.superseded.extend(listed.superseded);
            all.is_whole &= listed.is_whole;
        }
        all.files.sort_by_cached_key(|file| (file.written(), file.meta.location.clone()));
        all.files.reverse();
        Ok(all)
    }

    /// Lists the files of a folder, with those that are superseded.
    pub(crate) async fn list_folder(&self, partition: Partition) -> object_store::Result<Listed> {
        self.files_below(partition.table, Some(partition.hour)).await
    }

    /// Lists the files of a table, with those that are superseded.
    pub(crate) async fn list_table(&self, table: Table) -> object_store::Result<Listed> {
        self.files_below(table, None).await
    }

    /// Lists the files of a table or one hour of it, until two lists are the same: one alone may be of
    /// no moment, and have neither a merged file nor those that it was made from.
    async fn files_below(&self, table: Table, hour: Option<u64>) -> object_store::Result<Listed> {
        let mut before: Option<Vec<Path>> = None;
        let mut files = Vec::new();
        for _ in 0..MOST_LISTS {
            let is_whole;
            (files, is_whole) = match &self.disk {
                Some(disk) => self.on_disk(disk, table, hour).await?,
                None => (self.in_store(table, hour).await?, true),
            };
            let paths: Vec<Path> = files.iter().map(|file| file.meta.location.clone()).collect();
            if is_whole && before.as_ref() == Some(&paths) {
                return Ok(Listed::of(files, true));
            }
            before = Some(paths).filter(|_| is_whole);
        }
        Ok(Listed::of(files, false))
    }

    async fn in_store(&self, table: Table, hour: Option<u64>) -> object_store::Result<Vec<File>> {
        let folder = self.folder(table);
        let below = hour.map(|hour| self.folder_of(Partition { table, hour }));
        let mut files = Vec::new();
        let mut found = self.store.list(Some(below.as_ref().unwrap_or(&folder)));
        while let Some(meta) = found.next().await {
            files.extend(File::of(meta?, table, &folder));
        }
        files.sort_by(|one, other| one.meta.location.cmp(&other.meta.location));
        Ok(files)
    }

    /// Lists files on a disk, and says whether none was gone before it was looked at: `object_store`
    /// passes over those.
    async fn on_disk(
        &self,
        disk: &std::path::Path,
        table: Table,
        hour: Option<u64>,
    ) -> object_store::Result<(Vec<File>, bool)> {
        let below = disk.join(table.name());
        let hour = hour.map(|hour| [format!("date={}", date(hour)), hour_of(hour)]);
        let listing = tokio::task::spawn_blocking(move || disk::list(&below, hour));
        let wrong = |source| object_store::Error::Generic { store: "disk", source };
        let listed = listing.await.map_err(|error| wrong(error.into()))?;
        let (found, is_whole) = listed.map_err(|error| wrong(error.into()))?;
        let folder = self.folder(table);
        let files = found.into_iter().filter_map(|one| {
            let location = one.parts.iter().fold(folder.clone(), |path, part| path.join(&**part));
            let (last_modified, size) = (one.modified.into(), one.size);
            let meta = ObjectMeta { location, last_modified, size, e_tag: None, version: None };
            File::of(meta, table, &folder)
        });
        Ok((files.collect(), is_whole))
    }
}

/// The files of one or more folders of a table.
pub(crate) struct Listed {
    /// Those that count.
    pub(crate) files: Vec<File>,
    /// Those that are in another file as well.
    pub(crate) superseded: Vec<File>,
    /// Whether two lists in a row were the same. If not, a file may be missing, though its records are
    /// there.
    pub(crate) is_whole: bool,
}

impl Listed {
    fn of(files: Vec<File>, is_whole: bool) -> Self {
        let names: Vec<_> = files.iter().map(|file| (file.hour, &file.name)).collect();
        let is_superseded = superseded(&names);
        let mut listed = Self { files: Vec::new(), superseded: Vec::new(), is_whole };
        for (file, is_superseded) in files.into_iter().zip(is_superseded) {
            if is_superseded { &mut listed.superseded } else { &mut listed.files }.push(file);
        }
        listed
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
    u64::try_from(days).ok()?.checked_mul(24)?.checked_add(hour.parse::<u64>().ok()?)
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
}
