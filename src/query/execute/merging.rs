//! Queries in order of arrival: the records of all shards' scans are merged while they are found.

use super::{Execution, Part, Visitor};
use crate::engine::tuning::PINS_PER_READER;
use crate::query::ahead::{Ahead, Ranking, Step, first_two};
use crate::query::result::{Found, Report};
use crate::query::view::{Pin, Reader};
use crate::signal::Signal;
use smallvec::SmallVec;

/// For each part that has records, what its scan has found and the merge has not taken yet.
type Aheads = SmallVec<[Ahead; 4]>;

impl<'a, T: Signal> Execution<'a, T> {
    /// Runs the scans of all shards side by side and shows the records in order of arrival. Returns
    /// the last record shown.
    pub(super) fn merge(
        &self,
        parts: &mut [Part<'a, T>],
        reader: &Reader<'a, T>,
        visitor: &mut impl Visitor<T>,
        report: &mut Report,
    ) -> Option<Found> {
        // Read ahead in each shard by the share of the limit that falls to it if the newest records
        // are spread evenly.
        let share = (self.limit / parts.len()).saturating_add(1).min(PINS_PER_READER);
        let ranking = Ranking::new(self.order, self.unordered);
        let mut aheads = Aheads::new();
        for part in parts.iter_mut().filter(|part| part.scan.may_continue()) {
            aheads.push(Ahead::of(part.shard));
            let last = aheads.len() - 1;
            part.scan.fill(&self.plan, &mut aheads[last], share);
            aheads[last].rank = ranking.of_next(&aheads[last]);
        }
        let found = aheads.iter().map(Ahead::len).sum();
        let is_all = aheads.iter().all(|ahead| ahead.len() < share);
        let more = self.limit < usize::MAX && !is_all;
        visitor.expect(if more { self.limit } else { self.limit.min(found) });
        let (mut last, mut shown) = (None, 0);
        let mut batch = [(0, Pin::default()); PINS_PER_READER];
        while shown < self.limit {
            let most = if self.plan.tests.is_empty() { self.limit - shown } else { usize::MAX };
            let most = most.min(PINS_PER_READER);
            let count = self.take(parts, &mut aheads, ranking, share, reader, &mut batch[..most]);
            if count == 0 {
                break;
            }
            reader.confirm();
            let carriers = self.carriers(&batch[..count], reader);
            for (number, &(stamp, pin)) in batch[..count].iter().enumerate() {
                let part = &mut parts[pin.shard];
                if shown == self.limit {
                    part.withheld = true;
                } else {
                    if self.show(pin, carriers >> number & 1 == 1, reader, visitor, report) {
                        shown += 1;
                        last = Some(Found {
                            time: 0,
                            stamp,
                            sequence: pin.sequence,
                            shard: pin.shard,
                        });
                    }
                    self.has_passed(part, pin.sequence);
                }
            }
            if count < most {
                break;
            }
        }
        for ahead in &aheads {
            parts[ahead.shard].withheld |= ahead.len() > 0;
        }
        last
    }

    /// Takes the next records of all parts, in the query's order, until the batch is full. Pins
    /// each, and notes its stamp beside. Returns how many there were.
    fn take(
        &self,
        parts: &mut [Part<'a, T>],
        aheads: &mut [Ahead],
        ranking: Ranking,
        share: usize,
        reader: &Reader<'a, T>,
        batch: &mut [(u64, Pin)],
    ) -> usize {
        let mut count = 0;
        while count < batch.len()
            && let Some((first, rival)) = first_two(aheads)
        {
            let ahead = &mut aheads[first];
            let shard = ahead.shard;
            let comes_first = |step: &Step| ranking.of(step.stamp) >= rival;
            for step in ahead.take(batch.len() - count, comes_first) {
                let pin = reader.pin_slot(count, shard, step.slot, step.sequence);
                batch[count] = (step.stamp, pin);
                count += 1;
            }
            let scan = &mut parts[shard].scan;
            if ahead.len() == 0 && scan.may_continue() {
                scan.fill(&self.plan, ahead, share);
            }
            ahead.rank = ranking.of_next(ahead);
        }
        count
    }
}
