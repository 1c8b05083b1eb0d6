//! How large files are, and which stores are large enough for them.

use crate::Fallible;
use std::path::{Path, PathBuf};

/// Bytes of the shortest span, log record and metric point that real files contain.
const SHORTEST: [u64; 3] = [150, 100, 40];

/// Capacity of a store where the files' sizes are unknown (`UNTOLD`), and the largest capacity that
/// is chosen without the user's asking (`MOST`).
const UNTOLD: usize = 200_000;
const MOST: usize = 2_000_000;

/// Returns the bytes of each file, or `None` for one whose size is unknown. A file that does not
/// exist is an error here, before any work is done.
pub fn sizes(files: &[PathBuf]) -> Fallible<Vec<Option<u64>>> {
    let size = |path: &PathBuf| {
        if path.as_os_str() == "-" {
            return Ok(None);
        }
        let file =
            std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if file.is_dir() {
            return Err(format!("{} is a folder; give the files in it", path.display()).into());
        }
        // Compression reduces such text to about a tenth.
        let packed = is_packed(path);
        Ok(file.is_file().then(|| file.len().saturating_mul(if packed { 10 } else { 1 })))
    };
    files.iter().map(size).collect()
}

pub fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

/// Returns the numbers of spans, log records and metric points that files of these sizes can hold.
pub fn capacities(sizes: &[Option<u64>]) -> [usize; 3] {
    let all: Option<u64> = sizes.iter().copied().sum();
    SHORTEST
        .map(|shortest| all.map_or(UNTOLD, |bytes| (bytes / shortest) as usize).clamp(1_000, MOST))
}
