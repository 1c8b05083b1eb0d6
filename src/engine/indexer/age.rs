//! Eviction by age since arrival.
//!
//! Records carry no time of arrival. Instead the indexer notes now and then how far the shards' claims have got; once such a
//! note is as old as a record may be, everything below it goes. So a record goes no sooner than it may, and later by at most
//! the time between two notes and two looks.

use crate::engine::ages::{Ages, Note, Notes};
use crate::engine::reason::EvictReason;
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::AGE_NOTES;
use crate::signal::Signal;
use crate::sync::try_lock;
use std::time::Instant;

impl<T: Signal> Engine<T> {
    /// Makes invisible what is too old by now, where age matters. Cheap when there is nothing to do.
    pub(crate) fn age_out(&self, clock: impl Fn() -> Instant) {
        let Some(ages) = &self.ages else { return };
        let Some(mut notes) = try_lock(&ages.notes) else { return };
        // Not before the lock: notes are in order.
        let now = clock();
        self.take_note(ages, &mut notes, now, clock);
        while notes.taken.front().is_some_and(|note| now.saturating_duration_since(note.at) >= ages.most) {
            let note = notes.taken.pop_front().expect("there is one");
            for (shard, &claimed) in self.shards.iter().zip(&note.claimed) {
                shard.raise_low_watermark(claimed, EvictReason::Age);
                if shard.take_parked_mark() {
                    self.wakeups.wake();
                }
            }
            notes.spare = Some(note);
        }
        ages.bytes.set(notes.bytes() as u64);
    }

    fn take_note(&self, ages: &Ages, notes: &mut Notes, now: Instant, clock: impl Fn() -> Instant) {
        let due = |last: &Note| now.saturating_duration_since(last.at) >= ages.most / AGE_NOTES && self.has_grown(last);
        if !notes.taken.back().map_or_else(|| self.has_records(), due) {
            return;
        }
        let mut note =
            notes.spare.take().unwrap_or_else(|| Note { at: now, claimed: self.shards.iter().map(|_| 0).collect() });
        note.claimed.iter_mut().zip(&self.shards).for_each(|(claimed, shard)| *claimed = shard.claimed());
        // After the claims: none of them came later than this.
        note.at = clock();
        notes.taken.push_back(note);
    }

    /// When there is something to do for [`age_out`](Engine::age_out) next, if nothing arrives until then.
    pub(crate) fn ages_next(&self) -> Option<Instant> {
        let ages = self.ages.as_ref()?;
        let Some(notes) = try_lock(&ages.notes) else { return Some(Instant::now()) };
        let Some(last) = notes.taken.back() else { return self.has_records().then(Instant::now) };
        let note = if self.has_grown(last) { last.at.checked_add(ages.most / AGE_NOTES) } else { None };
        let oldest = notes.taken.front().and_then(|note| note.at.checked_add(ages.most));
        note.into_iter().chain(oldest).min()
    }

    fn has_grown(&self, since: &Note) -> bool {
        self.shards.iter().zip(&since.claimed).any(|(shard, &claimed)| shard.claimed() > claimed)
    }

    fn has_records(&self) -> bool {
        self.shards.iter().any(Shard::has_records)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::LogRecord;
    use crate::store::Builder;
    use crate::sync::lock;
    use std::time::Duration;

    #[test]
    fn notes_are_taken_and_forgotten_when_it_is_time() {
        let most = Duration::from_millis(6_400);
        let config = Builder::<LogRecord>::new().capacity(100).shards(3).max_age(most);
        let engine = Engine::of(&config);
        let push = || engine.push(LogRecord::default());
        let ages = engine.ages.as_ref().unwrap();
        let notes = || lock(&ages.notes).taken.len();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!((engine.ages_next(), ages.bytes()), (None, 0), "nothing grows old in an empty store");
        engine.age_out(|| at(0));
        assert_eq!(notes(), 0);
        push();
        assert!(engine.ages_next().is_some_and(|next| next <= Instant::now()), "a first note is due at once");
        engine.age_out(|| at(0));
        assert_eq!((notes(), engine.ages_next()), (1, Some(at(6_400))));
        let capacity = lock(&ages.notes).taken.capacity();
        assert_eq!(ages.bytes(), capacity * size_of::<Note>() + 3 * size_of::<u64>());
        // What came since is noted after a sixty-fourth part.
        push();
        assert_eq!(engine.ages_next(), Some(at(100)));
        engine.age_out(|| at(99));
        assert_eq!(notes(), 1);
        engine.age_out(|| at(100));
        assert_eq!((notes(), engine.ages_next()), (2, Some(at(6_400))));
        engine.age_out(|| at(6_399));
        let gone =
            || engine.shards.iter().map(|shard| shard.claimed_and_evicted().1[EvictReason::Age as usize]).sum::<u64>();
        assert_eq!((notes(), gone()), (2, 0));
        engine.age_out(|| at(6_400));
        assert_eq!((notes(), gone(), engine.ages_next()), (1, 1, Some(at(6_500))));
        engine.age_out(|| at(6_500));
        assert_eq!((notes(), gone()), (0, 2));
        // One note is kept for its memory.
        let capacity = lock(&ages.notes).taken.capacity();
        assert_eq!(ages.bytes(), capacity * size_of::<Note>() + 3 * size_of::<u64>());
    }
}
