//! Measures what a push costs its producer.

use super::{Options, check};
use crate::clock::{Quantiles, Ticks};
use crate::contender::Contender;
use crate::latency::{Background, PAUSE, Pace, STALL, Setting, latency, typical};
use crate::peers::{Locked, Peer, Private, Sharded};
use crate::report::{Better, Part, Table};
use crate::workload::{Logs, Metrics, Traces, Workload};
use slipring::Store;
use std::time::Duration;

/// The pushes per second that each producer offers in the open loop.
const OFFERED: f64 = 1e6;

const CLOCK: &str = "the clock";

struct Timed {
    contender: Contender,
    run: fn(&Ticks, Setting) -> Quantiles,
    typical: fn(&Ticks, Duration) -> f64,
}

fn timed<W: Workload, P: Peer<W::Record>>() -> Timed {
    Timed { contender: Contender::new::<W, P>(), run: latency::<W, P>, typical: typical::<W, P> }
}

fn all<W: Workload>() -> [Timed; 4] {
    [
        timed::<W, Store<_>>(),
        timed::<W, Locked<_>>(),
        timed::<W, Sharded<_>>(),
        timed::<W, Private<_>>(),
    ]
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let table = |name, title| {
        Table::new(name, title, "ns", Better::Less).along("quantile").uncompared(&[CLOCK])
    };
    let mut closed = table("latency-closed", "A push, timed from its beginning (closed loop)").noting(format!(
        "Beside readers: two threads look traces up, with {} µs between two lookups. Beside a sleeping reader: it stays \
         inside a query for {} ms, holding what a query of this store holds, then leaves for as long. The private ring \
         shows what is the machine's; the clock's own time is in every figure.",
        PAUSE.as_micros(),
        STALL.as_millis()
    ));
    let mut open = table(
        "latency-open",
        "A push, timed from when it was due, at 1M records/s by each producer (open loop)",
    )
    .noting("A push that comes late because of another before it counts as late as it is.");
    let mut typical = Table::new("latency-typical", "A push, typically", "ns", Better::Less).noting(
        "Alone, in a closed loop: the median of groups of 16 pushes that are timed together, by push. The clock's own \
         steps (10 ns on some processors) are too coarse to compare single pushes of such a length.",
    );
    let ticks = Ticks::new();
    let backgrounds = [
        (Background::None, "alone"),
        (Background::Producer, "beside another producer"),
        (Background::Readers, "beside 2 readers"),
        (Background::Sleeper, "beside a sleeping reader"),
    ];
    cases::<Traces>(options, &ticks, &backgrounds, [&mut typical, &mut closed, &mut open]);
    if !options.quick {
        cases::<Logs>(options, &ticks, &backgrounds[..2], [&mut typical, &mut closed, &mut open]);
    }
    cases::<Metrics>(options, &ticks, &backgrounds[..2], [&mut typical, &mut closed, &mut open]);
    options.part("latency", "Cost to a producer", vec![typical, closed, open])
}

fn cases<W: Workload>(
    options: &Options,
    ticks: &Ticks,
    backgrounds: &[(Background, &str)],
    [typically, closed, open]: [&mut Table; 3],
) {
    let all = all::<W>();
    check(W::NAME, all.iter().map(|timed| &timed.contender));
    let length = options.either(Duration::from_millis(100), Duration::from_millis(500));
    options.rounds(&format!("latency, {}", W::NAME), || {
        for Timed { contender, typical, .. } in &all {
            typically.add(W::NAME, "", contender.name, typical(ticks, length));
        }
        for (background, name) in backgrounds {
            let panel = format!("{}, {name}", W::NAME);
            for (table, pace) in [(&mut *closed, Pace::Closed), (&mut *open, Pace::Open(OFFERED))] {
                let mut add = |column, quantiles: Quantiles| {
                    quantiles
                        .named()
                        .iter()
                        .for_each(|(quantile, nanos)| table.add(&panel, quantile, column, *nanos));
                };
                for Timed { contender, run, .. } in &all {
                    add(
                        contender.name,
                        run(ticks, Setting { pace, background: *background, length }),
                    );
                }
                add(CLOCK, ticks.floor());
            }
        }
    });
}
