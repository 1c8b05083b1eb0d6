//! Queries in order of arrival: the records of all shards' scans are merged while they are found.

use super::{Execution, Part, Visitor};
use crate::engine::tuning::PINS_PER_READER;
use crate::query::ahead::{Ahead, Ranking, first_two};
use crate::query::result::{Found, Report};
use crate::query::view::{Located, Reader};
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
        reader: &mut Reader<'a, T>,
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
        let mut stamps = [0; PINS_PER_READER];
        // Otherwise nobody asks what is left.
        let tracks = self.has_end();
        while shown < self.limit {
            let most = if self.plan.tests.is_empty() { self.limit - shown } else { usize::MAX };
            let most = most.min(PINS_PER_READER);
            self.take(parts, &mut aheads, ranking, share, reader, &mut stamps[..most]);
            let count = reader.pinned().len();
            if count == 0 {
                break;
            }
            reader.confirm();
            let carriers = self.carriers(reader);
            if self.plan.tests.is_empty() {
                // There are no more than the limit allows.
                self.show_all(carriers, reader, visitor, report);
                shown += carriers.count_ones() as usize;
                if let Some(number) = carriers.checked_ilog2() {
                    last = Some((reader.pinned()[number as usize], stamps[number as usize]));
                }
                if tracks {
                    for record in reader.pinned() {
                        self.has_passed(&mut parts[record.shard()], record.sequence);
                    }
                }
            } else {
                for (number, stamp) in (0..count).zip(stamps) {
                    let record = reader.pinned()[number];
                    let part = &mut parts[record.shard()];
                    if shown == self.limit {
                        part.withheld = true;
                        continue;
                    }
                    if self.show(number, carriers, reader, visitor, report) {
                        shown += 1;
                        last = Some((record, stamp));
                    }
                    self.has_passed(part, record.sequence);
                }
            }
            if count < most {
                break;
            }
        }
        for ahead in &aheads {
            parts[ahead.shard].withheld |= ahead.len() > 0;
        }
        let (record, stamp) = last?;
        Some(Found { time: 0, stamp, sequence: record.sequence, shard: record.shard() })
    }

    /// Pins the next records of all parts, in the query's order, as many as there is room for their
    /// stamps.
    fn take(
        &self,
        parts: &mut [Part<'a, T>],
        aheads: &mut [Ahead],
        ranking: Ranking,
        share: usize,
        reader: &mut Reader<'a, T>,
        stamps: &mut [u64],
    ) {
        reader.restart();
        let mut count = 0;
        while count < stamps.len()
            && let Some((first, rival)) = first_two(aheads)
        {
            let ahead = &mut aheads[first];
            let (shard, slots) = (ahead.shard, &self.engine.shards[ahead.shard].slots);
            while ahead.rank >= rival.max(1)
                && let Some(stamp) = stamps.get_mut(count)
                && let Some(step) = ahead.pop()
            {
                *stamp = step.stamp;
                reader.pin_one(Located::new(slots.at(step.slot), shard, step.slot, step.sequence));
                count += 1;
                ahead.rank = ranking.of_next(ahead);
            }
            let scan = &mut parts[shard].scan;
            if ahead.len() == 0 && scan.may_continue() {
                scan.fill(&self.plan, ahead, share);
                ahead.rank = ranking.of_next(ahead);
            }
        }
    }
}
