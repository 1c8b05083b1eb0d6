//! A phase with three stores under a shop's load, and every kind of query.

use crate::scene::{Outcome, Plan, has_failed};
use crate::team::team;
use shop::Shop;
use shop::load::{self, Pool};
use slipring::trace::TraceOrder;
use slipring::{Ledger, Signal, Store, Telemetry};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The number of requests that each producer prepares.
const PREPARED: u64 = 200;

pub fn telemetry(plan: &Plan) -> Outcome {
    let capacity = plan.capacity;
    let telemetry = Telemetry::builder().traces(capacity).logs(capacity).metrics(capacity).build();
    let telemetry = telemetry.expect("the settings are valid");
    let pools = pools(plan.producers);
    let ledger = charged(&pools);
    let (over, lookups) = (AtomicBool::new(false), AtomicU64::new(0));
    let pushed = team(|team| {
        let (telemetry, over, lookups) = (&telemetry, &over, &lookups);
        let produce = move |pool| load::push(telemetry, pool, over).expect("the store is open");
        let producers: Vec<_> =
            pools.iter().map(|pool| team.spawn(move || produce(pool))).collect();
        for reader in 0..plan.readers {
            team.spawn(move || {
                for turn in reader.. {
                    if over.load(Relaxed) || has_failed() {
                        break;
                    }
                    query(telemetry, turn);
                    lookups.fetch_add(1, Relaxed);
                }
            });
        }
        plan.rest(plan.length);
        plan.until("the stores are full", || {
            let stats = telemetry.stats();
            [stats.traces, stats.logs, stats.metrics].iter().all(|stats| stats.evicted.total() > 0)
        });
        over.store(true, Relaxed);
        let pushed = producers
            .into_iter()
            .map(|producer| producer.join().expect("a producer does not panic"));
        pushed.fold([0; 3], |sums, counts| {
            std::array::from_fn(|signal| sums[signal] + counts[signal])
        })
    });
    let [spans, logs, points] = pushed;
    let outcome = Outcome { lookups: lookups.into_inner(), ..Outcome::default() };
    let outcome = outcome.and(end(telemetry.traces(), spans)).and(end(telemetry.logs(), logs));
    let outcome = outcome.and(end(telemetry.metrics(), points));
    drop((telemetry, pools));
    plan.until("all resources are freed with their records", || ledger.bytes() == 0);
    outcome
}

/// Prepares a pool for each producer, on threads of their own.
fn pools(producers: u64) -> Vec<Pool> {
    std::thread::scope(|scope| {
        let prepare = |seed| {
            scope.spawn(move || load::prepare(Shop::new(seed), PREPARED, &AtomicU64::new(0)))
        };
        let pools: Vec<_> = (1..=producers).map(prepare).collect();
        pools.into_iter().map(|pool| pool.join().expect("a shop does not panic")).collect()
    })
}

/// These records cannot count themselves, but they share resources, which charge a ledger and are
/// freed with the last record that shares them.
fn charged(pools: &[Pool]) -> Ledger {
    let ledger = Ledger::default();
    for (request, points) in pools.iter().flatten() {
        request.spans.iter().for_each(|span| span.charge(&ledger));
        request.logs.iter().for_each(|log| log.charge(&ledger));
        points.iter().for_each(|point| point.charge(&ledger));
    }
    assert!(ledger.bytes() > 0);
    ledger
}

fn query(telemetry: &Telemetry, turn: u64) {
    let spans = || telemetry.traces().query();
    let answered = match turn % 6 {
        0 => spans().traces().order(TraceOrder::Slowest).limit(5).collect().map(|traces| {
            for summary in traces {
                let details = telemetry.trace(summary.trace_id);
                let all = details.trace.iter().flat_map(|trace| &trace.spans);
                assert!(all.clone().all(|span| span.span.trace_id() == summary.trace_id));
                assert!(details.logs.iter().all(|log| log.trace_id() == Some(summary.trace_id)));
                details.trace.iter().for_each(|trace| _ = trace.critical_path());
            }
        }),
        1 => spans().service_graph().map(drop),
        2 => telemetry.metrics().query().limit(2_000).series().map(drop),
        3 => telemetry.since(&telemetry.bookmark()).map(drop),
        4 => telemetry
            .audit()
            .map(drop)
            .map_err(|breach| panic!("the audit found a breach: {breach}")),
        _ => {
            telemetry.services();
            Ok(())
        }
    };
    answered.expect("the query is valid");
}

/// Checks the accounting of one store.
fn end<T: Signal>(store: &Store<T>, pushed: u64) -> Outcome {
    store.flush().expect("not called inside a hook");
    if let Err(breach) = store.audit() {
        panic!("the audit found a breach: {breach}");
    }
    let stats = store.stats();
    assert_eq!(stats.offered, pushed, "`offered` is not the number of pushes");
    assert_eq!(stats.rejected.total(), 0, "an open store rejected records");
    assert_eq!(stats.offered, stats.count + stats.evicted.total());
    assert_eq!(
        store.query().count().expect("the query is valid") as u64,
        stats.count,
        "a query does not find every held record"
    );
    store.shutdown().expect("not called inside a hook");
    Outcome::of(&stats)
}
