//! The ring of one shard: slots and their heads, and the words that several threads share.

mod floor;
mod meta;
mod pins;
mod places;
mod slot;
mod token;

pub(crate) use floor::{Departures, Floor};
pub(crate) use meta::{Class, Sketch};
pub(crate) use pins::{AT_ONCE, Pinner, Pins};
pub(crate) use places::{Aside, Places};
pub(crate) use slot::{Head, Slots, Taken};
pub(crate) use token::{Cursor, Tenure, Token};
