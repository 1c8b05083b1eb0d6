//! The ring of one shard: slots and their heads, and the words that several threads share.

mod head;
mod indexer_lock;
mod low_watermark;
mod meta;
mod pins;
mod slot;
mod slot_map;

pub(crate) use head::Head;
pub(crate) use indexer_lock::{Cursor, IndexerLock, Term};
pub(crate) use low_watermark::{EvictionCounts, LowWatermark};
pub(crate) use meta::{Class, RecordMeta};
pub(crate) use pins::{Pinner, Pins};
pub(crate) use slot::{AllSlots, Filled, MoveOut, Slot, Slots};
pub(crate) use slot_map::{Quarantined, SlotMap};
#[cfg(all(loom, feature = "__for_tests"))]
pub use {
    indexer_lock::ModelTerms,
    pins::{ModelPinner, ModelPins},
};
