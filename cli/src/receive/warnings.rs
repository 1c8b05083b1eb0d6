//! Logs refused requests with their sender, at a limited rate per kind of refusal.

use super::refusal::{Reason, Refusal};
use crate::text::printable;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Minimum interval between two warnings of a kind.
const SILENCE: Duration = Duration::from_secs(10);

/// The address of a request's sender.
#[derive(Clone, Copy, Debug)]
pub struct From(pub SocketAddr);

/// The kind of warnings about records; the others are about requests, by their reason.
const RECORDS: usize = Reason::ALL.len();

/// For each kind, when it was last logged, and how many were suppressed since.
#[derive(Default)]
pub struct Warnings([Mutex<(Option<Instant>, u64)>; RECORDS + 1]);

impl Warnings {
    /// Logs a request that was refused.
    pub fn refused(&self, refusal: &Refusal, from: Option<From>) {
        let reason = refusal.reason();
        let advice = match reason {
            Reason::Overloaded => "; if that lasts, raise --max-in-flight",
            Reason::TooLarge => ", or raise --max-body",
            Reason::TooSlow => "; if its network is slow, raise --timeout",
            _ => "",
        };
        self.say(reason as usize, "a request", from, &format!("{}{advice}", refusal.what()));
    }

    /// Logs records that were rejected out of a request that was otherwise accepted.
    pub fn rejected(&self, what: &str, from: Option<From>) {
        self.say(RECORDS, "records", from, what);
    }

    fn say(&self, kind: usize, refused: &str, from: Option<From>, what: &str) {
        let Some(others) = self.is_due(kind, Instant::now()) else { return };
        let peer =
            from.map_or_else(|| "an unknown peer".to_owned(), |From(address)| address.to_string());
        let others = if others > 0 {
            format!(" ({others} more like it went unsaid)")
        } else {
            String::new()
        };
        tracing::warn!("refused {refused} from {peer}: {}{others}", printable(what));
    }

    /// Returns the number of suppressed warnings if a new one is due.
    fn is_due(&self, kind: usize, now: Instant) -> Option<u64> {
        let mut state = self.0[kind].lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unsaid) = &mut *state;
        if last.is_some_and(|last| now.duration_since(last) < SILENCE) {
            *unsaid += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_now_and_then() {
        let (warnings, now) = (Warnings::default(), Instant::now());
        assert_eq!([0, 0, 0].map(|kind| warnings.is_due(kind, now)), [Some(0), None, None]);
        assert_eq!(warnings.is_due(1, now), Some(0));
        assert_eq!(warnings.is_due(0, now + SILENCE), Some(2));
        assert_eq!(warnings.is_due(0, now + SILENCE), None);
    }
}
