//! Unit tests of the module above.

use super::*;
use crate::TraceId;
use crate::engine::state::Engine;
use crate::query::builder::Query;
use crate::query::plan::KeyPredicate;
use crate::signal::LogRecord;
use crate::store::StoreBuilder;

/// Returns an engine with twelve unindexed records in a shard for eight: the first four are no
/// longer visible but still in their slots. Each record has its number as its timestamp. Those
/// named in `of_trace` belong to trace 7.
fn engine(of_trace: &[u64]) -> Engine<LogRecord> {
    let config = StoreBuilder::<LogRecord>::new().capacity(8).slack(8).shards(1).manual();
    let engine = Engine::of(&config);
    for time_unix_nanos in 0..12 {
        let trace_id = TraceId::from(if of_trace.contains(&time_unix_nanos) { 7 } else { 8 });
        engine
            .push(LogRecord::builder().time_unix_nanos(time_unix_nanos).trace_id(trace_id).build());
    }
    engine
}

/// Starts a scan within these bounds, for a query that began when `since` was the oldest visible
/// record.
fn start<'a>(
    engine: &'a Engine<LogRecord>,
    up: bool,
    driving: Option<&KeyPredicate>,
    since: u64,
    bounds: Range<u64>,
) -> Scan<'a, LogRecord> {
    let view = View::open(&engine.shards[0]);
    if up {
        return Scan::up(view, since, &bounds);
    }
    let chains = match driving {
        None => Chains::None,
        Some(key) => match key.prints[..] {
            [print] => Chains::One(Chain::open(&view, key.index, print, bounds.end)),
            _ => Chains::many(&view, key.index, &key.prints, bounds.end),
        },
    };
    Scan::down(view, since, &bounds, driving.map_or(0, |key| key.index), chains)
}

/// Runs a scan for a query that began when `since` was the oldest visible record. Returns the
/// sequences found and whether the scan was cut.
fn scan(
    engine: &Engine<LogRecord>,
    up: bool,
    driving: Option<usize>,
    since: u64,
) -> (Vec<u64>, bool) {
    let plan =
        Query::new(engine).key("trace", TraceId::from(7)).between(1..).execution().unwrap().plan;
    let mut scan =
        start(engine, up, driving.map(|driving| &plan.keys[driving]), since, 0..u64::MAX);
    let found = std::iter::from_fn(|| scan.next(&plan).map(|step| step.sequence)).collect();
    (found, scan.is_cut(&plan))
}

#[test]
fn a_scan_is_cut_if_a_matching_record_was_evicted_since_the_query_began() {
    for (up, driving) in [(true, None), (false, None), (false, Some(0))] {
        let run = |of_trace: &[u64], since| scan(&engine(of_trace), up, driving, since);
        let (mut found, cut) = run(&[3, 5, 11], 0);
        found.sort_unstable();
        assert_eq!((found, cut), (vec![5, 11], true), "3 was visible when the query began");
        assert!(!run(&[3, 5], 4).1, "3 was not");
        assert!(run(&[3, 5], 3).1);
        assert!(!run(&[0, 5], 0).1, "0 has another time, and 1 to 3 have another trace");
        assert!(!run(&[5], 0).1);
    }
}

#[test]
fn an_answer_is_partial_if_records_of_the_key_were_evicted() {
    let is_partial_from = |engine: &Engine<LogRecord>, driving: Option<usize>, from| {
        let plan = Query::new(engine).key("trace", TraceId::from(7)).execution().unwrap().plan;
        let driving = driving.map(|driving: usize| &plan.keys[driving]);
        let mut scan = start(engine, false, driving, 0, from..u64::MAX);
        while scan.next(&plan).is_some() {}
        scan.is_partial()
    };
    let is_partial = |engine: &Engine<LogRecord>, driving| is_partial_from(engine, driving, 0);
    assert!(is_partial(&engine(&[3, 5]), Some(0)), "3 was evicted before it was indexed");
    assert!(!is_partial(&engine(&[4, 5]), Some(0)), "only records of another key were evicted");
    assert!(!is_partial(&engine(&[3, 5]), None), "without a driving index nothing is known");
    let settled = |of_trace: &[u64]| {
        let engine = engine(of_trace);
        engine.settle();
        engine
    };
    assert!(is_partial(&settled(&[0, 1, 2]), Some(0)), "all of the key's records were evicted");
    assert!(is_partial(&settled(&[3, 5]), Some(0)), "one of the key's records was evicted");
    assert!(!is_partial(&settled(&[4, 5]), Some(0)));
    assert!(!is_partial(&settled(&[]), Some(0)));
    assert!(
        !is_partial_from(&settled(&[4, 5]), Some(0), 5),
        "4 is older than the bounds, but not evicted"
    );
    assert!(is_partial_from(&settled(&[3, 5]), Some(0), 3), "3 lies within the bounds");
    assert!(!is_partial_from(&settled(&[3, 5]), Some(0), 5), "3 lies before the bounds");
}

#[test]
fn blocks_are_skipped_by_time_only_once_they_are_indexed() {
    let config = StoreBuilder::<LogRecord>::new().capacity(1_000).shards(1).manual();
    let push = |engine: &Engine<LogRecord>, time_unix_nanos| {
        engine.push(LogRecord::builder().time_unix_nanos(time_unix_nanos).build());
    };
    let run = |engine: &Engine<LogRecord>, up, time: u64| {
        let plan = Query::new(engine).between(time..=time).execution().unwrap().plan;
        let mut scan = start(engine, up, None, 0, 0..u64::MAX);
        let found = std::iter::from_fn(|| scan.next(&plan)).count();
        (found, scan.looked_at)
    };
    for up in [true, false] {
        // The last record of a block arrives late, and with another time.
        let engine = Engine::of(&config);
        (0..BLOCK - 1).for_each(|_| push(&engine, 1));
        engine.settle();
        push(&engine, 2);
        assert_eq!(run(&engine, up, 2), (1, BLOCK));
        engine.settle();
        assert_eq!(run(&engine, up, 2), (1, BLOCK));
        assert_eq!(run(&engine, up, 3), (0, 0), "no block holds the time");
        (0..2 * BLOCK + 5).for_each(|_| push(&engine, 4));
        engine.settle();
        // Blocks that are only partly filled or visible are scanned.
        assert_eq!(run(&engine, up, 2), (1, BLOCK + 5));
        assert_eq!(run(&engine, up, 4), (2 * BLOCK as usize + 5, 2 * BLOCK + 5));
    }
}

/// While a takeover begins, an index has no records, whatever was evicted before.
#[test]
fn a_chain_is_looked_for_in_no_more_sequences_than_there_are_slots() {
    let engine = engine(&[7, 7, 7]);
    let mut view = View::open(&engine.shards[0]);
    (view.indexed, view.low) = (0, u64::MAX / 2);
    let chain = Chain::open(&view, 0, 7, u64::MAX);
    assert!(!chain.continues_evicted);
}
