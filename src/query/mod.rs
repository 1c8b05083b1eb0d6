//! The read path: views of a shard, scans over it, and the queries built on them.
//!
//! Layers, from the bottom up: `view` (what a reader sees of one shard, and pinned reads), `scan`
//! (visible records of one shard in one direction), `execute` (all shards, merged into the query's
//! order), `builder` (the public [`Query`]).

mod ahead;
mod builder;
mod chain;
mod conditions;
mod execute;
mod filter;
mod group;
mod keys;
mod matching;
mod nanos;
mod needle;
#[cfg(feature = "rayon")]
mod parallel;
mod pattern;
mod plan;
mod result;
mod scan;
mod view;

pub use builder::Query;
pub use filter::{Attributed, Level};
pub(crate) use group::nearest_rank;
pub use group::{By, Group, Groups, Tally};
pub use keys::KeyCount;
pub(crate) use keys::{count_keys, distinct, list_keys};
pub use matching::{Condition, Match};
pub use nanos::{IntoNanos, IntoUnixNanos};
pub use needle::Needle;
pub use result::{Answer, Cursor, Order, Report};
pub(crate) use view::{Reader, View};
