//! Pushing: computes a record's keys, claims slots, then writes and publishes the record.

use crate::engine::index::NO_KEY;
use crate::engine::indexer::Work;
use crate::engine::reentrancy;
use crate::engine::ring::{Class, Filled, RecordMeta};
use crate::engine::router::{Claim, NoClaim};
use crate::engine::settings::{ClassPredicate, OnFull};
use crate::engine::shard::{Admission, MeteredBytes, NoBudget, Shard};
use crate::engine::state::Engine;
use crate::engine::tuning::WAIT_AT_MOST;
use crate::error::Rejection;
use crate::signal::{Indexes as _, Signal};
use crate::sync::Ordering;
use std::time::Instant;

impl<T: Signal> Engine<T> {
    /// Computes what the engine needs to know of a record. This runs user code, so it happens
    /// before anything is claimed (invariant 5).
    #[cfg(any(test, feature = "async"))]
    #[inline(always)]
    pub(crate) fn meta(&self, record: &mut T) -> Result<RecordMeta<T>, Rejection> {
        let mut meta = RecordMeta::new();
        self.fill_meta(&mut meta, record, None).map(|()| meta)
    }

    /// Does what [`meta`](Self::meta) does, for a record that may follow another one in its batch.
    /// Fingerprints of keys that the two share are copied.
    #[inline(always)]
    pub(crate) fn fill_meta(
        &self,
        meta: &mut RecordMeta<T>,
        record: &mut T,
        before: Option<(&T, &RecordMeta<T>)>,
    ) -> Result<(), Rejection> {
        meta.class = Class::Rest;
        let (entry, pushed) = (&mut *meta, &mut *record);
        // Filled in place: a value returned through the catch would be written and read once more.
        // `move` captures one reference to the metadata, and not one to each of its fields.
        let filled = self.guarded(move || {
            if !self.plain
                && let Some(predicate) = &self.class_predicate
            {
                // If the predicate panics it has counted nothing, and with this class `uncount`
                // takes nothing back.
                entry.class = Class::Picked;
                if predicate.matches(pushed) {
                    pushed.detach();
                } else {
                    entry.class = Class::Rest;
                }
            }
            pushed.charge(&self.ledger);
            let prints: &mut [u64] = AsMut::as_mut(&mut entry.prints);
            let indexes = T::INDEXES;
            for (number, (index, print)) in indexes.as_slice().iter().zip(prints).enumerate() {
                *print = match before {
                    Some((before, known)) if index.shares(pushed, before) => {
                        known.prints.as_ref()[number]
                    }
                    _ => index.key(pushed).map_or(NO_KEY, |key| self.fingerprints.of(key)),
                };
            }
            entry.time = pushed.timestamp();
            let heap = pushed.heap_bytes() as u64;
            entry.heap = u32::try_from(heap).unwrap_or(u32::MAX);
            heap.saturating_add(size_of::<T>() as u64)
        });
        let most = self.max_record_bytes[meta.class as usize];
        let refused = match filled {
            None => Rejection::Panicked,
            Some(bytes) if bytes > most => Rejection::TooLarge { bytes, most },
            Some(_) => return Ok(()),
        };
        self.uncount(meta.class, record);
        Err(refused)
    }

    /// Takes back what the predicate of a class counted for a record that is not pushed. Runs user
    /// code, so the caller must not hold an unpublished claim.
    pub(crate) fn uncount(&self, class: Class, record: &T) {
        if !self.plain
            && class == Class::Rest
            && let Some(counting) = self.class_predicate.as_ref().and_then(ClassPredicate::counts)
        {
            self.guarded(|| (counting.leaves)(record));
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

    /// Claims slots for the first of these records, and for some of those behind it. If there is no
    /// room, proceeds as `on_full` says.
    #[inline(always)]
    pub(crate) fn claim(
        &self,
        metas: &[RecordMeta<T>],
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        if self.plain {
            self.claim_with(Class::Rest, metas.len(), &NoBudget, on_full)
        } else {
            self.claim_metered(metas, on_full)
        }
    }

    /// Claims in a store that has a byte limit or a class of its own.
    #[inline(never)]
    fn claim_metered(&self, metas: &[RecordMeta<T>], on_full: OnFull) -> Result<Claim, Rejection> {
        let class = metas[0].class;
        let wanted = metas.iter().take_while(|meta| meta.class == class).count();
        let metas = &metas[..wanted];
        // Release pairs with the Acquire in `notify_freed_bytes`. Waiters are notified there and
        // not here, because wakers must not run between claim and publish (invariant 5).
        let freed = || self.freed.store(1, Ordering::Release);
        self.claim_with(class, wanted, &MeteredBytes { metas, freed }, on_full)
    }

    /// Wakes producers that wait for room, if a claim has released bytes to a budget that had none
    /// left. The caller must not hold an unpublished claim.
    #[inline]
    fn notify_freed_bytes(&self) {
        // Acquire pairs with the Release in `claim_metered`: a woken producer sees the released
        // bytes, also if another thread than the releasing one notifies it.
        if !self.plain
            && self.freed.load(Ordering::Relaxed) != 0
            && self.freed.swap(0, Ordering::Acquire) != 0
        {
            let _inside = reentrancy::enter();
            self.room.notify();
        }
    }

    /// Claims up to `wanted` slots and reserves what the records need beside them.
    #[inline(always)]
    fn claim_with(
        &self,
        class: Class,
        wanted: usize,
        admission: &impl Admission,
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        debug_assert!(wanted > 0);
        match self.router.claim(&self.shards, class, wanted as u64, admission, self.wakeups.tick())
        {
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
        // Once per run is often enough, because a run is short beside a ring's slack. This happens
        // before the claim: waking another thread may cost this one its core, and an unpublished
        // claim stalls its shard.
        if self.router.is_short(&self.shards, class) {
            self.wakeups.hurry();
        }
        let claim = || {
            let make_room = |shard| self.assist(shard);
            self.router.claim_slow(
                &self.shards,
                class,
                wanted as u64,
                admission,
                &self.wakeups,
                make_room,
            )
        };
        claim().or_else(|refused| self.wait_for_room(class, on_full, refused, claim))
    }

    /// Returns whether a push of this class may find room now, or would be refused because the
    /// store is closed.
    pub(crate) fn may_have_room(&self, class: Class) -> bool {
        self.shards[self.router.shards_of(class)].iter().any(Shard::has_room_or_is_closed)
    }

    /// Retries a claim until it succeeds, or is refused as `on_full` and the re-entrancy guard
    /// demand.
    ///
    /// A claim fails if the store is closed, or if there is no room: another thread holds the
    /// indexer locks, or more threads are suspended over slots than there are spare slots.
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
            self.notify_freed_bytes();
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
                Err(next) => refused = next,
            }
        }
    }

    /// Indexes, evicts and reclaims a small batch in place of the indexer. Returns whether that
    /// made room.
    #[cold]
    fn assist(&self, shard: usize) -> bool {
        if reentrancy::is_inside() {
            return false;
        }
        // If there is an indexer thread and it is not suspended, hooks and streams receive evicted
        // records on that thread. An indexer thread that is running a slow hook does not count as
        // suspended: a producer that ran the hook would be held up by it as well.
        let indexer_is_suspended = || {
            self.running_hooks.get() == 0
                && self.stall_detectors[self.shards.len()].is_stalled(self.wakeups.tick())
        };
        let work =
            if !self.threaded || indexer_is_suspended() { Work::ASSIST_ALL } else { Work::ASSIST };
        let Some(moved) = self.step(shard, work) else { return false };
        if moved.reclaimed > 0 {
            self.counts.assists.add(1);
        }
        moved.reclaimed > 0
    }

    /// Writes a record into the slot of a claim of one, and publishes it.
    #[cfg(any(test, feature = "async"))]
    pub(crate) fn publish(&self, claim: Claim, record: T, meta: &RecordMeta<T>) {
        // SAFETY: this function owns the record, and forgets it before it publishes. Between the
        // copy and that, nothing panics (invariant 3).
        let filled = unsafe { self.fill(claim, &raw const record) };
        std::mem::forget(record);
        self.publish_filled(claim, filled, meta);
    }

    /// Writes a record into the slot of a claim of one. Panics only before the record is copied.
    ///
    /// # Safety
    /// The caller owns the record and forgets it before it calls
    /// [`publish_filled`](Self::publish_filled). It calls this once for a claim.
    #[inline(always)]
    pub(crate) unsafe fn fill(&self, claim: Claim, record: *const T) -> Filled<'_, T> {
        debug_assert_eq!(claim.count, 1);
        // SAFETY: the router gave this claim to this thread alone, and the claim lies below the
        // shard's limit, so the slot is free. The caller writes the claim's one sequence once and
        // gives up the record (invariant 3). No user code runs between claim and publish
        // (invariant 5).
        unsafe { self.shards[claim.shard].slots.fill(claim.slot, record) }
    }

    /// Publishes the record that was written for a claim of one.
    #[inline(always)]
    pub(crate) fn publish_filled(&self, claim: Claim, filled: Filled<'_, T>, meta: &RecordMeta<T>) {
        filled.publish(claim.first, claim.stamp, meta);
        self.notify_freed_bytes();
        self.help_after_push(claim.shard, claim.first + 1, 1);
    }

    /// Writes records into the slots of a claim, in order, and publishes each. Both `records` and
    /// `metas` must hold at least as many entries as the claim counts.
    #[inline]
    pub(crate) fn publish_all(
        &self,
        claim: Claim,
        records: &mut std::vec::IntoIter<T>,
        metas: &[RecordMeta<T>],
    ) {
        let slots = &self.shards[claim.shard].slots;
        let (mut slot, mut sequence) = (claim.slot, claim.first);
        for meta in &metas[..claim.count as usize] {
            let record: *const T =
                records.as_slice().first().expect("there is a record for each entry of `metas`");
            // SAFETY: as in `fill`. The loop visits no more entries than the claim counts, and each
            // sequence is written once. The next line takes the record from its owner and forgets
            // it, and nothing panics before (invariants 3 and 5).
            let filled = unsafe { slots.fill(slot, record) };
            std::mem::forget(records.next());
            filled.publish(sequence, claim.stamp, meta);
            slot = slots.place_after(slot, 1);
            sequence += 1;
        }
        debug_assert_eq!(sequence, claim.first + claim.count);
        self.notify_freed_bytes();
        self.help_after_push(claim.shard, sequence, claim.count);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::LogRecord;
    use crate::store::StoreBuilder;

    #[cfg(feature = "async")]
    #[test]
    fn a_claim_that_releases_bytes_wakes_waiting_tasks_only_after_it_has_published() {
        use std::sync::atomic::AtomicU64;
        use std::sync::{Arc, OnceLock};
        use std::task::{Context, Wake, Waker};

        struct CountingWaker(OnceLock<Arc<Engine<LogRecord>>>, AtomicU64);
        impl Wake for CountingWaker {
            fn wake(self: Arc<Self>) {
                let engine = self.0.get().unwrap();
                assert!(reentrancy::is_inside());
                assert_eq!(engine.shards[0].published_before(u64::MAX), engine.shards[0].claimed());
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }

        let engine = Arc::new(Engine::of(
            &StoreBuilder::<LogRecord>::new().capacity(8).shards(1).max_bytes(1 << 20),
        ));
        let counting =
            Arc::new(CountingWaker(OnceLock::from(Arc::clone(&engine)), AtomicU64::new(0)));
        let wakes_and_panics = || (counting.1.load(Ordering::Relaxed), engine.caught_panics());
        let waker = Waker::from(Arc::clone(&counting));
        let mut ticket = Default::default();
        let mut register = || {
            assert!(
                engine
                    .room
                    .poll(&mut ticket, &mut Context::from_waker(&waker), || None::<()>)
                    .is_pending()
            )
        };
        register();
        engine.push_some(1);
        assert_eq!(wakes_and_panics(), (0, 0));
        engine.freed.store(1, Ordering::Relaxed);
        engine.push_some(1);
        assert_eq!(wakes_and_panics(), (1, 0));
        register();
        engine.push_some(1);
        assert_eq!(wakes_and_panics(), (1, 0), "released bytes are notified once");
        engine.freed.store(1, Ordering::Relaxed);
        let metas = [0, 1].map(|_| engine.meta(&mut LogRecord::default()).unwrap());
        let claim = engine.claim(&metas, OnFull::Reject).unwrap();
        assert_eq!(wakes_and_panics(), (1, 0), "no notification while a claim is unpublished");
        engine.publish_all(claim, &mut vec![LogRecord::default(); 2].into_iter(), &metas);
        assert_eq!(wakes_and_panics(), (2, 0));
        register();
        engine.freed.store(1, Ordering::Relaxed);
        engine.close();
        register();
        assert_eq!(engine.claim(&metas, OnFull::Reject).unwrap_err(), Rejection::Closed);
        assert_eq!(
            wakes_and_panics(),
            (4, 0),
            "closing notifies, and so does a push that finds no room"
        );
        engine.room.leave(&mut ticket);
    }
}
