//! Reading records back from files.

mod file;
mod files;
mod records;
mod remote;
mod report;
mod search;
mod snapshot;

pub use files::Files;
pub use report::{ReadReport, RecallError, Recalled};
pub use search::{Cut, Filed, Search, Visitor};
pub use snapshot::{FileInfo, Part, Snapshot, SnapshotError, SnapshotReport};
