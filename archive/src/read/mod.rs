//! Reading records back from files.

mod file;
mod files;
mod records;
mod remote;

pub use files::{Files, ReadReport, RecallError, Recalled};
