//! Measures ingest in records per second.

use super::{Options, check};
use crate::contender::{Contender, fixed, lifelike};
use crate::ingest::Load;
use crate::report::{Better, Part, Table};
use crate::workload::{Logs, Metrics, ShopLogs, ShopPoints, ShopSpans, Traces, Workload};
use std::time::Duration;

const UNIT: &str = "million records/s";

struct Tables {
    all: Table,
    producers: Table,
    batches: Table,
    lifelike: Table,
}

/// Runs the part.
pub fn run(options: &Options) -> Part {
    let mut tables = Tables {
        all: Table::new("ingest", "Ingest, one by one, by 1 and 2 producers", UNIT, Better::More).noting(
            "Into full stores, until the indexes have settled; making the records is part of it, but for memcpy.",
        ),
        producers: Table::new("ingest-producers", "Ingest, one by one, by up to 16 producers", UNIT, Better::More)
            .along("producers"),
        batches: Table::new("ingest-batches", "Ingest in batches", UNIT, Better::More).along("records in a batch"),
        lifelike: Table::new("ingest-lifelike", "Ingest of the shop's records", UNIT, Better::More)
            .noting("With heap: each push clones a ready-made record, and each eviction drops one."),
    };
    fixed_size(options, &mut tables, Traces::NAME, &fixed::<Traces>(), true);
    fixed_size(options, &mut tables, Logs::NAME, &fixed::<Logs>(), !options.quick);
    fixed_size(options, &mut tables, Metrics::NAME, &fixed::<Metrics>(), !options.quick);
    with_heap(options, &mut tables, ShopSpans::NAME, &lifelike::<ShopSpans>());
    if !options.quick {
        with_heap(options, &mut tables, ShopLogs::NAME, &lifelike::<ShopLogs>());
        with_heap(options, &mut tables, ShopPoints::NAME, &lifelike::<ShopPoints>());
    }
    let Tables { all, producers, batches, lifelike } = tables;
    options.part("ingest", "Ingest", vec![all, producers, batches, lifelike])
}

fn fixed_size(
    options: &Options,
    tables: &mut Tables,
    name: &str,
    contenders: &[Contender],
    slow: bool,
) {
    let contenders = contenders.iter().filter(|contender| slow || !contender.slow);
    check(name, contenders.clone());
    let in_batches: &[usize] = options.either(&[2], &[1, 2]);
    options.rounds(name, || {
        for producers in options.either(&[1, 2][..], &[1, 2, 4, 8, 16]).iter().copied() {
            for contender in
                contenders.clone().filter(|contender| producers <= 2 || !contender.slow)
            {
                let rate = millions(options, contender, producers, 1);
                if producers <= 2 {
                    tables.all.add(name, &case(producers), contender.name, rate);
                }
                if contender.slow {
                    continue;
                }
                tables.producers.add(name, &producers.to_string(), contender.name, rate);
                if in_batches.contains(&producers) {
                    tables.batches.add(
                        &format!("{name}, {}", case(producers)),
                        "1",
                        contender.name,
                        rate,
                    );
                }
            }
        }
        for producers in in_batches.iter().copied() {
            for batch in options.either(&[100][..], &[10, 100, 512, 4096]).iter().copied() {
                for contender in contenders.clone().filter(|contender| !contender.slow) {
                    let rate = millions(options, contender, producers, batch);
                    let panel = format!("{name}, {}", case(producers));
                    tables.batches.add(&panel, &batch.to_string(), contender.name, rate);
                }
            }
        }
    });
}

fn with_heap(options: &Options, tables: &mut Tables, name: &str, contenders: &[Contender]) {
    let contenders = contenders.iter().filter(|contender| !contender.slow);
    check(name, contenders.clone());
    options.rounds(name, || {
        for producers in options.either(&[2][..], &[1, 2, 4]).iter().copied() {
            for contender in contenders.clone() {
                let rate = millions(options, contender, producers, 1);
                tables.lifelike.add(name, &case(producers), contender.name, rate);
            }
        }
    });
}

fn millions(options: &Options, contender: &Contender, producers: usize, batch: usize) -> f64 {
    let length = options.either(Duration::from_millis(60), Duration::from_millis(300));
    (contender.ingest)(Load { producers, batch, length }) / 1e6
}

fn case(producers: usize) -> String {
    format!("{producers} producer{}", if producers == 1 { "" } else { "s" })
}
