//! Whether a question is about more than the store holds.

use super::files::{Files, NO_FILES};
use crate::answer::{self, Time};
use crate::serve::api::problem::Problem;
use crate::serve::app::App;
use crate::serve::ask::{After, Asked, Asking, HISTORY, MOMENT};
use slipring::{Order, Signal, Store};

/// Where an answer comes from, beside the store and kept traces.
pub enum Reaching<'a> {
    /// From nowhere else. Says so if the question is about older times.
    Memory(Option<Older>),
    /// From files.
    Files(Files<'a>, Option<u64>),
}

/// A question about times that the store does not hold any more.
#[derive(Clone, Debug)]
pub struct Older {
    /// From when on the store holds what came in, in nanoseconds since the Unix epoch.
    pub since: u64,
    /// Whether nothing that it asks for is held.
    pub wholly: bool,
    signal: &'static str,
    was_refused: bool,
}

/// How many of the records that a store holds, those that came first, say from when on it is whole. Not
/// measured.
const FIRST: usize = 512;

/// Returns the time from which on a store holds what came in, or nothing if it has evicted nothing.
/// Senders put records together that began within some seconds, in no order. So it is the latest time
/// of the records that came first of those held: before it, something may be missing.
/// O([`FIRST`]).
fn held_since<T: Signal>(store: &Store<T>) -> Option<u64> {
    if store.stats().evicted.total() == 0 {
        return None;
    }
    let now = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(u64::MAX);
    let mut latest = 0;
    let first = store.query().order(Order::Oldest).limit(FIRST);
    first.for_each(|_, record| latest = latest.max(record.timestamp())).ok()?;
    // Some clocks are ahead. Where nothing is held, nothing is that came before now.
    Some(if latest == 0 { now } else { latest.min(now) })
}

impl<'a> Reaching<'a> {
    /// Decides what a question is about: files if it says so, or if it is about times that are older
    /// than what the store holds.
    pub fn of<T: Asking>(app: &'a App, store: &Store<T>, asked: &Asked) -> Result<Self, Problem> {
        let files = Files::of(app);
        let is_later_page = matches!(asked.after(), Some(After::Timed(_)));
        if asked.history() == Some(true) || is_later_page {
            if asked.has_moment() {
                let what = format!(
                    "{HISTORY}=true: {MOMENT} is about what has arrived since, which files do not know; leave one of them out"
                );
                return Err(Problem::Bad(what));
            }
            if matches!(asked.after(), Some(After::Store(_) | After::Both(_))) {
                let what = format!(
                    "{HISTORY}=true: after is of a page without files; begin with the first page"
                );
                return Err(Problem::Bad(what));
            }
            let Some(files) = files else {
                return Err(Problem::Bad(format!("{HISTORY}=true: {NO_FILES}")));
            };
            return Ok(Self::Files(files, held_since(store)));
        }
        let (since, until) = asked.times();
        // A page goes on as it began.
        if (since, until) == (None, None) || asked.has_moment() || asked.after().is_some() {
            return Ok(Self::Memory(None));
        }
        let Some(held) = held_since(store).filter(|held| since.unwrap_or(0) < *held) else {
            return Ok(Self::Memory(None));
        };
        let is_refused = asked.history() == Some(false);
        match files.filter(|_| !is_refused) {
            Some(files) => Ok(Self::Files(files, Some(held))),
            None => Ok(Self::Memory(Some(Older {
                since: held,
                wholly: until.is_some_and(|until| until < held),
                signal: T::NAME,
                was_refused: is_refused,
            }))),
        }
    }
}

impl Older {
    /// Says that records of the question may be gone, and what to do about it.
    pub fn told(&self) -> String {
        let since = Time(self.since);
        let since = serde_json::to_value(since).unwrap_or_default();
        let since = since.as_str().unwrap_or("now").to_owned();
        let signal = self.signal;
        let what = if self.was_refused { "history=false leaves files out" } else { NO_FILES };
        format!("memory holds {signal} records from {since} on, older ones were evicted; {what}")
    }

    /// Refuses a question that nothing was found for, since all that it asks for has left.
    pub fn unless_found(&self, found: bool) -> Result<(), Problem> {
        if self.wholly && !found {
            return Err(Problem::Gone(format!("these times are over: {}", self.told())));
        }
        Ok(())
    }

    /// Shows that files were not asked.
    pub fn shown(&self) -> answer::Reach {
        answer::Reach {
            why_not: Some(self.told()),
            memory_since: Time(self.since),
            each_once: true,
            ..answer::Reach::default()
        }
    }
}
