//! How deep a message may nest.
//!
//! A value nests at most 32 lists or 28 maps deep, or a mixture of both: as deep as other readers
//! of either encoding can follow, wherever the value lies. `prost` and protobuf's own libraries
//! read messages that nest 100 deep. A value in an exemplar's attributes lies 8 deep, each map
//! around it adds 3, each list 2, and [`GROUPS`] groups may follow. Of JSON, `serde_json` reads 127
//! levels: that value lies 15 deep there, each map adds 4, each list 3.

/// What a list around a value counts.
pub(crate) const LIST: usize = 7;

/// What a map around a value counts.
pub(crate) const MAP: usize = 8;

/// What the lists and maps around a value may count together.
pub(crate) const DEEPEST: usize = 32 * LIST;

/// How deep groups that the protocol does not know may nest.
pub(super) const GROUPS: usize = 4;

const _: () =
    assert!(8 + 3 * (DEEPEST / MAP) + GROUPS < 100 && 8 + 2 * (DEEPEST / LIST) + GROUPS < 100);
const _: () = assert!(15 + 4 * (DEEPEST / MAP) <= 127 && 15 + 3 * (DEEPEST / LIST) <= 127);
