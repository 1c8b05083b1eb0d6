#![doc = include_str!("guide.md")]
#![deny(missing_docs)]

mod archive;
mod batch;
mod blank;
mod columns;
mod file;
mod place;
mod queue;
mod read;
mod retain;
mod rows;
mod settings;
mod stats;
mod table;
mod threads;
mod wire;

pub use archive::Archive;
/// The object stores that a [`Place`] can be made of.
pub use object_store;
pub use place::Place;
pub use read::{
    Cut, FileInfo, Filed, Files, Part, ReadReport, RecallError, Recalled, Search, Snapshot,
    SnapshotError, SnapshotReport, Visitor,
};
pub use settings::{ArchiveError, Settings};
pub use stats::{Lost, Stats};
pub use table::Table;
