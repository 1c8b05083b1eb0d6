//! What each service takes of the undecided room.

use super::undecided::{List, NONE};
use slipring::Span;
use std::collections::HashMap;

/// The number of the share of all services beyond those that are told apart.
pub(super) const BEYOND: u32 = 0;

/// A service's undecided traces.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) list: List,
    pub(super) bytes: usize,
    name: Box<str>,
}

/// The services that have undecided traces, up to a maximum.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    known: HashMap<Box<str>, u32>,
    shares: Vec<Share>,
    free: Vec<u32>,
    /// Whether shares are limited. If not, all traces belong to one.
    are_limited: bool,
    pub(super) spans_beyond: u64,
}

/// A longer name is cut: services whose names begin alike for so long share.
const LONGEST: usize = 128;

fn beginning(service: &str) -> &str {
    let end = (0..=LONGEST.min(service.len())).rev().find(|&end| service.is_char_boundary(end));
    &service[..end.unwrap_or(0)]
}

impl Shares {
    pub(super) fn new(most: usize, are_limited: bool) -> Self {
        Self {
            most,
            known: HashMap::new(),
            shares: vec![Share::default()],
            free: Vec::new(),
            are_limited,
            spans_beyond: 0,
        }
    }

    /// Returns the number of the share of a span's service.
    pub(super) fn of(&mut self, span: &Span) -> u32 {
        if !self.are_limited {
            return BEYOND;
        }
        let service = beginning(span.service());
        if let Some(&share) = self.known.get(service) {
            return share;
        }
        if self.known.len() >= self.most {
            return BEYOND;
        }
        let new = Share { name: service.into(), ..Share::default() };
        let at = match self.free.pop() {
            Some(at) => {
                self.shares[at as usize] = new;
                at
            }
            None => {
                self.shares.push(new);
                self.shares.len() as u32 - 1
            }
        };
        self.known.insert(service.into(), at);
        at
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Share {
        &mut self.shares[at as usize]
    }

    pub(super) fn count(&mut self, at: u32, spans: u64) {
        if at == BEYOND && self.are_limited {
            self.spans_beyond += spans;
        }
    }

    /// Forgets a service that has no undecided trace any more.
    pub(super) fn forget_if_empty(&mut self, at: u32) {
        let share = &mut self.shares[at as usize];
        if at != BEYOND && share.list.first == NONE {
            let name = std::mem::take(&mut share.name);
            self.known.remove(&name);
            self.free.push(at);
        }
    }
}
