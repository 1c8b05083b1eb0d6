//! Reading: a view of one shard, walks through it, and the queries made of them.

mod builder;
mod execute;
mod filter;
mod group;
mod keys;
mod matching;
mod merge;
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
pub use group::{By, Group, Groups};
pub use keys::KeyCount;
pub(crate) use keys::{count_keys, distinct, list_keys};
pub use matching::Match;
pub use result::{Answer, Cursor, Order, Report};
pub(crate) use view::Reader;
