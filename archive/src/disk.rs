//! Folders on a disk of this machine.

use crate::name::Name;
use std::fs::read_dir;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What a write that never ended leaves in a folder, and how old it is before it is removed.
const LEFT_OVER: Duration = Duration::from_secs(3_600);

/// What may be a file of the archive.
pub(crate) struct Found {
    /// Date, hour and name, below the folder of a table.
    pub(crate) parts: [String; 3],
    pub(crate) modified: SystemTime,
    pub(crate) size: u64,
}

/// Returns those names in a folder that are `wanted`, sorted. None if it is not there.
fn names(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match read_dir(folder) {
        Err(error) if is_none(&error) => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| wanted(name)).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Lists the files below the folder of a table, or of one hour of it, sorted by their paths. Returns
/// whether each was still there when it was looked at: one that was not may be in another file by now,
/// which came too late for its name to be read.
///
/// # Errors
/// If a folder or a file cannot be looked at.
pub(crate) fn list(table: &Path, hour: Option<[String; 2]>) -> io::Result<(Vec<Found>, bool)> {
    let mut folders = Vec::new();
    match hour {
        Some(folder) => folders.push(folder),
        None => {
            for date in names(table, |name| name.starts_with("date="))? {
                for hour in names(&table.join(&date), |name| name.starts_with("hour="))? {
                    folders.push([date.clone(), hour]);
                }
            }
        }
    }
    let (mut found, mut is_whole) = (Vec::new(), true);
    for folder in folders {
        let path = table.join(&folder[0]).join(&folder[1]);
        let names = names(&path, |name| name.parse::<Name>().is_ok())?;
        is_whole &= look_at(&path, &folder, names, &mut found)?;
    }
    Ok((found, is_whole))
}

/// Looks at files with these names, and returns whether all were there.
fn look_at(
    path: &Path,
    folder: &[String; 2],
    names: Vec<String>,
    found: &mut Vec<Found>,
) -> io::Result<bool> {
    let mut are_there = true;
    for name in names {
        let path = path.join(&name);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                let [date, hour] = folder.clone();
                let parts = [date, hour, name];
                found.push(Found { parts, modified: meta.modified()?, size: meta.len() });
            }
            // A link that leads nowhere is no file of the archive.
            Err(error) if is_none(&error) => are_there &= path.symlink_metadata().is_ok(),
            other => _ = other?,
        }
    }
    Ok(are_there)
}

/// Returns whether what was looked for is not there, or no folder.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Removes what `object_store` writes before it renames, if nobody can be writing it any more.
pub(crate) fn remove_left_over(folder: &Path, now: SystemTime) {
    let Ok(entries) = read_dir(folder) else { return };
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

    #[test]
    fn a_list_that_met_what_was_gone_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let hour = ["date=2023-11-14".to_owned(), "hour=22".to_owned()];
        let path = folder.path().join(&hour[0]).join(&hour[1]);
        std::fs::create_dir_all(&path).unwrap();
        let name = |number| format!("0000000000001-0000000000000002-{number}-7.parquet");
        for name in [name(1), "mine.parquet".to_owned()] {
            std::fs::write(path.join(name), "1").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", path.join(name(2))).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), folder.path().join("back")).unwrap();
        for hour in [None, Some(hour.clone())] {
            let (found, is_whole) = list(folder.path(), hour).unwrap();
            assert!(is_whole);
            assert!(found.iter().map(|one| one.parts[2].clone()).eq([name(1)]));
        }
        let mut found = Vec::new();
        assert!(!look_at(&path, &hour, vec![name(1), name(3)], &mut found).unwrap());
        assert_eq!(found.len(), 1);
        let (found, is_whole) = list(&folder.path().join("none"), None).unwrap();
        assert!(found.is_empty() && is_whole);
    }
}
