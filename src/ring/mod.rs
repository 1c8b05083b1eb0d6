//! The ring of one shard: slots, cursors, the token of its indexer, and the pins of readers.

mod floor;
mod pins;
mod places;
mod route;
mod shard;
mod share;
mod slot;
mod tenants;
mod token;

pub(crate) use floor::Departures;
pub(crate) use pins::{AT_ONCE, Pinner, Pins};
pub(crate) use places::{Aside, Places};
pub(crate) use route::{Claim, Class, MAX_RUN, NoClaim, Route, Router};
pub(crate) use shard::{Owner, Shard};
pub(crate) use share::{Bytes, Need, OnlySlots};
pub(crate) use slot::{Head, Sketch, Slots, Taken};
