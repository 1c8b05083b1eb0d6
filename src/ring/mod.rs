//! The ring of one shard: slots, cursors, the token of its indexer and the marks of its readers.

mod floor;
mod marks;
mod route;
mod shard;
mod share;
mod slot;
mod token;

pub(crate) use floor::Departures;
pub(crate) use marks::Mark;
pub(crate) use route::{Claim, Class, MAX_RUN, NoClaim, Route, Router};
pub(crate) use shard::Shard;
pub(crate) use share::{Bytes, Need, OnlySlots};
pub(crate) use slot::{Head, Sketch, Slots};
pub(crate) use token::TokenGuard;
