//! What producers, the indexer and readers of one store share, and how a record gets in.

use crate::bookmark::Bookmark;
use crate::config::{Layout, Layouts, OnFull, Picks};
use crate::error::Rejection;
use crate::evictions::Sinks;
use crate::index::{Fingerprints, NO_KEY};
use crate::indexer::{Ages, Moved, Patience, Work};
use crate::inside::{self, caught};
use crate::notice::Notices;
use crate::ring::{Bytes, Claim, Class, Need, NoClaim, OnlySlots, Owner, Pins, Route, Router, Shard, Sketch};
use crate::signal::{Key, Ledger, Signal};
use crate::sync::fault::{Fault, planted};
use crate::sync::{AtomicU32, Count, Event, Ordering, Snapshot, thread};
use std::collections::TryReserveError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A waiting producer looks for itself after this long, in case nobody is there to wake it (a store without a thread, a
/// reader that has left).
const WAIT_AT_MOST: Duration = Duration::from_millis(1);

/// Records that a reader looks through rather than index them.
const LOOKED_THROUGH: u64 = if cfg!(loom) { 2 } else { 24 };

pub(crate) struct Engine<T: Signal> {
    pub(crate) shards: Box<[Shard<T>]>,
    pub(crate) router: Router,
    pub(crate) notices: Notices,
    /// What readers look at.
    pub(crate) pins: Pins,
    /// How long whoever holds the token of a shard may sleep; for each shard, and the last for the indexer's thread.
    patience: Box<[Patience]>,
    pub(crate) fingerprints: Fingerprints,
    /// Tells bookmarks and cursors of this store from others'.
    pub(crate) identity: u64,
    pub(crate) sinks: Snapshot<Sinks<T>>,
    /// Threads that run hooks now.
    pub(crate) showing: Count,
    /// Room in a shard, or the end of the store.
    pub(crate) room: Event,
    /// Records that have been indexed, or the end of the store.
    arrivals: Event,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    /// 1 once a claim has given bytes back where none had been left, until those are told who wait for room.
    freed: AtomicU32,
    /// 1 once the store is being shut down.
    stopping: AtomicU32,
    pub(crate) on_full: OnFull,
    /// The most bytes that one record may take, by its class.
    largest: [u64; 2],
    /// If age is bounded.
    pub(crate) ages: Option<Ages>,
    /// If there is a class of its own for what this picks.
    picks: Option<Picks<T>>,
    /// Bytes that the parts which records share may take.
    most_shared: usize,
    /// Whether there is neither a bound on bytes nor such a class, so that pushes look at this only.
    plain: bool,
    /// Whether an indexer thread does the work.
    pub(crate) threaded: bool,
}

/// Where the last text in each index lay, and its fingerprint: records of one source have one and the same text.
#[derive(Default)]
pub(crate) struct Told([((usize, usize), u64); 4]);

/// Events that are seldom enough to be counted one by one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    pub(crate) full: Count,
    pub(crate) closed: Count,
    pub(crate) unusable: Count,
    pub(crate) too_large: Count,
    pub(crate) waits: Count,
    pub(crate) assists: Count,
    pub(crate) reliefs: Count,
    pub(crate) panics: Count,
}

impl<T: Signal> Engine<T> {
    pub(crate) fn new(
        config: &crate::config::Builder<T>,
        layouts: Layouts,
        fingerprints: Fingerprints,
        identity: u64,
    ) -> Result<Self, TryReserveError> {
        let shards_of = |layout: Layout| {
            let new = move |capacity| Shard::new(capacity, layout.slack, config.spares, config.share(capacity));
            layout.capacities().map(new)
        };
        let route = |first: usize, layout: Layout| Route::new(first..first + layout.shards, layout.run, layout.slack);
        let picked = layouts.picked;
        let largest = |layout: Layout| {
            let largest = config.max_record_bytes.map_or(u64::MAX, |bytes| bytes as u64);
            // Heap bytes are kept in 32 bits.
            let sized = size_of::<T>() as u64 + u64::from(u32::MAX);
            config.share(layout.base).map_or(largest, |share| share.min(sized).min(largest))
        };
        let shards: Box<[_]> =
            shards_of(layouts.rest).chain(picked.into_iter().flat_map(shards_of)).collect::<Result<_, _>>()?;
        Ok(Self {
            patience: (0..=shards.len()).map(|_| Patience::new(config.patience)).collect(),
            pins: Pins::new(),
            shards,
            router: Router::new(route(0, layouts.rest), picked.map(|layout| route(layouts.rest.shards, layout))),
            notices: Notices::new(),
            fingerprints,
            identity,
            sinks: Snapshot::new(Sinks::default()),
            showing: Count::default(),
            room: Event::new(),
            arrivals: Event::new(),
            ledger: Ledger::default(),
            counts: Counts::default(),
            freed: AtomicU32::new(0),
            stopping: AtomicU32::new(0),
            on_full: config.on_full,
            largest: [largest(layouts.rest), picked.map_or(u64::MAX, largest)],
            ages: config.max_age.map(Ages::new),
            most_shared: config.max_bytes.unwrap_or(usize::MAX),
            plain: config.max_bytes.is_none() && config.class.is_none(),
            picks: config.class.as_ref().map(|(_, picks)| picks.clone()),
            threaded: !config.manual,
        })
    }

    /// Runs user code; a panic is caught and counted.
    #[inline(always)]
    pub(crate) fn guarded<R>(&self, user_code: impl FnOnce() -> R) -> Option<R> {
        let result = caught(user_code);
        if result.is_none() {
            self.counts.panics.add(1);
        }
        result
    }

    /// Panics of user code, wakers included, that were caught.
    pub(crate) fn caught_panics(&self) -> u64 {
        self.counts.panics.get() + self.room.caught_panics() + self.arrivals.caught_panics()
    }

    /// What the engine needs to know of a record, worked out before anything is claimed (invariant 5).
    #[inline(always)]
    pub(crate) fn sketch(&self, record: &mut T) -> Result<Sketch<T>, Rejection> {
        self.sketch_of(record, |_, key| self.fingerprints.of(key))
    }

    /// The same, of one record of many that are all still there: a text that lies where the one before it lay is the same text.
    #[inline(always)]
    pub(crate) fn sketch_next(&self, record: &mut T, told: &mut Told) -> Result<Sketch<T>, Rejection> {
        self.sketch_of(record, |index, key| match (key, told.0.get_mut(index)) {
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
    fn sketch_of(
        &self,
        record: &mut T,
        mut print_of: impl FnMut(usize, Key<'_>) -> u64,
    ) -> Result<Sketch<T>, Rejection> {
        let mut sketch: Sketch<T> = Sketch::new();
        let mut bytes = size_of::<T>() as u64;
        // Filled in place: a result handed out of the catch would be written and read again.
        let filled = self.guarded(|| {
            if !self.plain
                && let Some(picks) = &self.picks
                && picks.pick(record)
            {
                sketch.class = Class::Picked;
                record.detach();
            }
            record.charge(&self.ledger);
            let prints: &mut [u64] = AsMut::as_mut(&mut sketch.prints);
            for (index, print) in prints.iter_mut().enumerate() {
                *print = record.key(index).map_or(NO_KEY, |key| print_of(index, key));
            }
            sketch.time = record.timestamp();
            let heap = record.heap_bytes() as u64;
            sketch.heap = u32::try_from(heap).unwrap_or(u32::MAX);
            bytes = bytes.saturating_add(heap);
        });
        let most = self.largest[sketch.class as usize];
        match filled {
            None => Err(Rejection::Panicked),
            Some(()) if bytes > most => Err(Rejection::TooLarge { bytes, most }),
            Some(()) => Ok(sketch),
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
    pub(crate) fn claim(&self, sketches: &[Sketch<T>], on_full: OnFull) -> Result<Claim, Rejection> {
        if self.plain {
            self.claim_with(Class::Rest, sketches.len(), &OnlySlots, on_full)
        } else {
            self.claim_as_kept(sketches, on_full)
        }
    }

    /// Where what is kept depends on more than numbers.
    #[inline(never)]
    fn claim_as_kept(&self, sketches: &[Sketch<T>], on_full: OnFull) -> Result<Claim, Rejection> {
        let class = sketches[0].class;
        let wanted = sketches.iter().take_while(|sketch| sketch.class == class).count();
        let sketches = &sketches[..wanted];
        // Release pairs with the Acquire in `tell_of_freed`. They are told there: wakers never run between claim and publish
        // (invariant 5).
        let freed = || self.freed.store(1, Ordering::Release);
        self.claim_with(class, wanted, &Bytes { sketches, freed }, on_full)
    }

    /// Wakes who waits for room, if a claim has given back bytes where none had been left. Not with a claim in hand.
    #[inline]
    fn tell_of_freed(&self) {
        // Acquire pairs with the Release in `claim_as_kept`: whoever is told sees the bytes, also if another thread tells it.
        if !self.plain && self.freed.load(Ordering::Relaxed) != 0 && self.freed.swap(0, Ordering::Acquire) != 0 {
            let _inside = inside::enter();
            self.room.notify();
        }
    }

    /// Claims up to `wanted` slots, and what else they need.
    #[inline(always)]
    fn claim_with(
        &self,
        class: Class,
        wanted: usize,
        need: &impl Need<T>,
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        debug_assert!(wanted > 0);
        match self.router.claim(&self.shards, class, wanted as u64, need, self.notices.tick()) {
            Some(claim) => Ok(claim),
            None => self.claim_anew(class, wanted, need, on_full),
        }
    }

    #[cold]
    fn claim_anew(
        &self,
        class: Class,
        wanted: usize,
        need: &impl Need<T>,
        on_full: OnFull,
    ) -> Result<Claim, Rejection> {
        // Once a run is often enough: a run is short beside a ring's slack. Not with a claim in hand: waking another thread may
        // cost this one its core, and what it has not published stalls its shard.
        if self.router.is_short(&self.shards, class) && !self.notices.is_crowded() {
            self.notices.hurry();
        }
        let claim = || {
            let make_room = |shard| self.assist(shard);
            self.router.claim_anew(&self.shards, class, wanted as u64, need, &self.notices, make_room)
        };
        claim().or_else(|refused| self.wait_for_room(class, on_full, refused, claim))
    }

    /// The most bytes of a record that is taken, of whatever class.
    #[cfg(feature = "otlp")]
    pub(crate) fn largest_record(&self) -> usize {
        let classes = if self.router.shards_of(Class::Picked).is_empty() { 1 } else { 2 };
        self.largest[..classes].iter().max().map_or(usize::MAX, |&most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Whether the parts that records share take more bytes than they may.
    pub(crate) fn shares_too_much(&self) -> bool {
        self.ledger.bytes() > self.most_shared
    }

    /// Whether there is nothing for the indexer to do in this shard.
    pub(crate) fn is_settled(&self, shard: &Shard<T>) -> bool {
        shard.is_settled() && (shard.evicted() == shard.indexed() || !self.shares_too_much())
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
            self.notices.hurry();
            if on_full == OnFull::Reject || inside::is_inside() {
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

    /// Takes the token of a shard. If somebody holds it who has not got on for some time, and `relieves` says so, it is taken
    /// over from there: whoever holds it sleeps.
    pub(crate) fn own(&self, number: usize, relieves: bool) -> Option<Owner<'_, T>> {
        let shard = &self.shards[number];
        shard.try_own().or_else(|| {
            let beats = shard.beats().filter(|_| relieves)?;
            let owner = self.patience[number].is_out(beats).then(|| shard.take_over()).flatten();
            self.counts.reliefs.add(u64::from(owner.is_some()));
            owner
        })
    }

    /// Takes the token of a shard as soon as its holder gives it back, or is relieved. Never on a path that a push or a lookup
    /// takes: for the audit and the store's end.
    pub(crate) fn wait_to_own(&self, number: usize) -> Owner<'_, T> {
        loop {
            match self.own(number, true) {
                Some(owner) => return owner,
                None => thread::yield_now(),
            }
        }
    }

    /// Indexes, evicts and reclaims a small batch for the indexer; whether that made room.
    #[cold]
    fn assist(&self, shard: usize) -> bool {
        if inside::is_inside() {
            return false;
        }
        // Hooks and streams see what is evicted on the indexer's thread, if there is one and it does not sleep. One that takes its
        // time in a hook does not sleep: the hook would keep the producer as well.
        let sleeps = || self.showing.get() == 0 && self.patience[self.shards.len()].is_out(self.notices.tick());
        let work = if !self.threaded || sleeps() { Work::ASSIST_ALL } else { Work::ASSIST };
        let Some(moved) = self.step(shard, work) else { return false };
        if moved.reclaimed > 0 {
            self.counts.assists.add(1);
        }
        moved.reclaimed > 0
    }

    /// Whether half of a shard's room beyond its capacity, or of its bytes, is in use.
    pub(crate) fn is_short_of_room(&self, shard: &Shard<T>) -> bool {
        let room = (shard.reclaimed() + shard.slots.places()).saturating_sub(shard.claimed());
        room <= shard.slack() / 2 || shard.is_short_of_bytes() || self.shares_too_much()
    }

    /// Indexes some records of a shard for a reader, who would have to look through all that are not. To look through a few
    /// costs less. Never waits; does nothing if somebody else is at it.
    pub(crate) fn spare_a_tail(&self, number: usize) {
        let shard = &self.shards[number];
        if shard.indexed() + LOOKED_THROUGH < shard.claimed() && !inside::is_inside() {
            self.step(number, Work::READ);
        }
    }

    /// Puts a record into the slot of a claim of one, and says so.
    #[inline(always)]
    pub(crate) fn publish(&self, claim: Claim, record: T, sketch: &Sketch<T>) {
        debug_assert_eq!(claim.count, 1);
        let slots = &self.shards[claim.shard].slots;
        // SAFETY: the router has given this thread the claim, which is below the shard's limit; its one sequence is
        // written once, here (invariant 3), and no user code runs in between (invariant 5).
        unsafe { slots.write(claim.slot, claim.first, claim.stamp, record, sketch) };
        slots.prefetch_ahead(claim.slot);
        self.tell_of_freed();
        self.tidy_after(claim.shard, claim.first + 1, 1);
    }

    /// Puts records into the slots of a claim, in order, and says so. There must be as many as the claim counts, and as many
    /// sketches.
    #[inline]
    pub(crate) fn publish_all(&self, claim: Claim, records: &mut std::vec::IntoIter<T>, sketches: &[Sketch<T>]) {
        let slots = &self.shards[claim.shard].slots;
        let (mut slot, mut sequence) = (claim.slot, claim.first);
        for sketch in &sketches[..claim.count as usize] {
            let record = records.next().expect("a batch has a record for each sketch");
            // SAFETY: as in `publish`; there are no more sketches than the claim counts, and each sequence is written once
            // (invariants 3 and 5).
            unsafe { slots.write(slot, sequence, claim.stamp, record, sketch) };
            slots.prefetch_ahead(slot);
            slot = slots.forth(slot, 1);
            sequence += 1;
        }
        debug_assert_eq!(sequence, claim.first + claim.count);
        self.tell_of_freed();
        self.tidy_after(claim.shard, sequence, claim.count);
    }

    /// Applies all work that can be done in a shard now, without running user code; whether any was.
    fn catch_up(&self, shard: usize) -> bool {
        self.step(shard, Work::FLUSH).is_some_and(|moved| moved.any())
    }

    /// Waits until everything claimed before is indexed and every eviction due by then is applied.
    pub(crate) fn flush(&self, deadline: Option<Instant>) -> Result<(), crate::WaitError> {
        if inside::is_inside() {
            return Err(crate::WaitError::Reentrant);
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let claimed = shard.claimed();
            // Asked anew each time: what goes for its bytes is known once it is indexed.
            let due = || shard.is_over_share() || shard.evicted() < shard.low(claimed).min(claimed);
            let backoff = crossbeam_utils::Backoff::new();
            while shard.indexed() < claimed || due() {
                if self.catch_up(number) {
                    continue;
                }
                // Somebody else has the token, or a push has not finished.
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(crate::WaitError::Timeout);
                }
                if backoff.is_completed() || cfg!(loom) {
                    thread::park_timeout(Duration::from_micros(50));
                } else {
                    backoff.snooze();
                }
            }
        }
        Ok(())
    }

    /// Makes everything that is in the store now invisible at once, and due for eviction.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.clear();
            if !planted(Fault::ClearWithoutNotice) && shard.take_parked_mark() {
                self.notices.wake();
            }
        }
    }

    /// No push enters from now on; the indexer is told to finish.
    pub(crate) fn close(&self) {
        // Release pairs with the Acquire in `is_stopping`. The indexer that parks sees it, or is woken by the first shard that
        // closes: see `Shard::take_parked_mark`.
        self.stopping.store(1, Ordering::Release);
        for shard in &self.shards {
            if shard.close() {
                self.notices.wake();
            }
        }
        self.notices.hurry();
        if !planted(Fault::ShutdownWithoutWake) {
            // Wakers run inside, wherever they do: they may push, and not wait.
            let _inside = inside::enter();
            self.room.notify();
            self.arrivals.notify();
        }
    }

    /// Says that records have been indexed, and so published.
    #[inline]
    pub(crate) fn tell_of_arrivals(&self, indexed: u64) {
        if indexed > 0 && !planted(Fault::IndexWithoutWake) {
            self.arrivals.notify();
        }
    }

    /// For each shard, the first sequence after a cut through the store as it is now.
    pub(crate) fn cut(&self) -> impl Iterator<Item = u64> {
        // The clock first: whatever run is seen to have begun has all that its thread pushed before it seen as well.
        let now = self.router.stamps_given();
        self.shards.iter().map(move |shard| shard.published_before(now))
    }

    /// Sleeps until something has been published after the bookmark, or the store is shut down.
    ///
    /// Whoever indexes wakes it, so producers pay nothing. What is published is indexed before long, by the thread if by nobody
    /// else; without a thread it looks for itself now and then.
    pub(crate) fn wait_for_arrivals(
        &self,
        bookmark: &Bookmark,
        deadline: Option<Instant>,
    ) -> Result<(), crate::WaitError> {
        if inside::is_inside() {
            return Err(crate::WaitError::Reentrant);
        }
        let ready = || self.has_news_since(bookmark);
        let turn = if self.threaded { None } else { Instant::now().checked_add(WAIT_AT_MOST) };
        let until = [deadline, turn].into_iter().flatten().min();
        match self.arrivals.wait(until, ready) {
            None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => Err(crate::WaitError::Timeout),
            _ => Ok(()),
        }
    }

    fn has_news_since(&self, bookmark: &Bookmark) -> Option<()> {
        let news = || self.cut().zip(&bookmark.next).any(|(now, &then)| now > then);
        (self.is_stopping() || news()).then_some(())
    }

    /// Lets a task wait as `wait_for_arrivals` does, until `look` answers. It looks once.
    #[cfg(feature = "async")]
    pub(crate) fn poll_arrivals<R>(
        &self,
        ticket: &mut crate::sync::Ticket,
        context: &mut std::task::Context<'_>,
        look: impl FnMut() -> Option<R>,
    ) -> std::task::Poll<R> {
        self.arrivals.poll(ticket, context, look)
    }

    #[cfg(feature = "async")]
    pub(crate) fn forget_task(&self, ticket: &mut crate::sync::Ticket) {
        self.arrivals.leave(ticket);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) != 0
    }

    /// The end: applies what is due, ends hooks and streams, and drops every record that no reader is looking at. The
    /// rest goes with the last handle.
    pub(crate) fn finish(&self) {
        // Also for what hooks have captured: its drop is user code, and must not wait for this thread.
        let _inside = inside::enter();
        self.work_off();
        if self.sinks.load().drains {
            self.shards.iter().for_each(Shard::clear);
            self.work_off();
        }
        // All tokens together, so that nobody hands on what is counted as missed here.
        let owners: Vec<_> = (0..self.shards.len()).map(|number| self.wait_to_own(number)).collect();
        self.miss_aside();
        let sinks = Arc::clone(&self.sinks.load());
        self.end_sinks();
        drop(owners);
        let gone = || self.shards.iter().map(|shard| shard.balance().1.iter().sum::<u64>()).sum::<u64>();
        let before = gone();
        self.shards.iter().for_each(Shard::clear);
        self.work_off();
        // The stream does not get what was left. Counted before it ends, so that who sees its end sees the count.
        sinks.stream.iter().for_each(|outlet| outlet.miss_many(gone() - before));
        // Users' code, and no token is held.
        self.guarded(|| drop(sinks));
    }

    /// Lets go of hooks and stream, for good.
    pub(crate) fn end_sinks(&self) {
        self.guarded(|| self.sinks.update(|_| Sinks::closed()));
    }

    /// Steps until nothing moves any more.
    fn work_off(&self) {
        for number in 0..self.shards.len() {
            // Whoever has the token now will not keep it.
            while self.step(number, Work::ALL).is_none_or(Moved::any) {
                thread::yield_now();
            }
        }
    }
}

/// For unit tests of the parts: an engine without a store around it, and without a thread.
#[cfg(all(test, not(loom)))]
impl<T: Signal> Engine<T> {
    pub(crate) fn of(config: &crate::config::Builder<T>) -> Self {
        let fingerprints = Fingerprints::fixed(0, config.fingerprint_bits);
        Self::new(config, config.layouts().expect("it is in order"), fingerprints, 0).expect("there is memory")
    }

    pub(crate) fn push(&self, mut record: T) {
        let sketch = self.sketch(&mut record).expect("its keys are sound");
        let claim = self.claim(std::slice::from_ref(&sketch), OnFull::Reject).expect("there is room");
        self.publish(claim, record, &sketch);
    }

    /// Indexes and evicts all that is due, and reclaims nothing.
    pub(crate) fn settle(&self) {
        for number in 0..self.shards.len() {
            while self.step(number, Work::FLUSH).is_some_and(Moved::any) {}
        }
    }

    /// With a hook that looks at nothing.
    pub(crate) fn hook(&self) {
        self.sinks.update(|sinks| {
            let mut sinks = sinks.clone();
            sinks.hooks.push(std::sync::Arc::new(|_, _, _| ()));
            sinks
        });
    }
}

#[cfg(all(test, not(loom)))]
impl Engine<crate::LogRecord> {
    /// Pushes so many that are all alike.
    pub(crate) fn push_some(&self, records: u64) {
        (0..records).for_each(|_| self.push(crate::LogRecord::default()));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::LogRecord;
    use crate::config::Builder;

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
                assert!(inside::is_inside());
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
        let sketches = [0, 1].map(|_| engine.sketch(&mut LogRecord::default()).unwrap());
        let claim = engine.claim(&sketches, OnFull::Reject).unwrap();
        assert_eq!(woken(), (1, 0), "not with a claim in hand");
        engine.publish_all(claim, &mut vec![LogRecord::default(); 2].into_iter(), &sketches);
        assert_eq!(woken(), (2, 0));
        register();
        engine.freed.store(1, Ordering::Relaxed);
        engine.close();
        register();
        assert_eq!(engine.claim(&sketches, OnFull::Reject).unwrap_err(), Rejection::Closed);
        assert_eq!(woken(), (4, 0), "by the end, and who finds no room tells it too");
        engine.room.leave(&mut ticket);
    }
}
