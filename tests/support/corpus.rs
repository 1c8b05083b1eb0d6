//! Locates real telemetry: below `SLIPRING_CORPUS`, or in `../shared/data`. Tests print a message
//! if it is missing.

use std::path::{Path, PathBuf};

/// Returns a file or folder of the corpus. Returns `None`, and prints a message, if there is no
/// corpus.
pub fn path(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SLIPRING_CORPUS").map_or_else(
        || {
            // A package in a folder of the repository stands one level deeper.
            let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
            let beside = above.map(|folder| folder.join("shared/data"));
            beside.take(2).find(|folder| folder.exists()).unwrap_or("../shared/data".into())
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    if !path.exists() {
        eprintln!(
            "skipped: there is no {}; set SLIPRING_CORPUS to a folder that has it",
            path.display()
        );
        return None;
    }
    Some(path)
}

/// Returns the contents of a file of the corpus.
pub fn read(name: &str) -> Option<Vec<u8>> {
    path(name).map(|path| std::fs::read(path).expect("a file that is there can be read"))
}
