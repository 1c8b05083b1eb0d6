//! The indexer: the step that applies one shard's range, and the thread that takes it again and again.

mod age;
mod patience;
mod step;
mod thread;

pub(crate) use age::Ages;
pub(crate) use patience::{PATIENCE, Patience};
pub(crate) use step::{Moved, Work};
pub(crate) use thread::run;
