//! Reading: a view of one shard, walks through it, and the queries made of them.

mod answer;
mod ask;
mod filter;
mod group;
mod keys;
mod matching;
mod merge;
#[cfg(feature = "rayon")]
mod parallel;
mod pattern;
mod plan;
mod search;
mod view;
mod walk;

pub use answer::{Answer, Cursor, Order, Report};
pub use ask::Query;
pub use filter::{Attributed, Level};
pub(crate) use group::nearest_rank;
pub use group::{By, Group, Groups};
pub use keys::KeyCount;
pub(crate) use keys::{count_keys, distinct, list_keys};
pub use matching::Match;
pub(crate) use view::Reader;
