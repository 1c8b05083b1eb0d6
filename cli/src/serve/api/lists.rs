//! What lists over a store and kept traces have shown on their pages.
//!
//! Between two pages, a store may evict records that a page has shown, and that kept traces still
//! have. Nothing in the record tells that it was shown: a kept one has no position. So what each
//! list has shown is remembered here, and a page's token names the list and how much of it.

use serde::{Deserialize, Serialize};
use slipring::Position;
use slipring_sampling::{Identity, Record, Seen};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Upper bounds of the lists that are remembered, and of the records of all of them: 40 bytes each,
/// and as much again for lists that grow.
const MOST_LISTS: usize = 64;
const MOST_RECORDS: usize = if cfg!(test) { 8 } else { 250_000 };

/// A record that was shown, and where the store had it if it was the store's.
pub type Shown = (Identity, Option<Position>);

/// A place in a list: the list's number, and how many records were shown before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    list: u64,
    shown: usize,
}

/// The lists that are read page by page, the last used at the end.
#[derive(Debug, Default)]
pub struct Lists {
    keys: Seen,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    lists: VecDeque<(u64, Vec<Shown>)>,
}

impl State {
    /// Takes a list out.
    fn take(&mut self, list: u64) -> Option<Vec<Shown>> {
        let at = self.lists.iter().position(|(known, _)| *known == list)?;
        self.lists.remove(at).map(|(_, shown)| shown)
    }
}

impl Lists {
    fn state(&self) -> MutexGuard<'_, State> {
        // No operation leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an empty count of records, for identities of these lists.
    pub fn seen(&self) -> Seen {
        self.keys.emptied()
    }

    /// Returns what tells the record from others.
    pub fn identity(&self, record: &impl Record) -> Identity {
        self.keys.identity(record)
    }

    /// Returns what was shown before a place, or `None` if the list is forgotten.
    pub fn before(&self, place: Place) -> Option<Vec<Shown>> {
        let state = self.state();
        let (_, shown) = state.lists.iter().find(|(list, _)| *list == place.list)?;
        shown.get(..place.shown).map(<[_]>::to_vec)
    }

    /// Notes what a page has shown after `before`, which it got from `place`. Returns the place of
    /// the next page. A page that is asked for again, with another outcome, begins another list.
    pub fn add(&self, place: Option<Place>, before: Vec<Shown>, page: &[Shown]) -> Place {
        let mut state = self.state();
        let goes_on = place.and_then(|place| {
            let shown = state.take(place.list)?;
            if shown.len() == place.shown {
                return Some((place.list, shown));
            }
            state.lists.push_back((place.list, shown));
            None
        });
        let (list, mut shown) = goes_on.unwrap_or_else(|| {
            state.next += 1;
            (state.next, before)
        });
        shown.extend_from_slice(page);
        let place = Place { list, shown: shown.len() };
        state.lists.push_back((list, shown));
        let mut records: usize = state.lists.iter().map(|(_, shown)| shown.len()).sum();
        while state.lists.len() > MOST_LISTS || records > MOST_RECORDS {
            let Some((_, forgotten)) = state.lists.pop_front() else { break };
            records -= forgotten.len();
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::LogRecord;

    #[test]
    fn a_place_tells_what_was_shown_before_it_whatever_came_after() {
        let lists = Lists::default();
        let shown = |body: &str| (lists.identity(&LogRecord::builder().body(body).build()), None);
        let first = lists.add(None, Vec::new(), &[shown("a")]);
        let second = lists.add(Some(first), lists.before(first).unwrap(), &[shown("b")]);
        // The same page once more, which shows something else now.
        let other = lists.add(Some(first), lists.before(first).unwrap(), &[shown("c")]);
        assert_eq!(lists.before(first), Some(vec![shown("a")]));
        assert_eq!(lists.before(second), Some(vec![shown("a"), shown("b")]));
        assert_eq!(lists.before(other), Some(vec![shown("a"), shown("c")]));
    }

    #[test]
    fn lists_and_their_records_are_bounded() {
        let lists = Lists::default();
        let shown = (lists.identity(&LogRecord::default()), None);
        let first = lists.add(None, Vec::new(), &[]);
        let used = lists.add(None, Vec::new(), &[]);
        for _ in 0..MOST_LISTS - 1 {
            lists.add(None, Vec::new(), &[]);
            lists.add(Some(used), Vec::new(), &[]);
        }
        assert_eq!((lists.before(first), lists.before(used)), (None, Some(Vec::new())));
        let large = lists.add(None, Vec::new(), &[shown; MOST_RECORDS]);
        assert!(lists.before(large).is_some());
        assert!(lists.before(lists.add(Some(large), Vec::new(), &[shown])).is_none());
        assert_eq!(lists.state().lists.len(), 0, "the largest takes all room, and too much");
    }
}
