//! A scan through one shard: every visible record that a query's conditions admit, in one direction, some at a time.

use super::plan::{ANY_TIME, Plan};
use super::view::View;
use crate::engine::ring::Head;
use crate::engine::shard::Shard;
use crate::engine::tuning::BLOCK;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use crate::sync::{Ordering, fence};
use smallvec::SmallVec;
use std::collections::BinaryHeap;
use std::ops::Range;

/// A record that a scan has found, by its head. It may have left since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) sequence: u64,
    pub(super) stamp: u64,
    pub(super) time: u64,
}

/// Finds visible sequences in one shard that a [`Plan`] admits. It reads heads alone, and holds nothing back.
///
/// Downwards, tail and links meet at `indexed` as it was when the view was opened: what lies above is found by looking at
/// each slot, what lies below by the directory and the links, or, if no index leads, by looking on. So nothing is found
/// twice or not at all, however far the indexer gets meanwhile.
pub(super) struct Scan<'a, T: Signal> {
    view: View<'a, T>,
    /// Where the window began when the query did, and when the directory had been read.
    since: u64,
    low: u64,
    way: Way,
    /// Heads looked at.
    pub(super) looked_at: u64,
}

enum Way {
    Down(Down),
    Up(Up),
}

struct Down {
    /// What lies at or above has been looked at, slot by slot, down to `links_from`.
    at: u64,
    links_from: u64,
    index: usize,
    chains: SmallVec<[Chain; 1]>,
    /// Of several chains, those that go on, by where.
    order: BinaryHeap<(u64, usize)>,
    /// How far eviction had got when the scan found that it had overtaken it.
    lost: Option<u64>,
}

/// The records with one fingerprint, newest first, as the links lead to them.
struct Chain {
    print: u64,
    next: Option<u64>,
    /// The links lead to everything with the fingerprint from here on.
    reached: u64,
    /// As for the whole scan.
    lost: Option<u64>,
    /// The links lead on to what was evicted before.
    leads_on: bool,
}

struct Up {
    at: u64,
    /// What was evicted before the scan came to it.
    gaps: SmallVec<[Range<u64>; 1]>,
}

/// What a look at one head has come to.
enum Look {
    Admitted(Step),
    Other,
    /// It was evicted, with all below this sequence.
    Evicted(u64),
}

/// Looks at a head. What is not published, and was not evicted, is none of the query's records.
#[inline(always)]
fn look<T: Signal>(shard: &Shard<T>, sequence: u64, head: &Head<T::Indexes>, plan: &Plan<'_, T>) -> Look {
    let admitted = head.try_read(sequence, |head| {
        plan.admits(head).then(|| Step { sequence, stamp: head.stamp(), time: head.time() })
    });
    match admitted {
        Some(Some(step)) => Look::Admitted(step),
        Some(None) => Look::Other,
        None => match shard.evicted() {
            evicted if sequence < evicted => Look::Evicted(evicted),
            _ => Look::Other,
        },
    }
}

/// Whether a block holds no record of the query's time, and is still there to say so.
fn is_beside<T: Signal>(view: &View<'_, T>, plan: &Plan<'_, T>, sequence: u64) -> bool {
    if plan.times == ANY_TIME || view.index.blocks.may_hold(sequence, &plan.times) {
        return false;
    }
    // Pairs with the Release fence in `Index::insert`: if the block was that of later records, they see that this has left.
    fence(Ordering::Acquire);
    sequence >= view.shard().evicted()
}

impl<'a, T: Signal> Scan<'a, T> {
    /// Newest first, through this part of the shard. `since` is where the visible window began when the query did; `driving`
    /// the number of the condition that leads.
    pub(super) fn down(
        shard: &'a Shard<T>,
        since: u64,
        bounds: &Range<u64>,
        plan: &Plan<'_, T>,
        driving: Option<usize>,
    ) -> Self {
        let mut view = View::open(shard);
        // The directory first, so that little can be evicted between the view's beginning and this; then how far eviction
        // had got at the most when it was read.
        let (index, chains) = match driving {
            None => (0, SmallVec::new()),
            Some(driving) => {
                let key = &plan.keys[driving];
                let index = key.index;
                // What left before it was indexed, the links do not know of.
                let unlinked = view.indexed.min(view.low)..view.low;
                let left = |print| {
                    unlinked.clone().any(|sequence| view.look(sequence, |head| head.print(index)) == Some(print))
                };
                let chain = |print| Chain {
                    print,
                    next: view.newest(index, print),
                    reached: view.claimed.min(bounds.end),
                    lost: None,
                    leads_on: left(print),
                };
                let chains = match key.prints[..] {
                    [print] => SmallVec::from_buf([chain(print)]),
                    _ => key.prints.iter().copied().map(chain).collect(),
                };
                (index, chains)
            }
        };
        let low = view.low_now().min(bounds.end);
        if planted(Fault::DirectoryBeforeIndexed) {
            view = View::open(shard);
        }
        view.narrow(bounds);
        let links_from = if driving.is_some() { view.indexed.max(view.low) } else { view.low }.min(view.claimed);
        let going_on = |(number, chain): (usize, &Chain)| Some((chain.next?, number));
        let order =
            if chains.len() > 1 { chains.iter().enumerate().filter_map(going_on).collect() } else { BinaryHeap::new() };
        let down = Down { at: view.claimed, links_from, index, chains, order, lost: None };
        Self { view, since: since.max(bounds.start), low, way: Way::Down(down), looked_at: 0 }
    }

    /// Oldest first, slot by slot.
    pub(super) fn up(shard: &'a Shard<T>, since: u64, bounds: &Range<u64>) -> Self {
        let since = since.max(bounds.start);
        let mut view = View::open(shard);
        view.narrow(bounds);
        let (low, at) = (view.low, view.low.min(view.claimed));
        Self { view, since, low, way: Way::Up(Up { at, gaps: SmallVec::new() }), looked_at: 0 }
    }

    /// The next one.
    #[inline]
    pub(super) fn next(&mut self, plan: &Plan<'_, T>) -> Option<Step> {
        let Self { view, way, looked_at, .. } = self;
        match way {
            Way::Down(down) => down.next(view, plan, looked_at),
            Way::Up(up) => up.next(view, plan, looked_at),
        }
    }

    /// Whether there may be more to find.
    pub(super) fn goes_on(&self) -> bool {
        match &self.way {
            Way::Down(down) => {
                down.at > down.links_from && down.lost.is_none() || down.chains.iter().any(|chain| chain.next.is_some())
            }
            Way::Up(up) => up.at < self.view.claimed,
        }
    }

    /// The sequence after the newest that is looked at.
    pub(super) fn end(&self) -> u64 {
        self.view.claimed
    }

    /// Everything below this had been evicted before the scan came to it, and nothing above it but for gaps.
    pub(super) fn evicted_below(&self) -> u64 {
        let low = self.view.low;
        let evicted = match &self.way {
            Way::Up(_) => low,
            Way::Down(down) => {
                // What left between the view's beginning and the look into the directory, the links do not lead to.
                let before = if planted(Fault::LeftUncounted) { low } else { self.low };
                let chain = |chain: &Chain| chain.lost.unwrap_or(before).min(chain.reached);
                let lost = down.lost.map(|evicted| evicted.min(down.at));
                down.chains.iter().map(chain).chain(lost).fold(low, u64::max)
            }
        };
        evicted.min(self.view.claimed)
    }

    /// Whether the links of the index that leads are known to have led to records that had been evicted before.
    pub(super) fn is_partial(&self) -> bool {
        let departed = |down: &Down, chain: &Chain| down.index == 0 && self.view.index.ghosts.contains(chain.print);
        match &self.way {
            Way::Up(_) => false,
            Way::Down(down) => {
                down.chains.iter().any(|chain| chain.leads_on || chain.lost.is_some() || departed(down, chain))
            }
        }
    }

    /// How many records below this one lie in gaps.
    pub(super) fn gaps_below(&self, sequence: u64) -> u64 {
        match &self.way {
            Way::Up(up) => up.gaps.iter().filter(|gap| gap.end <= sequence).map(|gap| gap.end - gap.start).sum(),
            Way::Down(_) => 0,
        }
    }

    /// Whether records that were visible when the query began were, or may have been, evicted before the scan came to them.
    /// Of a scan that does not go on.
    pub(super) fn is_cut(&self, plan: &Plan<'_, T>) -> bool {
        let Self { view, since, low, way, .. } = self;
        // If another index took the place of this one, what it led to is not known.
        !view.is_current()
            || match way {
                Way::Up(up) => !up.gaps.is_empty() || view.admitted_one(*since..*low, |head| plan.admits(head)),
                Way::Down(down) if down.chains.is_empty() => {
                    down.lost.is_some() || view.admitted_one(*since..(*low).min(down.at), |head| plan.admits(head))
                }
                // Below what the links led to, a key may have been evicted altogether, and even have come back, before the
                // directory was read.
                Way::Down(down) => {
                    down.lost.is_some()
                        || down.chains.iter().any(|chain| {
                            let carries =
                                |head: &Head<T::Indexes>| head.print(down.index) == chain.print && plan.admits(head);
                            chain.lost.is_some() || view.admitted_one(*since..(*low).min(chain.reached), carries)
                        })
                }
            }
    }
}

impl Down {
    #[inline(always)]
    fn next<T: Signal>(&mut self, view: &View<'_, T>, plan: &Plan<'_, T>, looked_at: &mut u64) -> Option<Step> {
        if self.at > self.links_from && self.lost.is_none() {
            let found = self.scan(view, plan, looked_at);
            if found.is_some() {
                return found;
            }
        }
        self.follow(view, plan, looked_at)
    }

    /// Looks at slot after slot.
    fn scan<T: Signal>(&mut self, view: &View<'_, T>, plan: &Plan<'_, T>, looked_at: &mut u64) -> Option<Step> {
        let slots = &view.shard().slots;
        let mut place = slots.place(self.at);
        while self.at > self.links_from {
            let sequence = self.at - 1;
            if (sequence + 1).is_multiple_of(BLOCK) && sequence < view.indexed && is_beside(view, plan, sequence) {
                self.at = (sequence / BLOCK * BLOCK).max(self.links_from);
                place = slots.place(self.at);
                continue;
            }
            place = slots.place_before(place, 1);
            *looked_at += 1;
            match look(view.shard(), sequence, slots.head_at(slots.slot(place)), plan) {
                Look::Admitted(step) => {
                    self.at = sequence;
                    return Some(step);
                }
                Look::Other => self.at = sequence,
                Look::Evicted(evicted) => {
                    self.lost = Some(evicted);
                    return None;
                }
            }
        }
        None
    }

    /// Follows the links.
    #[inline(always)]
    fn follow<T: Signal>(&mut self, view: &View<'_, T>, plan: &Plan<'_, T>, looked_at: &mut u64) -> Option<Step> {
        let slots = &view.shard().slots;
        loop {
            // The newest of all. One chain is the rule, some the exception.
            let number = if self.chains.len() > 1 { self.order.pop()?.1 } else { 0 };
            let chain = self.chains.get_mut(number)?;
            let sequence = chain.next?;
            if sequence < view.low && !planted(Fault::ScanWithoutWindow) {
                chain.reached = view.low;
                chain.next = None;
                chain.leads_on = sequence < view.oldest;
                continue;
            }
            *looked_at += 1;
            let place = slots.place(sequence);
            let found = slots.head_at(slots.slot(place)).try_read(sequence, |head| {
                let step = Step { sequence, stamp: head.stamp(), time: head.time() };
                let is_of_chain = head.print(self.index) == chain.print;
                let admitted = is_of_chain && (plan.is_simple() || plan.admits(head));
                (step, admitted, view.index.link(place, self.index))
            });
            let Some((step, admitted, distance)) = found else {
                chain.lost = Some(view.shard().evicted());
                chain.next = None;
                continue;
            };
            chain.reached = sequence;
            chain.next = if distance == 0 { None } else { sequence.checked_sub(distance) };
            if let Some(next) = chain.next.filter(|_| self.chains.len() > 1) {
                self.order.push((next, number));
            }
            // What lies above has been looked at already, or lies above the bounds.
            let is_new = sequence < self.links_from || planted(Fault::ScanRepeatsTail);
            if is_new && admitted {
                return Some(step);
            }
        }
    }
}

impl Up {
    fn next<T: Signal>(&mut self, view: &View<'_, T>, plan: &Plan<'_, T>, looked_at: &mut u64) -> Option<Step> {
        let slots = &view.shard().slots;
        let mut place = slots.place(self.at);
        while self.at < view.claimed {
            let sequence = self.at;
            let end = (sequence / BLOCK + 1) * BLOCK;
            if sequence.is_multiple_of(BLOCK)
                && end <= view.indexed.min(view.claimed)
                && is_beside(view, plan, sequence)
            {
                self.at = end;
                place = slots.place(end);
                continue;
            }
            *looked_at += 1;
            match look(view.shard(), sequence, slots.head_at(slots.slot(place)), plan) {
                Look::Admitted(step) => {
                    self.at = sequence + 1;
                    return Some(step);
                }
                Look::Other => {
                    self.at = sequence + 1;
                    place = slots.place_after(place, 1);
                }
                Look::Evicted(evicted) => {
                    let to = evicted.min(view.claimed);
                    self.gaps.push(sequence..to);
                    self.at = to;
                    place = slots.place(to);
                }
            }
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::TraceId;
    use crate::engine::state::Engine;
    use crate::query::builder::Query;
    use crate::signal::LogRecord;
    use crate::store::Builder;

    /// Twelve records in a shard for eight, of which none is indexed: the first four are not visible any more, and still there. Each
    /// has its number for a time and, of those named, the trace 7.
    fn engine(of_trace: &[u64]) -> Engine<LogRecord> {
        let config = Builder::<LogRecord>::new().capacity(8).slack(8).shards(1).manual();
        let engine = Engine::of(&config);
        for time_unix_nanos in 0..12 {
            let trace_id = TraceId::from(if of_trace.contains(&time_unix_nanos) { 7 } else { 8 });
            engine.push(LogRecord::builder().time_unix_nanos(time_unix_nanos).trace_id(trace_id).build());
        }
        engine
    }

    /// What a scan finds, and whether it was cut, if the query began when this was the oldest visible record.
    fn scan(engine: &Engine<LogRecord>, up: bool, driving: Option<usize>, since: u64) -> (Vec<u64>, bool) {
        let plan = Query::new(engine).key("trace", TraceId::from(7)).between(1..).execution().unwrap().plan;
        let all = 0..u64::MAX;
        let shard = &engine.shards[0];
        let mut scan = if up { Scan::up(shard, since, &all) } else { Scan::down(shard, since, &all, &plan, driving) };
        let found = std::iter::from_fn(|| scan.next(&plan).map(|step| step.sequence)).collect();
        (found, scan.is_cut(&plan))
    }

    #[test]
    fn a_walk_is_cut_if_what_left_since_the_query_began_was_asked_for() {
        for (up, driving) in [(true, None), (false, None), (false, Some(0))] {
            let ask = |of_trace: &[u64], since| scan(&engine(of_trace), up, driving, since);
            let (mut found, cut) = ask(&[3, 5, 11], 0);
            found.sort_unstable();
            assert_eq!((found, cut), (vec![5, 11], true), "3 had been there");
            assert!(!ask(&[3, 5], 4).1, "3 had not");
            assert!(ask(&[3, 5], 3).1);
            assert!(!ask(&[0, 5], 0).1, "0 is of another time, and 1 to 3 are of another trace");
            assert!(!ask(&[5], 0).1);
        }
    }

    #[test]
    fn an_answer_is_partial_if_the_keys_own_records_have_left() {
        let is_partial_from = |engine: &Engine<LogRecord>, driving, from| {
            let plan = Query::new(engine).key("trace", TraceId::from(7)).execution().unwrap().plan;
            let mut scan = Scan::down(&engine.shards[0], 0, &(from..u64::MAX), &plan, driving);
            while scan.next(&plan).is_some() {}
            assert!(
                !matches!(&scan.way, Way::Down(down) if !down.order.is_empty()),
                "one chain has no turns to wait for"
            );
            scan.is_partial()
        };
        let is_partial = |engine: &Engine<LogRecord>, driving| is_partial_from(engine, driving, 0);
        assert!(is_partial(&engine(&[3, 5]), Some(0)), "before it was indexed");
        assert!(!is_partial(&engine(&[4, 5]), Some(0)), "others have");
        assert!(!is_partial(&engine(&[3, 5]), None), "nothing is known without links");
        let settled = |of_trace: &[u64]| {
            let engine = engine(of_trace);
            engine.settle();
            engine
        };
        assert!(is_partial(&settled(&[0, 1, 2]), Some(0)), "all of them");
        assert!(is_partial(&settled(&[3, 5]), Some(0)), "one of them");
        assert!(!is_partial(&settled(&[4, 5]), Some(0)));
        assert!(!is_partial(&settled(&[]), Some(0)));
        assert!(
            !is_partial_from(&settled(&[4, 5]), Some(0), 5),
            "one is older than what is asked for, but still there"
        );
        assert!(is_partial_from(&settled(&[3, 5]), Some(0), 5));
    }

    #[test]
    fn blocks_are_left_out_by_their_times_only_once_they_are_indexed() {
        let config = Builder::<LogRecord>::new().capacity(1_000).shards(1).manual();
        let push = |engine: &Engine<LogRecord>, time_unix_nanos| {
            engine.push(LogRecord::builder().time_unix_nanos(time_unix_nanos).build());
        };
        let ask = |engine: &Engine<LogRecord>, up, time: u64| {
            let plan = Query::new(engine).between(time..=time).execution().unwrap().plan;
            let all = 0..u64::MAX;
            let shard = &engine.shards[0];
            let mut scan = if up { Scan::up(shard, 0, &all) } else { Scan::down(shard, 0, &all, &plan, None) };
            let found = std::iter::from_fn(|| scan.next(&plan)).count();
            (found, scan.looked_at)
        };
        for up in [true, false] {
            // The last record of a block comes late, and is of another time.
            let engine = Engine::of(&config);
            (0..BLOCK - 1).for_each(|_| push(&engine, 1));
            engine.settle();
            push(&engine, 2);
            assert_eq!(ask(&engine, up, 2), (1, BLOCK));
            engine.settle();
            assert_eq!(ask(&engine, up, 2), (1, BLOCK));
            assert_eq!(ask(&engine, up, 3), (0, 0), "no block has such a time");
            (0..2 * BLOCK + 5).for_each(|_| push(&engine, 4));
            engine.settle();
            // Blocks that are there in part are looked at.
            assert_eq!(ask(&engine, up, 2), (1, BLOCK + 5));
            assert_eq!(ask(&engine, up, 4), (2 * BLOCK as usize + 5, 2 * BLOCK + 5));
        }
    }
}
