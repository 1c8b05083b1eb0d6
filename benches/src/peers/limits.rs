//! Limits of the machine: rings that are private to one thread and have no index, and copying
//! alone.

use super::{Peer, Producer, Record};
use crate::ingest::Load;
use slipring::{Key, KeyBuf};
use std::hint::black_box;
use std::time::Instant;

/// A ring for each producer, which no other thread reads.
pub struct Private<T> {
    capacity: usize,
    record: std::marker::PhantomData<fn() -> T>,
}

struct Ring<T> {
    records: Vec<T>,
    next: usize,
}

impl<T: Record> Peer<T> for Private<T> {
    const NAME: &'static str = "private rings, no index";
    const ANSWERS: bool = false;

    fn new(capacity: usize, producers: usize) -> Self {
        Self { capacity: capacity / producers, record: std::marker::PhantomData }
    }

    fn producer(&self, _: usize) -> impl Producer<T> + '_ {
        Ring { records: Vec::with_capacity(self.capacity), next: 0 }
    }

    fn lookup(&self, _: usize, _: Key<'_>, _: usize) -> Vec<T> {
        Vec::new()
    }

    fn keys(&self, _: usize) -> Vec<(KeyBuf, u64)> {
        Vec::new()
    }
}

impl<T: Record> Producer<T> for Ring<T> {
    #[inline]
    fn push(&mut self, record: T) {
        if self.records.len() < self.records.capacity() {
            self.records.push(record);
            return;
        }
        self.records[self.next] = record;
        // The ring is never read, so the compiler could remove the writes where it sees a whole
        // run.
        black_box(&mut self.records[self.next]);
        self.next = if self.next + 1 == self.records.len() { 0 } else { self.next + 1 };
    }
}

/// The number of records that are copied at a time.
const BLOCK: usize = 64;

/// Measures the records per second that producers copy from a block of existing records into a ring
/// each, without creating records, locks or an index. No store can exceed this.
pub fn copying_alone<T: Copy + Send>(
    capacity: usize,
    load: Load,
    records: impl Fn(u64) -> Vec<T> + Sync,
) -> f64 {
    let ring = (capacity / load.producers).next_multiple_of(BLOCK);
    let rate = |number| {
        let block: Vec<T> = records(number);
        assert_eq!(block.len(), BLOCK);
        let mut ring: Vec<T> = block.iter().copied().cycle().take(ring).collect();
        let (mut copied, started) = (0_u64, Instant::now());
        while started.elapsed() < load.length {
            for part in ring.chunks_exact_mut(BLOCK) {
                part.copy_from_slice(black_box(&block));
            }
            black_box(&mut ring);
            copied += ring.len() as u64;
        }
        copied as f64 / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let rate = &rate;
        let producers: Vec<_> = (0..load.producers)
            .map(|number| scope.spawn(move || rate(number as u64 + 1)))
            .collect();
        producers.into_iter().map(|producer| producer.join().expect("copying ends well")).sum()
    })
}
