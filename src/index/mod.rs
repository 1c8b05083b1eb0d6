//! Indexes: for each, a directory from a key's fingerprint to the newest record with it, and a link in each slot to the
//! record before. And for time, which has no index, the range of each block of records.

mod blocks;
mod departed;
mod directory;
mod fingerprint;
mod table;

pub(crate) use blocks::{BLOCK, Blocks};
pub(crate) use departed::Departed;
pub(crate) use directory::{Directory, Growth};
pub(crate) use fingerprint::{Fingerprints, NO_KEY};
