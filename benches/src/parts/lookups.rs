//! Measures lookups beside ingest, and their effect on ingest.

use super::{Options, check};
use crate::clock::Ticks;
use crate::contender::Contender;
use crate::lookup::{Lookups, Question, Rate, lookups};
use crate::peers::{Locked, Peer, Sharded};
use crate::report::{Better, Part, Table};
use crate::workload::{Logs, Metrics, Traces, Workload};
use slipring::Store;
use std::time::Duration;

struct Lookup {
    contender: Contender,
    run: fn(&Ticks, Question, Rate, Duration) -> Lookups,
}

fn lookup<W: Workload, P: Peer<W::Record>>() -> Lookup {
    Lookup { contender: Contender::new::<W, P>(), run: lookups::<W, P> }
}

struct Tables {
    p50: Table,
    p99: Table,
    ingest: Table,
    /// The worst share of incomplete answers, and the store and case that gave them.
    short: (f64, String),
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let table =
        |name, title| Table::new(name, title, "µs", Better::Less).along("records/s that come in");
    let ingest = Table::new(
        "lookups-ingest",
        "Ingest beside lookups without a pause",
        "million records/s",
        Better::More,
    );
    let mut tables = Tables {
        p50: table("lookups-p50", "A lookup beside ingest: p50"),
        p99: table("lookups-p99", "A lookup beside ingest: p99"),
        ingest: ingest.along("records/s that are offered"),
        short: (0.0, String::new()),
    };
    let ticks = Ticks::new();
    questions::<Traces>(options, &ticks, &mut tables, &[Question::Trace, Question::Services]);
    questions::<Logs>(
        options,
        &ticks,
        &mut tables,
        options.either(&[Question::Errors], &[Question::Errors, Question::Services]),
    );
    if !options.quick {
        questions::<Metrics>(options, &ticks, &mut tables, &[Question::Services]);
    }
    let Tables { p50, p99, ingest, short } = tables;
    let p50 = p50.noting(match short {
        (0.0, _) => "Every answer was whole: 8 spans, 100 errors, 12 services.".to_owned(),
        (share, whose) => {
            format!("At the worst, {:.3} % of the answers were not whole: {whose}.", share * 100.0)
        }
    });
    let p99 =
        p99.noting("One thread asks without a pause, another one pushes. Records are copied out, by every store.");
    options.part("lookups", "Lookups", vec![p50, p99, ingest])
}

fn questions<W: Workload>(
    options: &Options,
    ticks: &Ticks,
    tables: &mut Tables,
    questions: &[Question],
) {
    let all = [lookup::<W, Store<_>>(), lookup::<W, Locked<_>>(), lookup::<W, Sharded<_>>()];
    check(W::NAME, all.iter().map(|lookup| &lookup.contender));
    let rates = [
        (Rate::None, "none"),
        (Rate::PerSecond(1e5), "100K"),
        (Rate::PerSecond(1e6), "1M"),
        (Rate::FlatOut, "flat out"),
    ];
    let length = options.either(Duration::from_millis(80), Duration::from_millis(300));
    options.rounds(&format!("lookups, {}", W::NAME), || {
        for question in questions {
            let asked_for = match question {
                Question::Trace => "a trace of 8 spans",
                Question::Errors => "the last 100 errors",
                Question::Services => "the services",
            };
            let panel = format!("{asked_for} ({})", W::NAME);
            for (rate, case) in rates {
                for Lookup { contender, run } in &all {
                    let found = run(ticks, *question, rate, length);
                    tables.p50.add(&panel, case, contender.name, found.times.p50 / 1e3);
                    tables.p99.add(&panel, case, contender.name, found.times.p99 / 1e3);
                    if rate != Rate::None {
                        tables.ingest.add(&panel, case, contender.name, found.ingest / 1e6);
                    }
                    if found.short > tables.short.0 {
                        tables.short =
                            (found.short, format!("{}, {panel}, {case}", contender.name));
                    }
                }
            }
        }
    });
}
