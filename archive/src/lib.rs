#![doc = include_str!("guide.md")]
#![deny(missing_docs)]

mod archive;
mod batch;
mod blank;
mod collect;
mod columns;
mod disk;
mod file;
mod log;
mod merge;
mod name;
mod place;
mod priority;
mod queue;
mod read;
mod retain;
mod rows;
mod settings;
mod stats;
mod supersede;
mod table;
mod tidy;
mod trouble;
mod wire;
mod write;

pub use archive::Archive;
pub use log::{LogSettings, LogSync};
/// The object stores that a [`Place`] can be made of.
pub use object_store;
pub use place::Place;
pub use read::{
    Cut, FileInfo, Filed, Files, Part, ReadReport, RecallError, Recalled, Search, Snapshot,
    SnapshotError, SnapshotReport, Visitor,
};
pub use settings::{ArchiveError, Merge, Settings};
pub use stats::{LogStats, Lost, Stats};
pub use table::Table;
