//! The indexer: the step that indexes, evicts and reclaims in one shard, and the thread that
//! repeats it.

mod age;
mod assist;
mod reclaim;
mod step;
mod thread;
mod work;

pub(crate) use thread::run;
pub(crate) use work::{Moved, Work};
