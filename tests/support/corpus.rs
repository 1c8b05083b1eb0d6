//! Real telemetry beside the project: where `SLIPRING_CORPUS` points, or in `../shared/data`. Tests
//! say so when it is not there.

use std::path::{Path, PathBuf};

/// A file or folder of the corpus; `None`, said on stderr, if there is no corpus.
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

/// What a file of the corpus says.
pub fn read(name: &str) -> Option<Vec<u8>> {
    path(name).map(|path| std::fs::read(path).expect("a file that is there can be read"))
}
