//! The engine: rings of slots, the indexes over them, and the work that keeps both consistent.
//!
//! Imports run one way, from the last line of this list to the first:
//!
//! 1. [`tuning`], `position`, `reason`, `reentrancy`: constants, names of records, why they leave, the guard around foreign code.
//! 2. [`ring`]: slots and their heads, pins, and the words that several threads share.
//! 3. [`index`]: directories, links and blocks over the slots of one ring.
//! 4. [`shard`]: a ring with its indexes and cursors.
//! 5. [`router`]: which shard a producer pushes to.
//! 6. [`state`]: what all threads of a store share.
//! 7. [`indexer`]: indexing, evicting and reclaiming, as methods of that state.
//! 8. `push`, `lifecycle`: how records get in, and how a store is flushed, cleared and ended.

pub(crate) mod ages;
pub(crate) mod bookmark;
pub(crate) mod evictions;
#[cfg(all(test, not(loom)))]
mod for_tests;
pub(crate) mod index;
pub(crate) mod indexer;
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
