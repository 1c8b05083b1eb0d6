//! Files behind slipring.

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
pub use object_store;
pub use place::Place;
pub use read::{Files, ReadReport, RecallError, Recalled};
pub use settings::{ArchiveError, Settings};
pub use stats::{Lost, Stats};
pub use table::Table;
