//! The engine: rings of slots, the indexes over them, and the work that keeps both consistent.
//!
//! Imports run one way: a layer may import only from the layers listed before it.
//!
//! 1. [`tuning`], `position`, `reason`, `reentrancy`: constants, the names of records, the reasons
//!    for eviction, and the re-entrancy guard around user code.
//! 2. [`ring`]: slots and their heads, pins, and the words that several threads share.
//! 3. [`index`]: directories, links and blocks over the slots of one ring.
//! 4. [`shard`]: a ring with its indexes and cursors.
//! 5. [`router`]: chooses the shard that a producer pushes to.
//! 6. `key_list`, [`state`]: what all threads of a store share.
//! 7. [`indexer`]: indexing, evicting and reclaiming, as methods of that state.
//! 8. `push`, `lifecycle`: how records enter, and how a store is flushed, cleared and shut down.

pub(crate) mod ages;
pub(crate) mod bookmark;
pub(crate) mod evictions;
#[cfg(all(test, not(loom)))]
mod for_tests;
pub(crate) mod index;
pub(crate) mod indexer;
pub(crate) mod key_list;
pub(crate) mod lifecycle;
pub(crate) mod patience;
pub(crate) mod position;
pub(crate) mod push;
pub(crate) mod reason;
pub(crate) mod reentrancy;
pub(crate) mod ring;
pub(crate) mod router;
pub(crate) mod settings;
pub(crate) mod shard;
pub(crate) mod state;
pub(crate) mod tuning;
pub(crate) mod wakeups;
