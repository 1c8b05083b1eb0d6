//! Pushing records into a store.

use super::Store;
use crate::engine::position::Position;
use crate::engine::ring::RecordMeta;
use crate::engine::settings::OnFull;
use crate::engine::tuning::PUSH_CHUNK;
use crate::error::{BatchError, PushError, Rejection};
use crate::signal::Signal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice;

impl<T: Signal> Store<T> {
    /// Puts a record into the store, and evicts the oldest record of its shard if that is full. The
    /// record is visible to every query that begins after this returns.
    ///
    /// If records own memory, every sixteenth push also drops up to 32 evicted records, unless a
    /// hook or a stream receives them: the thread that frees the memory then often is the one that
    /// allocates it again. The indexer drops what pushes leave within some milliseconds.
    ///
    /// While a shard has little room left, every sixteenth push evicts as many records in the
    /// indexer's place, so that no push has to do much at a time.
    ///
    /// Progress: lock-free and without an allocation while there is room. Without room, the push
    /// does a small batch of the indexer's work itself. If that makes no room (because of a
    /// suspended reader, a stalled push or a slow hook), the push waits or hands the record back,
    /// as the builder's [`OnFull`] says. Inside a hook or a visit it never waits.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().capacity(2).shards(1).build()?;
    /// let first = logs.push(LogRecord::builder().body("one").build())?;
    /// assert!(logs.get(first).is_ok());
    /// logs.push(LogRecord::builder().body("two").build())?;
    /// logs.push(LogRecord::builder().body("three").build())?;
    /// assert!(logs.get(first).is_err(), "the third record has evicted the first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PushError`] hands the record back: the ring is full and this push may not wait, the store
    /// is shut down, the record's own methods panicked, or the record is [too
    /// large](crate::StoreBuilder::max_record_bytes).
    #[inline]
    pub fn push(&self, record: T) -> Result<Position, PushError<T>> {
        self.push_with(record, self.engine.on_full)
    }

    /// Pushes like [`push`](Store::push), but never waits.
    ///
    /// ```
    /// use slipring::error::Rejection;
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().build()?;
    /// match logs.try_push(LogRecord::default()) {
    ///     Ok(position) => println!("it is at {position}"),
    ///     Err(error) if error.reason == Rejection::Full => drop(error.into_record()),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The errors of `push`. If there is no room, [`Rejection::Full`], whatever the builder's
    /// [`OnFull`] says.
    #[inline]
    pub fn try_push(&self, record: T) -> Result<Position, PushError<T>> {
        self.push_with(record, OnFull::Reject)
    }

    #[inline(always)]
    fn push_with(&self, mut record: T, on_full: OnFull) -> Result<Position, PushError<T>> {
        let engine = &*self.engine;
        let mut meta = RecordMeta::new();
        if let Err(reason) = engine.fill_meta(&mut meta, &mut record, None) {
            return self.refuse(record, reason);
        }
        match engine.claim(slice::from_ref(&meta), on_full) {
            Ok(claim) => {
                // By reference: `Engine::publish`, which takes the record by value, copies it once
                // more.
                // SAFETY: this function owns the record, and forgets it before it publishes. Between
                // the copy and that, nothing panics (invariant 3).
                let filled = unsafe { engine.fill(claim, &raw const record) };
                std::mem::forget(record);
                engine.publish_filled(claim, filled, &meta);
                Ok(Position::new(claim.shard, claim.first))
            }
            Err(reason) => {
                engine.uncount(meta.class, &record);
                self.refuse(record, reason)
            }
        }
    }

    /// Counts a rejected record and hands it back.
    #[cold]
    fn refuse(&self, record: T, reason: Rejection) -> Result<Position, PushError<T>> {
        self.engine.reject(reason, 1);
        Err(PushError { record, reason })
    }

    /// Puts many records into the store, in order. Returns how many there were. A batch is cheaper
    /// than single pushes, because it claims several slots at once.
    ///
    /// Progress: as for [`push`](Store::push), for each claim.
    ///
    /// ```
    /// use slipring::{LogRecord, Store};
    ///
    /// let logs: Store<LogRecord> = Store::builder().max_record_bytes(1_000).build()?;
    /// let sized = |bytes| LogRecord::builder().body(&"x".repeat(bytes)).build();
    /// assert_eq!(logs.push_batch(vec![sized(10), sized(20)])?, 2);
    ///
    /// let refused = logs.push_batch(vec![sized(10), sized(5_000), sized(20)]).unwrap_err();
    /// assert_eq!((refused.accepted, refused.rejected.len()), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BatchError`] hands back the records that were rejected. If the ring is full or the store
    /// closed, these are all records from the first rejected one on. A record whose own methods
    /// panic, or that is too large, is handed back alone.
    pub fn push_batch(&self, batch: Vec<T>) -> Result<usize, BatchError<T>> {
        let engine = &*self.engine;
        let mut rest = batch.into_iter();
        let mut accepted = 0;
        let mut refused: Option<(Vec<T>, Rejection)> = None;
        // One record more than a chunk is prepared, so that the next one has it to share keys with.
        let mut metas: [RecordMeta<T>; PUSH_CHUNK + 1] = std::array::from_fn(|_| RecordMeta::new());
        let mut ready = 0;
        while !rest.as_slice().is_empty() {
            let mut unusable = None;
            while ready < metas.len() {
                let (earlier, later) = rest.as_mut_slice().split_at_mut(ready);
                let Some(record) = later.first_mut() else { break };
                let (known, metas) = metas.split_at_mut(ready);
                let before = earlier.last().zip(known.last());
                if let Err(reason) = engine.fill_meta(&mut metas[0], record, before) {
                    unusable = Some(reason);
                    break;
                }
                ready += 1;
            }
            let usable = if unusable.is_some() { ready } else { ready.min(PUSH_CHUNK) };
            let mut done = 0;
            while done < usable {
                let wanted = usable.min(done + PUSH_CHUNK);
                match engine.claim(&metas[done..wanted], engine.on_full) {
                    Ok(claim) => {
                        engine.publish_all(claim, &mut rest, &metas[done..wanted]);
                        done += claim.count as usize;
                    }
                    Err(reason) => {
                        let (mut rejected, _) = refused.unwrap_or((Vec::new(), reason));
                        let before = rejected.len();
                        let prepared = rest.as_slice().iter().zip(&metas[done..ready]);
                        prepared.for_each(|(record, meta)| engine.uncount(meta.class, record));
                        rejected.extend(rest);
                        engine.reject(reason, (rejected.len() - before) as u64);
                        return Err(BatchError { accepted: accepted + done, rejected, reason });
                    }
                }
            }
            accepted += done;
            if usable < ready {
                metas.swap(0, usable);
            }
            ready -= usable;
            if let Some(reason) = unusable
                && let Some(record) = rest.next()
            {
                engine.reject(reason, 1);
                let (rejected, last) = refused.get_or_insert_with(|| (Vec::new(), reason));
                rejected.push(record);
                *last = reason;
            }
        }
        match refused {
            None => Ok(accepted),
            Some((rejected, reason)) => Err(BatchError { accepted, rejected, reason }),
        }
    }
}

/// Pushes the records in chunks of 256, until the iterator ends or the store is shut down. Records
/// that are refused are dropped, and counted as rejected. Use [`Store::push_batch`] to get them
/// back. If the iterator panics, the records that it has returned are pushed, and then the panic
/// goes on.
impl<T: Signal> Extend<T> for Store<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        (&*self).extend(records);
    }
}

/// The same as for [`Store`] by value.
impl<T: Signal> Extend<T> for &Store<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        let mut records = records.into_iter().fuse();
        loop {
            // The iterator is user code: it runs before anything is claimed (invariant 5). What it
            // has returned when it panics stays in the chunk.
            let mut chunk = Vec::new();
            let taken = catch_unwind(AssertUnwindSafe(|| chunk.extend(records.by_ref().take(256))));
            let is_empty = chunk.is_empty();
            let refused = self.push_batch(chunk).err();
            let is_closed = refused.as_ref().is_some_and(|error| error.reason == Rejection::Closed);
            for record in refused.into_iter().flat_map(|error| error.rejected) {
                self.engine.guarded(|| drop(record));
            }
            if let Err(panic) = taken {
                resume_unwind(panic);
            }
            if is_empty || is_closed {
                return;
            }
        }
    }
}
