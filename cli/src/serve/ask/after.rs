//! Where a page of records begins.

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
    /// The last record of a kept trace that was shown.
    pub kept: Option<Place>,
}

/// The place of a record among those of kept traces: its time if the order goes by time, the
/// trace's number, and the place in the trace.
pub type Place = (u64, u64, usize);
