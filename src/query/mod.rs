//! Reading: the licensed view of one shard, walks over an index, and the queries made of them.

mod keys;
mod lookup;
mod view;
mod walk;

pub use keys::KeyCount;
pub(crate) use keys::{count_keys, distinct, list_keys};
pub use lookup::{Answer, Query};
pub(crate) use view::View;
