//! Compares the figures of the other parts with the targets of the engine.

use super::Options;
use crate::peers::{Copying, Locked, Peer, Private, Sharded};
use crate::report::{Better, Cell, Part, Shown, Table, median};
use crate::workload::{Logs, Metrics, Traces, Workload};
use shop::fixed::FixedSpan;
use slipring::Store;

const OURS: &str = <Store<FixedSpan> as Peer<_>>::NAME;
const LOCKS: [&str; 2] =
    [<Locked<FixedSpan> as Peer<_>>::NAME, <Sharded<FixedSpan> as Peer<_>>::NAME];
const PRIVATE: &str = <Private<FixedSpan> as Peer<_>>::NAME;
const REPLACED: &str = <Copying<FixedSpan> as Peer<_>>::NAME;
const WORKLOADS: [&str; 3] = [Traces::NAME, Logs::NAME, Metrics::NAME];
const ONE: &str = "1 producer";
const TWO: &str = "2 producers";

/// Figures, one per round.
type Rounds = Vec<f64>;

struct Findings<'a> {
    parts: &'a [Part],
    targets: Table,
}

/// Returns the table of targets, or `None` if fewer than two parts ran.
pub fn run(options: &Options, parts: &[Part]) -> Option<Part> {
    let targets = Table::new("targets", "Figures to reach", "see each row", Better::More)
        .shown(Shown::Listed);
    let mut findings = Findings { parts, targets };
    findings.ingest();
    findings.pushes();
    findings.lookups();
    findings.others();
    let targets = findings
        .targets
        .noting("Ratios are slipring's figure over the other's, in the same round.");
    (parts.len() > 1 && !targets.rows.is_empty())
        .then(|| options.part("targets", "What was to be reached", vec![targets]))
}

impl Findings<'_> {
    fn table(&self, name: &str) -> Option<&Table> {
        self.parts.iter().flat_map(|part| &part.tables).find(|table| table.name == name)
    }

    fn rounds(&self, table: &str, panel: &str, case: &str, column: &str) -> Option<Rounds> {
        Some(self.table(table)?.cell(panel, case, column)?.rounds().to_vec())
    }

    /// Returns the best figure of these columns in each round.
    fn best(&self, table: &str, panel: &str, case: &str, columns: &[&str]) -> Option<Rounds> {
        let better = self.table(table)?.better;
        let all = columns.iter().filter_map(|column| self.rounds(table, panel, case, column));
        all.reduce(|best, other| {
            let pick = |(one, other): (&f64, &f64)| {
                if better == Better::More { one.max(*other) } else { one.min(*other) }
            };
            best.iter().zip(&other).map(pick).collect()
        })
    }

    /// Adds a row, if there is a figure for it.
    fn target(&mut self, what: &str, case: &str, reach: &str, figure: Option<f64>) {
        if let Some(figure) = figure.filter(|figure| figure.is_finite()) {
            self.targets.add(what, &format!("{case} (reach {reach})"), "measured", figure);
        }
    }

    fn ratio(
        &mut self,
        what: &str,
        case: &str,
        reach: &str,
        ours: Option<Rounds>,
        theirs: Option<Rounds>,
    ) {
        self.target(
            what,
            case,
            reach,
            ours.zip(theirs).and_then(|(ours, theirs)| over(&ours, &theirs)),
        );
    }

    fn ingest(&mut self) {
        for (workload, replaced) in WORKLOADS.into_iter().zip(["30", "500", "1,500"]) {
            let ours = |case| self.rounds("ingest", workload, case, OURS);
            let (one, two) = (ours(ONE), ours(TWO));
            let locks = self.best("ingest", workload, TWO, &LOCKS);
            // The best number of producers for a lock varies by chance from round to round, so take
            // the best of the medians.
            let anywhere = self.table("ingest-producers").and_then(|table| {
                let rows = table.rows.iter().filter(|row| row.panel == workload);
                let bests = rows
                    .filter_map(|row| self.best("ingest-producers", workload, &row.case, &LOCKS));
                bests.max_by(|one, other| f64::total_cmp(&middle(one), &middle(other)))
            });
            let peers: Vec<&str> = self.table("ingest").map_or(Vec::new(), |table| {
                table
                    .columns
                    .iter()
                    .copied()
                    .filter(|name| ![OURS, PRIVATE, "memcpy"].contains(name))
                    .collect()
            });
            let alone = self.best("ingest", workload, ONE, &peers);
            let private = self.rounds("ingest", workload, TWO, PRIVATE);
            let copying = self.rounds("ingest", workload, TWO, REPLACED);
            self.ratio(
                "Ingest, 2 producers, against the best lock-based peer",
                workload,
                "3, aim 5",
                two.clone(),
                locks,
            );
            self.ratio(
                "the same against its best at any number of producers",
                workload,
                "2, aim 3",
                two.clone(),
                anywhere,
            );
            self.ratio(
                "Ingest, 1 producer, against the best peer",
                workload,
                "2, aim 3",
                one,
                alone,
            );
            self.ratio(
                "Ingest, 2 producers, against private rings",
                workload,
                "0.25, aim 0.5",
                two.clone(),
                private,
            );
            self.ratio(
                "Ingest, 2 producers, against the replaced design",
                workload,
                replaced,
                two,
                copying,
            );
        }
    }

    fn pushes(&mut self) {
        for workload in WORKLOADS {
            let alone = format!("{workload}, alone");
            let ours = |table, quantile| self.rounds(table, &alone, quantile, OURS);
            let (closed, open) = (ours("latency-closed", "p50"), ours("latency-open", "p50"));
            let private = self.rounds("latency-closed", &alone, "p50", PRIVATE);
            let locks = self.best("latency-open", &alone, "p50", &LOCKS);
            self.ratio(
                "Push p50, alone, against a private ring's",
                workload,
                "at most 1.3, aim 1.1",
                closed,
                private,
            );
            let typical = |column| self.rounds("latency-typical", workload, "", column);
            let (ours, private) = (typical(OURS), typical(PRIVATE));
            let what = "the same, timed 16 together, which the clock's steps do not blur";
            self.ratio(what, workload, "at most 1.3, aim 1.1", ours, private);
            self.ratio(
                "Push p50 at 1M/s offered, against the best lock's",
                workload,
                "at most 0.5, aim 0.33",
                open,
                locks,
            );
            for company in ["alone", "beside another producer"] {
                let panel = format!("{workload}, {company}");
                let ours = self.rounds("latency-open", &panel, "p99", OURS);
                let private = self.rounds("latency-open", &panel, "p99", PRIVATE);
                self.ratio(
                    "Push p99 at 1M/s offered, against a private ring's",
                    &panel,
                    "at most 1.5, aim 1.1",
                    ours,
                    private,
                );
            }
        }
    }

    fn lookups(&mut self) {
        let panel = format!("a trace of 8 spans ({})", Traces::NAME);
        for (table, quantile) in [("lookups-p50", "p50"), ("lookups-p99", "p99")] {
            let ours = self.rounds(table, &panel, "1M", OURS);
            let locks = self.best(table, &panel, "1M", &LOCKS);
            let what = "Trace lookup at 1M/s ingest, against the best lock's";
            self.ratio(what, quantile, "at most 0.5, aim 0.2", ours, locks);
        }
    }

    fn others(&mut self) {
        let one = |findings: &Self, table: &str, panel: &str, case: &str, column: &str| {
            findings.table(table)?.cell(panel, case, column).and_then(Cell::median)
        };
        for workload in WORKLOADS {
            let allocations = one(self, "memory-allocations", workload, "", OURS);
            self.target("Allocations by push", workload, "0", allocations);
        }
        let index = one(self, "memory-index", Metrics::NAME, "", OURS);
        self.target(
            "Index bytes by record, three indexes",
            Metrics::NAME,
            "at most 96, aim 64",
            index,
        );
        let idle = one(self, "idle-processor", "", "spans, logs and metrics", OURS);
        self.target("Idle processor time, % of a core", "three stores", "under 0.1", idle);
        let size = |column, case| self.rounds("growth-capacity", "", case, column);
        let growth = |column| Some(pairs(&size(column, "1M")?, &size(column, "10K")?));
        let (ours, private) = (growth(OURS), growth(PRIVATE));
        let what = "Growth of a push from 10K to 1M capacity, against a private ring's";
        self.ratio(what, "136 B", "at most 1.5", ours, private);
        let panel = self
            .table("growth-keys")
            .and_then(|table| table.rows.first())
            .map(|row| row.panel.clone());
        let keys = |case| self.rounds("growth-keys", panel.as_deref()?, case, OURS);
        let (single, uniform) = (keys("one key in each"), keys("1K keys"));
        self.ratio(
            "A push, from 1K even keys to one single key",
            "64 B",
            "at most 1.5",
            single,
            uniform,
        );
    }
}

fn pairs(over: &[f64], under: &[f64]) -> Rounds {
    over.iter().zip(under).map(|(over, under)| over / under).collect()
}

/// Returns the median of the rounds' ratios.
fn over(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    median(pairs(ours, theirs))
}

fn middle(rounds: &[f64]) -> f64 {
    median(rounds.to_vec()).unwrap_or(0.0)
}
