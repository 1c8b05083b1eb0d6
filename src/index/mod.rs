//! Indexes: for each, a directory from a key's fingerprint to the newest record with it, and a link in each slot to the
//! record before.

mod directory;
mod fingerprint;
mod table;

pub(crate) use directory::{Directory, Growth};
pub(crate) use fingerprint::{Fingerprints, NO_KEY};
