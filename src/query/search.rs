//! Answering: the walks over all shards, merged into the query's order.

use super::answer::{Cursor, Found, Order, Report};
use super::merge::sort_down;
use super::plan::Plan;
use super::view::View;
use super::walk::Walk;
use crate::Position;
use crate::bookmark::Bookmark;
use crate::engine::Engine;
use crate::signal::Signal;
use crate::sync::fault::{Fault, planted};
use smallvec::SmallVec;
use std::ops::Range;

/// A query that can be answered.
pub(super) struct Search<'a, T: Signal> {
    pub(super) engine: &'a Engine<T>,
    pub(super) plan: Plan<'a, T>,
    pub(super) order: Order,
    pub(super) limit: usize,
    /// The part of each shard that is asked for, if not all of it.
    pub(super) bounds: Option<Box<[Range<u64>]>>,
    /// By time: the last record that was shown.
    pub(super) last: Option<Found>,
    /// Whether it goes on from a bookmark.
    pub(super) follows: bool,
    /// Whether what is missed is counted: from where a bookmark or a page was.
    pub(super) counts: bool,
    /// Whether the order of what is shown does not matter.
    pub(super) unordered: bool,
}

/// Who is shown records.
pub(super) trait Visitor<T> {
    /// How many there will be at the most.
    fn expect(&mut self, records: usize);
    fn visit(&mut self, position: Position, record: &T);
}

/// A closure that is shown records.
pub(super) struct Each<F>(pub(super) F);

impl<T, F: FnMut(Position, &T)> Visitor<T> for Each<F> {
    fn expect(&mut self, _: usize) {}

    fn visit(&mut self, position: Position, record: &T) {
        (self.0)(position, record);
    }
}

/// Records that are fetched ahead of the one being shown.
const AHEAD: usize = 8;

/// One shard's part in a search.
struct Part<'a, T: Signal> {
    walk: Walk<'a, T>,
    /// The last record that the walk has found.
    frontier: Option<Found>,
    /// What of the bounds the next page has to look at: all of it, until something is shown.
    left: Range<u64>,
    /// Whether records were found that are not to be shown, because of the limit.
    held_back: bool,
}

type Parts<'a, T> = SmallVec<[Part<'a, T>; 4]>;

impl<'a, T: Signal> Search<'a, T> {
    pub(super) fn run(&self, visitor: &mut impl Visitor<T>) -> Report {
        let shards = &self.engine.shards;
        if self.limit == 0 {
            return self.nothing();
        }
        // Before any view is open: whoever is inside does no work for others.
        (0..shards.len()).for_each(|number| self.engine.spare_a_tail(number));
        let begun: SmallVec<[u64; 8]> = shards.iter().map(|shard| shard.low(shard.claimed())).collect();
        let leader = self.plan.leader(self.engine, self.window(&begun));
        // By arrival, walks find records in the order in which they are shown, unless links lead, which lead down.
        let as_walked = match self.order {
            Order::Newest => true,
            Order::Oldest => leader.is_none(),
            Order::Latest | Order::Earliest => false,
        };
        let streams = as_walked && shards.len() == 1 || self.unordered && self.limit == usize::MAX;
        let mut found = Vec::with_capacity(if streams { 0 } else { self.limit.min(16) });
        let mut parts: Parts<'a, T> = SmallVec::new();
        let mut report = Report::default();
        for (number, &low) in begun.iter().enumerate() {
            let mut part = self.part(number, low, leader);
            if streams {
                let (shown, cut) = self.stream(number, &mut part, visitor);
                report.shown += shown;
                report.cut |= cut;
            } else {
                self.gather(number, &mut part, self.share(as_walked).min(self.limit_of(as_walked)), &mut found);
            }
            parts.push(part);
        }
        if !streams {
            report.cut = self.complete(&mut parts, as_walked, &mut found);
            visitor.expect(found.len());
            self.show(&found, visitor, &mut report);
        }
        report.led_by = leader.map(|leader| T::INDEXES.as_ref()[self.plan.wanted[leader].index]);
        report.partial = parts.iter().any(|part| part.walk.is_partial());
        report.looked_at = parts.iter().map(|part| part.walk.looked_at).sum();
        if self.has_ends() {
            self.say_where_it_ended(&mut report, &mut parts, found.last().copied());
        }
        report
    }

    /// What a limit of 0 lets through; the next page has it all.
    fn nothing(&self) -> Report {
        let left = self.engine.shards.iter().enumerate().map(|(number, shard)| {
            let (bounds, claimed) = (self.bounds_of(number), shard.claimed());
            let start = if self.counts { bounds.start } else { bounds.start.max(shard.low(claimed)) };
            (start, bounds.end.min(claimed).max(start))
        });
        let next = Cursor { store: self.engine.identity, order: self.order, left: left.collect(), last: self.last };
        let bookmark = self.bookmark(|number| self.bounds_of(number).start);
        Report { next: Some(next), bookmark, ..Report::default() }
    }

    /// How many records walks are to find.
    fn limit_of(&self, as_walked: bool) -> usize {
        if as_walked { self.limit } else { usize::MAX }
    }

    /// How many of them each shard is asked for first.
    fn share(&self, as_walked: bool) -> usize {
        self.limit_of(as_walked).div_ceil(self.engine.shards.len()).saturating_mul(5) / 4
    }

    /// How many records are asked for, if not all.
    fn window(&self, begun: &[u64]) -> Option<u64> {
        let each = |((bounds, low), shard): ((&Range<u64>, &u64), &crate::ring::Shard<T>)| {
            bounds.end.min(shard.claimed()).saturating_sub(bounds.start.max(*low))
        };
        Some(self.bounds.as_ref()?.iter().zip(begun).zip(&self.engine.shards).map(each).sum())
    }

    fn part(&self, number: usize, low: u64, leader: Option<usize>) -> Part<'a, T> {
        let shard = &self.engine.shards[number];
        let bounds = self.bounds_of(number);
        let walk = if self.order.is_upward() && leader.is_none() {
            Walk::up(shard, low, &bounds)
        } else {
            Walk::down(shard, low, &bounds, &self.plan, leader)
        };
        let start = if self.counts { bounds.start } else { low.max(bounds.start) };
        Part { left: start..walk.end().max(start), walk, frontier: None, held_back: false }
    }

    fn comes_before(&self, one: &Found, other: &Found) -> bool {
        if self.order.is_upward() { one < other } else { one > other }
    }

    /// Completes what the shards' first shares have found to the first records in the query's order, as many as the limit
    /// says; whether some were lost.
    ///
    /// Shards are walked one after the other, so that a reader holds back one at a time. Those give more that have not got
    /// as far as the last of all.
    fn complete(&self, parts: &mut [Part<'a, T>], as_walked: bool, found: &mut Vec<Found>) -> bool {
        let mut share = self.share(as_walked);
        loop {
            // Stretches that go up are taken for such that go down, from the other end.
            if parts.iter().any(|part| part.walk.goes_up()) {
                found.reverse();
            }
            sort_down(found);
            if self.order.is_upward() {
                found.reverse();
            }
            let last = found.get(self.limit_of(as_walked) - 1).copied();
            let mut more = false;
            share = share.saturating_mul(2);
            for (number, part) in parts.iter_mut().enumerate() {
                let falls_short =
                    |last: Found| part.frontier.is_none_or(|frontier| self.comes_before(&frontier, &last));
                if part.walk.goes_on() && last.is_none_or(falls_short) {
                    self.gather(number, part, share, found);
                    more = true;
                }
            }
            if !more {
                break;
            }
        }
        let last = found.get(self.limit - 1).copied();
        for Found { shard, .. } in found.drain(self.limit.min(found.len())..) {
            parts[shard].held_back = true;
        }
        if self.has_ends() && !self.order.is_by_time() {
            found.iter().for_each(|found| self.has_shown(&mut parts[found.shard], found.sequence));
        }
        // What a walk down lost is older than all that it found, so it is missed only if the answer reaches that far.
        let is_whole = |part: &Part<'a, T>| {
            let reached = |last| part.frontier.is_some_and(|frontier| !self.comes_before(&frontier, &last));
            self.order == Order::Newest && (part.walk.goes_on() || last.is_some_and(reached))
        };
        parts.iter_mut().any(|part| !is_whole(part) && part.walk.is_cut(&self.plan))
    }

    /// Whether it may leave something for the next page, or miss what came before it.
    fn has_ends(&self) -> bool {
        self.limit < usize::MAX || self.bounds.is_some()
    }

    /// By arrival: what is left of a part once this sequence has been shown.
    fn has_shown(&self, part: &mut Part<'a, T>, sequence: u64) {
        if self.order.is_upward() {
            part.left.start = part.left.start.max(sequence + 1);
        } else {
            part.left.end = part.left.end.min(sequence);
        }
    }

    /// What was missed, and where the next page begins.
    fn say_where_it_ended(&self, report: &mut Report, parts: &mut [Part<'a, T>], last: Option<Found>) {
        let mut goes_on = false;
        for (number, part) in parts.iter_mut().enumerate() {
            let open = part.held_back || part.walk.goes_on();
            goes_on |= open;
            let start = self.counts.then(|| self.bounds_of(number).start);
            let evicted = part.walk.evicted_below();
            let missed_to = match self.order {
                Order::Latest | Order::Earliest => {
                    part.left.start = part.left.start.max(evicted.min(part.left.end));
                    evicted
                }
                Order::Oldest => {
                    if !open {
                        part.left.start = part.left.end;
                    }
                    evicted.min(part.left.start)
                }
                Order::Newest if open => 0,
                Order::Newest => {
                    part.left.end = part.left.start;
                    evicted
                }
            };
            if let Some(start) = start {
                let between = if self.order == Order::Oldest { part.walk.gaps_below(part.left.start) } else { 0 };
                report.missed += missed_to.saturating_sub(start) + between;
            }
        }
        if goes_on {
            let left = parts.iter().map(|part| (part.left.start, part.left.end)).collect();
            let last = last.filter(|_| self.order.is_by_time());
            report.next = Some(Cursor { store: self.engine.identity, order: self.order, left, last });
        }
        report.bookmark = self.bookmark(|number| parts[number].left.start);
    }

    fn bookmark(&self, next: impl FnMut(usize) -> u64) -> Option<Bookmark> {
        let goes_on = self.follows && self.order == Order::Oldest;
        let bookmark =
            || Bookmark { store: self.engine.identity, next: (0..self.engine.shards.len()).map(next).collect() };
        goes_on.then(bookmark)
    }

    pub(super) fn bounds_of(&self, number: usize) -> Range<u64> {
        self.bounds.as_ref().map_or(0..u64::MAX, |bounds| bounds[number].clone())
    }

    /// Takes this many from a walk, or what there is.
    fn gather(&self, number: usize, part: &mut Part<'a, T>, wanted: usize, found: &mut Vec<Found>) {
        let slots = &self.engine.shards[number].slots;
        let check = self.checks();
        let mut left = wanted;
        while left > 0
            && let Some((sequence, head)) = part.walk.next(&self.plan)
        {
            let time = if self.order.is_by_time() { head.time() } else { 0 };
            let one = Found { time, stamp: head.stamp(), sequence, shard: number };
            if self.last.is_some_and(|last| !self.comes_before(&last, &one)) {
                continue;
            }
            if check && part.walk.view().read(sequence, |record| self.plan.meets(self.engine, record)) != Some(true) {
                continue;
            }
            if found.len() < AHEAD {
                slots.prefetch_payload(sequence);
            }
            part.frontier = Some(one);
            found.push(one);
            left -= 1;
        }
        part.walk.rest();
    }

    /// Whether records are asked as they are found: what does not meet the conditions must not take a place, of a limit or in a
    /// long list.
    fn checks(&self) -> bool {
        self.limit < usize::MAX || !self.plan.tests.is_empty() || self.engine.fingerprints.narrow()
    }

    /// Shows what a walk finds, as many as the limit says; how many that were.
    pub(super) fn each(&self, number: usize, walk: &mut Walk<'_, T>, mut visit: impl FnMut(Position, &T)) -> u64 {
        let mut shown = 0;
        while shown < self.limit as u64
            && let Some((sequence, _)) = walk.next(&self.plan)
        {
            let show = |record: &T| {
                let meets = self.plan.meets(self.engine, record);
                if meets {
                    visit(Position::new(number, sequence), record);
                }
                meets
            };
            shown += u64::from(walk.view().read(sequence, show) == Some(true));
        }
        shown
    }

    /// Shows the records of a shard as they are found; how many, and whether some were lost.
    fn stream(&self, number: usize, part: &mut Part<'a, T>, visitor: &mut impl Visitor<T>) -> (u64, bool) {
        let mut last = None;
        let shown = self.each(number, &mut part.walk, |position, record| {
            last = Some(position.sequence());
            visitor.visit(position, record);
        });
        if let Some(last) = last.filter(|_| !self.order.is_by_time()) {
            self.has_shown(part, last);
        }
        let reached_all = self.order.is_upward() || shown < self.limit as u64;
        let cut = reached_all && part.walk.is_cut(&self.plan);
        part.walk.rest();
        (shown, cut)
    }

    /// Shows these records, those of them that meet the conditions.
    fn show(&self, found: &[Found], visitor: &mut impl Visitor<T>, report: &mut Report) {
        let mut view: Option<(usize, View<'_, T>)> = None;
        let checked = self.checks();
        let fetch =
            |Found { shard, sequence, .. }: &Found| self.engine.shards[*shard].slots.prefetch_payload(*sequence);
        for (number, &Found { shard, sequence, .. }) in found.iter().enumerate() {
            found.get(number + AHEAD).into_iter().for_each(fetch);
            if view.as_ref().is_none_or(|(open, _)| *open != shard) {
                // One mark at a time.
                drop(view.take());
                view = Some((shard, View::open_below(&self.engine.shards[shard], sequence)));
            }
            let (_, open) = view.as_mut().expect("it was opened above");
            let show = |record: &T| {
                let meets = checked || self.plan.meets(self.engine, record);
                if meets {
                    visitor.visit(Position::new(shard, sequence), record);
                }
                meets
            };
            match open.read(sequence, show) {
                Some(shown) => report.shown += u64::from(shown),
                None => {
                    report.cut |= !planted(Fault::GoneUnsaid);
                    report.missed += u64::from(self.counts);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::TraceId;
    use crate::config::Builder;
    use crate::query::ask::Query;
    use crate::signal::{LogRecord, Severity};
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// The time of what is pushed while a query goes on.
    const LATE: u64 = 1;

    fn push(engine: &Engine<LogRecord>, records: u64) {
        for _ in 0..records {
            engine.push(LogRecord { trace_id: Some(TraceId::from(7)), ..LogRecord::default() });
        }
        engine.settle();
    }

    #[test]
    fn what_leaves_before_the_walk_comes_to_it_is_said() {
        for shards in [1, 2] {
            let config = Builder::<LogRecord>::new().capacity(4_000 * shards).slack(4_000).shards(shards).manual();
            let all = 4_000 * shards as u64;
            for (order, by_key) in
                [(Order::Newest, false), (Order::Newest, true), (Order::Oldest, false), (Order::Oldest, true)]
            {
                let engine = Engine::of(&config);
                push(&engine, all);
                let ask = |leaving: u64| {
                    let first = Cell::new(true);
                    let visit = |_: Position, _: &LogRecord| {
                        if first.replace(false) {
                            push(&engine, leaving);
                        }
                    };
                    let query = Query::new(&engine).order(order);
                    let query = if by_key { query.key("trace", TraceId::from(7)) } else { query };
                    query.for_each(visit).unwrap()
                };
                let whole = ask(0);
                assert_eq!((whole.shown, whole.cut), (all, false));
                let report = ask(all * 3 / 4);
                // Upwards in one shard its mark keeps all that is still to come; but links lead down, and find all of it first.
                let kept = shards == 1 && order == Order::Oldest;
                assert_eq!((report.cut, report.shown == all), (!kept, kept), "{shards} {order:?} {by_key}: {report:?}");
                let whole = ask(0);
                assert_eq!((whole.shown, whole.cut), (all, false));
            }
        }
    }

    #[test]
    fn what_left_below_the_limit_is_none_of_the_answers() {
        let ask = |limit| {
            let engine = Engine::of(&Builder::<LogRecord>::new().capacity(4_000).slack(4_000).shards(1).manual());
            push(&engine, 4_000);
            let first = Cell::new(true);
            let visit = |_: Position, _: &LogRecord| {
                if first.replace(false) {
                    push(&engine, 3_000);
                }
            };
            let report = Query::new(&engine).limit(limit).for_each(visit).unwrap();
            (report.shown, report.cut)
        };
        assert_eq!(ask(10), (10, false));
        assert_eq!(ask(3_999), (1_025, true), "as far down as the mark lay");
    }

    /// An engine with a shard for 4,000 records, and one for 1,000 errors.
    fn two_shards() -> Engine<LogRecord> {
        Engine::of(&Builder::<LogRecord>::new().capacity(5_000).slack(4_000).shards(1).error_class(1_000).manual())
    }

    fn push_to(engine: &Engine<LogRecord>, severity: Severity, time_unix_nanos: u64, records: u64) {
        for _ in 0..records {
            engine.push(LogRecord { severity, time_unix_nanos, ..LogRecord::default() });
        }
        engine.settle();
    }

    /// Asks for six of the newest records. The first plain one that is looked at is one of the answers; at the second all others
    /// are written over, of which none is asked for. How many were shown, and whether some were lost.
    fn lose_all_but_one(engine: &Engine<LogRecord>) -> (u64, bool) {
        let seen = AtomicU64::new(0);
        let filter = |record: &LogRecord| {
            if record.severity == Severity::ERROR {
                return true;
            }
            let number = seen.fetch_add(1, Ordering::Relaxed);
            if number == 1 {
                push_to(engine, Severity::INFO, LATE, 3_999);
            }
            number == 0
        };
        let report = Query::new(engine).filter(filter).limit(6).for_each(|_, _| ()).unwrap();
        (report.shown, report.cut)
    }

    #[test]
    fn what_one_shard_lost_is_missed_if_the_answer_reaches_as_far() {
        let engine = two_shards();
        push_to(&engine, Severity::ERROR, 0, 1_000);
        push_to(&engine, Severity::INFO, 0, 4_000);
        assert_eq!(lose_all_but_one(&engine), (6, true), "what left came before the errors that are shown");
        let engine = two_shards();
        push_to(&engine, Severity::INFO, 0, 4_000);
        push_to(&engine, Severity::ERROR, 0, 1_000);
        assert_eq!(lose_all_but_one(&engine), (6, false), "what left came after them");
    }

    #[test]
    fn what_left_a_shard_while_a_query_was_in_another_is_missed() {
        let engine = two_shards();
        push_to(&engine, Severity::INFO, 0, 4_000);
        push_to(&engine, Severity::ERROR, 0, 1_000);
        let first = AtomicBool::new(true);
        let filter = |record: &LogRecord| {
            if first.swap(false, Ordering::Relaxed) {
                push_to(&engine, Severity::ERROR, LATE, 1_000);
            }
            record.time_unix_nanos != LATE
        };
        let report = Query::new(&engine).filter(filter).limit(10_000).for_each(|_, _| ()).unwrap();
        assert_eq!(
            (report.shown, report.cut),
            (4_000, true),
            "all that is shown is still there, but the errors are not"
        );
        let report = Query::new(&engine).limit(10_000).for_each(|_, _| ()).unwrap();
        assert_eq!((report.shown, report.cut), (5_000, false));
    }

    #[test]
    fn what_leaves_while_a_walk_upwards_rests_is_counted() {
        let engine = two_shards();
        let bookmark = Bookmark { store: engine.identity, next: engine.cut().collect() };
        push_to(&engine, Severity::INFO, 0, 4_000);
        push_to(&engine, Severity::ERROR, 0, 1_000);
        let first = AtomicBool::new(true);
        let filter = |record: &LogRecord| {
            // A first share of the plain ones has been found by then.
            if record.severity == Severity::ERROR && first.swap(false, Ordering::Relaxed) {
                push_to(&engine, Severity::INFO, 0, 2_000);
            }
            true
        };
        let query = Query::new(&engine).since(&bookmark).order(Order::Oldest).filter(filter).limit(1_000);
        let mut shown = Vec::new();
        let report = query.for_each(|position, _| shown.push(position.sequence())).unwrap();
        // Of a thousand, each of the two shards is asked for half and a quarter more. These have left before they can be shown, too.
        assert_eq!(shown, (2_000..2_000 + 375).collect::<Vec<_>>());
        assert_eq!((report.cut, report.missed), (true, 2_000));
    }

    #[test]
    fn few_records_are_looked_at_rather_than_links_followed() {
        let engine = Engine::of(&Builder::<LogRecord>::new().capacity(1_000).shards(1).manual());
        push(&engine, 500);
        let bookmark = Bookmark { store: engine.identity, next: engine.cut().collect() };
        push(&engine, 3);
        let ask = || Query::new(&engine).key("trace", TraceId::from(7));
        let report = ask().since(&bookmark).for_each(|_, _| ()).unwrap();
        assert_eq!((report.shown, report.led_by, report.looked_at), (3, None, 3));
        let report = ask().for_each(|_, _| ()).unwrap();
        assert_eq!((report.shown, report.led_by, report.looked_at), (503, Some("trace"), 503));
    }
}
