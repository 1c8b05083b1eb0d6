//! Where a page of records begins.

use crate::serve::api::Place;
use crate::serve::past::Timed;
use serde::{Deserialize, Serialize};
use slipring::Order;
use slipring::query::Cursor;

/// Where a page begins, as the page before told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum After {
    /// In the store.
    Store(Cursor),
    /// In the store and among kept traces.
    Both(Both),
    /// In all of them and in files, by time.
    Timed(Timed),
}

/// Where a page begins that shows records of the store and of kept traces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Both {
    pub order: Order,
    /// The store's cursor, unless no record of it was shown yet.
    pub store: Option<Cursor>,
    /// Whether all of the store's records were shown.
    pub ended: bool,
    /// What the pages before have shown.
    pub shown: Option<Place>,
    /// The time of the last record that was shown, if the order goes by time.
    pub time: Option<u64>,
    /// Whether it is not known any more what some page before has shown: this page may show it again,
    /// and so may those after it.
    #[serde(default)]
    pub may_repeat: bool,
}

impl Both {
    /// Returns whether the order goes by time.
    pub fn is_by_time(&self) -> bool {
        matches!(self.order, Order::Latest | Order::Earliest)
    }
}
