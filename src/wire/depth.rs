//! Limits on the depth of nested values.
//!
//! A value may nest at most 32 lists or 28 maps deep, or a mixture of both. This is as deep as
//! other readers of either encoding can follow, wherever the value stands. `prost` and protobuf's
//! own libraries read messages that nest 100 deep. A value in an exemplar's attributes is 8 deep,
//! each map around it adds 3, each list 2, and [`GROUPS`] groups may follow. In JSON, `serde_json`
//! reads 127 levels. There, the same value is 15 deep, each map adds 4, each list 3.

/// The cost of a list that encloses a value.
pub(crate) const LIST: usize = 7;

/// The cost of a map that encloses a value.
pub(crate) const MAP: usize = 8;

/// The maximum total cost of the lists and maps that enclose a value.
pub(crate) const DEEPEST: usize = 32 * LIST;

/// The maximum depth of groups. The protocol defines none, so they occur in unknown fields only.
pub(super) const GROUPS: usize = 4;

const _: () =
    assert!(8 + 3 * (DEEPEST / MAP) + GROUPS < 100 && 8 + 2 * (DEEPEST / LIST) + GROUPS < 100);
const _: () = assert!(15 + 4 * (DEEPEST / MAP) <= 127 && 15 + 3 * (DEEPEST / LIST) <= 127);
