//! Eviction by age since arrival.
//!
//! Records carry no time of arrival. Instead the indexer notes from time to time how far the
//! shards' claims have got. Once such a note is as old as a record may be, everything below it is
//! evicted. So no record is evicted by age early. One is evicted late by at most the time between
//! two notes plus the time between two looks at them.

use crate::engine::ages::{Ages, Note, Notes};
use crate::engine::reason::EvictReason;
use crate::engine::shard::Shard;
use crate::engine::state::Engine;
use crate::engine::tuning::AGE_NOTES;
use crate::signal::Signal;
use crate::sync::try_lock;
use std::time::Instant;

impl<T: Signal> Engine<T> {
    /// Makes records that have reached the greatest age invisible, if the store limits age. Cheap
    /// when there is nothing to do.
    pub(crate) fn age_out(&self, clock: impl Fn() -> Instant) {
        let Some(ages) = &self.ages else { return };
        let Some(mut notes) = try_lock(&ages.notes) else { return };
        // Read the clock only after the lock is held, because notes are in order of time.
        let now = clock();
        self.take_note(ages, &mut notes, now, clock);
        while notes
            .queue
            .front()
            .is_some_and(|note| now.saturating_duration_since(note.at) >= ages.max_age)
        {
            let note = notes.queue.pop_front().expect("the queue has a front");
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

    /// Adds a note of the claims, if one is due.
    fn take_note(&self, ages: &Ages, notes: &mut Notes, now: Instant, clock: impl Fn() -> Instant) {
        let due = |last: &Note| {
            now.saturating_duration_since(last.at) >= ages.max_age / AGE_NOTES
                && self.has_grown(last)
        };
        if !notes.queue.back().map_or_else(|| self.has_records(), due) {
            return;
        }
        let mut note = notes
            .spare
            .take()
            .unwrap_or_else(|| Note { at: now, claimed: self.shards.iter().map(|_| 0).collect() });
        note.claimed
            .iter_mut()
            .zip(&self.shards)
            .for_each(|(claimed, shard)| *claimed = shard.claimed());
        // Read the clock after the claims: no noted claim came later than the note's time.
        note.at = clock();
        notes.queue.push_back(note);
    }

    /// Returns when [`age_out`](Engine::age_out) has something to do next, if nothing arrives until
    /// then.
    pub(crate) fn next_age_deadline(&self) -> Option<Instant> {
        let ages = self.ages.as_ref()?;
        let Some(notes) = try_lock(&ages.notes) else { return Some(Instant::now()) };
        let Some(last) = notes.queue.back() else { return self.has_records().then(Instant::now) };
        let note =
            if self.has_grown(last) { last.at.checked_add(ages.max_age / AGE_NOTES) } else { None };
        let oldest = notes.queue.front().and_then(|note| note.at.checked_add(ages.max_age));
        note.into_iter().chain(oldest).min()
    }

    /// Returns whether records have been claimed since the note.
    fn has_grown(&self, since: &Note) -> bool {
        self.shards.iter().zip(&since.claimed).any(|(shard, &claimed)| shard.claimed() > claimed)
    }

    /// Returns whether any shard has visible records.
    fn has_records(&self) -> bool {
        self.shards.iter().any(Shard::has_records)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::signal::LogRecord;
    use crate::store::StoreBuilder;
    use crate::sync::lock;
    use std::time::Duration;

    #[test]
    fn notes_are_taken_and_expire_on_schedule() {
        let max_age = Duration::from_millis(6_400);
        let config = StoreBuilder::<LogRecord>::new().capacity(100).shards(3).max_age(max_age);
        let engine = Engine::of(&config);
        let push = || engine.push(LogRecord::default());
        let ages = engine.ages.as_ref().unwrap();
        let notes = || lock(&ages.notes).queue.len();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(
            (engine.next_age_deadline(), ages.bytes()),
            (None, 0),
            "an empty store needs no note"
        );
        engine.age_out(|| at(0));
        assert_eq!(notes(), 0);
        push();
        assert!(
            engine.next_age_deadline().is_some_and(|next| next <= Instant::now()),
            "the first note is due at once"
        );
        engine.age_out(|| at(0));
        assert_eq!((notes(), engine.next_age_deadline()), (1, Some(at(6_400))));
        let capacity = lock(&ages.notes).queue.capacity();
        assert_eq!(ages.bytes(), capacity * size_of::<Note>() + 3 * size_of::<u64>());
        // A further note is due after a sixty-fourth part of the greatest age.
        push();
        assert_eq!(engine.next_age_deadline(), Some(at(100)));
        engine.age_out(|| at(99));
        assert_eq!(notes(), 1);
        engine.age_out(|| at(100));
        assert_eq!((notes(), engine.next_age_deadline()), (2, Some(at(6_400))));
        engine.age_out(|| at(6_399));
        let aged_out = || {
            engine
                .shards
                .iter()
                .map(|shard| shard.claimed_and_evicted().1[EvictReason::Age as usize])
                .sum::<u64>()
        };
        assert_eq!((notes(), aged_out()), (2, 0));
        engine.age_out(|| at(6_400));
        assert_eq!((notes(), aged_out(), engine.next_age_deadline()), (1, 1, Some(at(6_500))));
        engine.age_out(|| at(6_500));
        assert_eq!((notes(), aged_out()), (0, 2));
        // One expired note is kept for reuse.
        let capacity = lock(&ages.notes).queue.capacity();
        assert_eq!(ages.bytes(), capacity * size_of::<Note>() + 3 * size_of::<u64>());
    }
}
