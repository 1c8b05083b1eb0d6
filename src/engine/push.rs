//! How a record gets in: its keys are worked out, slots are claimed, the record is written and published.

use crate::engine::index::NO_KEY;
use crate::engine::indexer::Work;
use crate::engine::reentrancy;
use crate::engine::ring::{Class, RecordMeta};
use crate::engine::router::{Claim, NoClaim};
use crate::engine::settings::OnFull;
use crate::engine::shard::{Admission, MeteredBytes, NoBudget, Shard};
use crate::engine::state::Engine;
use crate::engine::tuning::WAIT_AT_MOST;
use crate::error::Rejection;
use crate::signal::{Key, Signal};
use crate::sync::Ordering;
use std::time::Instant;

/// Where the last text in each index lay, and its fingerprint: records of one source have one and the same text.
#[derive(Default)]
pub(crate) struct PrintCache([((usize, usize), u64); 4]);

impl<T: Signal> Engine<T> {
    /// What the engine needs to know of a record, worked out before anything is claimed (invariant 5).
    #[inline(always)]
    pub(crate) fn meta(&self, record: &mut T) -> Result<RecordMeta<T>, Rejection> {
        self.meta_of(record, |_, key| self.fingerprints.of(key))
    }

    /// The same, of one record of many that are all still there: a text that lies where the one before it lay is the same text.
    #[inline(always)]
    pub(crate) fn meta_next(&self, record: &mut T, told: &mut PrintCache) -> Result<RecordMeta<T>, Rejection> {
        self.meta_of(record, |index, key| match (key, told.0.get_mut(index)) {
            (Key::Text(text), Some(last)) => {
                let place = (text.as_ptr() as usize, text.len());
                if last.0 != place {
                    *last = (place, self.fingerprints.of(key));
                }
                last.1
            }
            _ => self.fingerprints.of(key),
        })
    }

    #[inline(always)]
    fn meta_of(
        &self,
        record: &mut T,
        mut print_of: impl FnMut(usize, Key<'_>) -> u64,
    ) -> Result<RecordMeta<T>, Rejection> {
        let mut meta: RecordMeta<T> = RecordMeta::new();
        let mut bytes = size_of::<T>() as u64;
        // Filled in place: a result handed out of the catch would be written and read again.
        let filled = self.guarded(|| {
            if !self.plain
                && let Some(picks) = &self.picks
                && picks.pick(record)
            {
                meta.class = Class::Picked;
                record.detach();
            }
            record.charge(&self.ledger);
            let prints: &mut [u64] = AsMut::as_mut(&mut meta.prints);
            for (index, print) in prints.iter_mut().enumerate() {
                *print = record.key(index).map_or(NO_KEY, |key| print_of(index, key));
            }
            meta.time = record.timestamp();
            let heap = record.heap_bytes() as u64;
            meta.heap = u32::try_from(heap).unwrap_or(u32::MAX);
            bytes = bytes.saturating_add(heap);
        });
        let most = self.largest[meta.class as usize];
        match filled {
            None => Err(Rejection::Panicked),
            Some(()) if bytes > most => Err(Rejection::TooLarge { bytes, most }),
            Some(()) => Ok(meta),
        }
    }

    /// Counts records that are handed back.
    #[cold]
    pub(crate) fn reject(&self, reason: Rejection, records: u64) {
        match reason {
            Rejection::Full => self.counts.full.add(records),
            Rejection::Closed => self.counts.closed.add(records),
            Rejection::Panicked => self.counts.unusable.add(records),
            Rejection::TooLarge { .. } => self.counts.too_large.add(records),
        }
    }

    /// Claims slots for the first of these records, and for some behind it, in the way that the policy has it.
    #[inline(always)]
    pub(crate) fn claim(&self, metas: &[RecordMeta<T>], on_full: OnFull) -> Result<Claim, Rejection> {
        if self.plain {
            self.claim_with(Class::Rest, metas.len(), &NoBudget, on_full)
        } else {
            self.claim_as_kept(metas, on_full)
        }
    }

    /// Where what is kept depends on more than numbers.
    #[inline(never)]
    fn claim_as_kept(&self, metas: &[RecordMeta<T>], on_full: OnFull) -> Result<Claim, Rejection> {
        let class = metas[0].class;
        let wanted = metas.iter().take_while(|meta| meta.class == class).count();
        let metas = &metas[..wanted];
        // Release pairs with the Acquire in `tell_of_freed`. They are told there: wakers never run between claim and publish
        // (invariant 5).
        let freed = || self.freed.store(1, Ordering::Release);
        self.claim_with(class, wanted, &MeteredBytes { metas, freed }, on_full)
    }

    /// Wakes who waits for room, if a claim has given back bytes where none had been left. Not with a claim in hand.
    #[inline]
    fn tell_of_freed(&self) {
        // Acquire pairs with the Release in `claim_as_kept`: whoever is told sees the bytes, also if another thread tells it.
        if !self.plain && self.freed.load(Ordering::Relaxed) != 0 && self.freed.swap(0, Ordering::Acquire) != 0 {
            let _inside = reentrancy::enter();
            self.room.notify();
        }
    }

    /// Claims up to `wanted` slots, and what else they need.
    #[inline(always)]
    fn claim_with(
        &self,
        class: Class,
        wanted: usize,
        admission: &impl Admission,
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        debug_assert!(wanted > 0);
        match self.router.claim(&self.shards, class, wanted as u64, admission, self.wakeups.tick()) {
            Some(claim) => Ok(claim),
            None => self.claim_slow(class, wanted, admission, on_full),
        }
    }

    #[cold]
    fn claim_slow(
        &self,
        class: Class,
        wanted: usize,
        admission: &impl Admission,
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        // Once a run is often enough: a run is short beside a ring's slack. Not with a claim in hand: waking another thread may
        // cost this one its core, and what it has not published stalls its shard.
        if self.router.is_short(&self.shards, class) && !self.wakeups.is_crowded() {
            self.wakeups.hurry();
        }
        let claim = || {
            let make_room = |shard| self.assist(shard);
            self.router.claim_slow(&self.shards, class, wanted as u64, admission, &self.wakeups, make_room)
        };
        claim().or_else(|refused| self.wait_for_room(class, on_full, refused, claim))
    }

    /// Whether a push of this class may find room now, or be refused for good.
    pub(crate) fn may_have_room(&self, class: Class) -> bool {
        self.shards[self.router.shards_of(class)].iter().any(Shard::has_room_or_is_closed)
    }

    /// Tries again and again, in the way that the policy has it. The store is closed; or there is no room, because somebody else
    /// holds the tokens, or more threads sleep over slots than there are spare ones.
    #[cold]
    fn wait_for_room(
        &self,
        class: Class,
        on_full: OnFull,
        mut refused: NoClaim,
        claim: impl Fn() -> Result<Claim, NoClaim>,
    ) -> Result<Claim, Rejection> {
        let backoff = crossbeam_utils::Backoff::new();
        let mut waited = false;
        loop {
            self.tell_of_freed();
            if refused == NoClaim::Closed {
                return Err(Rejection::Closed);
            }
            self.wakeups.hurry();
            if on_full == OnFull::Reject || reentrancy::is_inside() {
                return Err(Rejection::Full);
            }
            if !waited {
                waited = true;
                self.counts.waits.add(1);
            }
            if backoff.is_completed() || cfg!(loom) {
                let ready = || self.may_have_room(class).then_some(());
                self.room.wait(Some(Instant::now() + WAIT_AT_MOST), ready);
            } else {
                backoff.snooze();
            }
            match claim() {
                Ok(claim) => return Ok(claim),
                Err(again) => refused = again,
            }
        }
    }

    /// Indexes, evicts and reclaims a small batch for the indexer; whether that made room.
    #[cold]
    fn assist(&self, shard: usize) -> bool {
        if reentrancy::is_inside() {
            return false;
        }
        // Hooks and streams see what is evicted on the indexer's thread, if there is one and it does not sleep. One that takes its
        // time in a hook does not sleep: the hook would keep the producer as well.
        let sleeps = || self.showing.get() == 0 && self.patience[self.shards.len()].is_out(self.wakeups.tick());
        let work = if !self.threaded || sleeps() { Work::ASSIST_ALL } else { Work::ASSIST };
        let Some(moved) = self.step(shard, work) else { return false };
        if moved.reclaimed > 0 {
            self.counts.assists.add(1);
        }
        moved.reclaimed > 0
    }

    /// Puts a record into the slot of a claim of one, and says so.
    #[inline(always)]
    pub(crate) fn publish(&self, claim: Claim, record: T, meta: &RecordMeta<T>) {
        debug_assert_eq!(claim.count, 1);
        let slots = &self.shards[claim.shard].slots;
        // SAFETY: the router has given this thread the claim, which is below the shard's limit; its one sequence is
        // written once, here (invariant 3), and no user code runs in between (invariant 5).
        unsafe { slots.write(claim.slot, claim.first, claim.stamp, record, meta) };
        slots.prefetch_ahead(claim.slot);
        self.tell_of_freed();
        self.reclaim_after_push(claim.shard, claim.first + 1, 1);
    }

    /// Puts records into the slots of a claim, in order, and says so. There must be as many as the claim counts, and as many
    /// entries in `metas`.
    #[inline]
    pub(crate) fn publish_all(&self, claim: Claim, records: &mut std::vec::IntoIter<T>, metas: &[RecordMeta<T>]) {
        let slots = &self.shards[claim.shard].slots;
        let (mut slot, mut sequence) = (claim.slot, claim.first);
        for meta in &metas[..claim.count as usize] {
            let record = records.next().expect("a batch has a record for each meta");
            // SAFETY: as in `publish`; there are no more entries in `metas` than the claim counts, and each sequence is written once
            // (invariants 3 and 5).
            unsafe { slots.write(slot, sequence, claim.stamp, record, meta) };
            slots.prefetch_ahead(slot);
            slot = slots.place_after(slot, 1);
            sequence += 1;
        }
        debug_assert_eq!(sequence, claim.first + claim.count);
        self.tell_of_freed();
        self.reclaim_after_push(claim.shard, sequence, claim.count);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::LogRecord;
    use crate::store::Builder;

    #[cfg(feature = "async")]
    #[test]
    fn who_waits_for_room_is_told_of_bytes_that_a_claim_gave_back_once_the_record_is_published() {
        use std::sync::atomic::AtomicU64;
        use std::sync::{Arc, OnceLock};
        use std::task::{Context, Wake, Waker};

        struct Looks(OnceLock<Arc<Engine<LogRecord>>>, AtomicU64);
        impl Wake for Looks {
            fn wake(self: Arc<Self>) {
                let engine = self.0.get().unwrap();
                assert!(reentrancy::is_inside());
                assert_eq!(engine.shards[0].published_before(u64::MAX), engine.shards[0].claimed());
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }

        let engine = Arc::new(Engine::of(&Builder::<LogRecord>::new().capacity(8).shards(1).max_bytes(1 << 20)));
        let looks = Arc::new(Looks(OnceLock::from(Arc::clone(&engine)), AtomicU64::new(0)));
        let woken = || (looks.1.load(Ordering::Relaxed), engine.caught_panics());
        let waker = Waker::from(Arc::clone(&looks));
        let mut ticket = Default::default();
        let mut register =
            || assert!(engine.room.poll(&mut ticket, &mut Context::from_waker(&waker), || None::<()>).is_pending());
        register();
        engine.push_some(1);
        assert_eq!(woken(), (0, 0));
        engine.freed.store(1, Ordering::Relaxed);
        engine.push_some(1);
        assert_eq!(woken(), (1, 0));
        register();
        engine.push_some(1);
        assert_eq!(woken(), (1, 0), "they are told once");
        engine.freed.store(1, Ordering::Relaxed);
        let metas = [0, 1].map(|_| engine.meta(&mut LogRecord::default()).unwrap());
        let claim = engine.claim(&metas, OnFull::Reject).unwrap();
        assert_eq!(woken(), (1, 0), "not with a claim in hand");
        engine.publish_all(claim, &mut vec![LogRecord::default(); 2].into_iter(), &metas);
        assert_eq!(woken(), (2, 0));
        register();
        engine.freed.store(1, Ordering::Relaxed);
        engine.close();
        register();
        assert_eq!(engine.claim(&metas, OnFull::Reject).unwrap_err(), Rejection::Closed);
        assert_eq!(woken(), (4, 0), "by the end, and who finds no room tells it too");
        engine.room.leave(&mut ticket);
    }
}
