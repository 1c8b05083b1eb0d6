//! The ring of one shard: slots, cursors, the token of its indexer and the marks of its readers.

mod home;
mod marks;
mod route;
mod shard;
mod slot;
mod token;

pub(crate) use marks::Mark;
pub(crate) use route::{Claim, MAX_RUN, NoClaim, Router};
pub(crate) use shard::Shard;
pub(crate) use slot::{Head, Sketch};
pub(crate) use token::TokenGuard;
