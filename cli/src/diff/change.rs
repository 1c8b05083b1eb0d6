//! What has changed between two runs.

use super::operation::{Name, Operation, Operations};
use super::source::Source;
use serde::Serialize;
use std::cmp::Reverse;

/// How many standard deviations chance does not explain.
const CHANCE: f64 = 3.0;

/// What became of an operation, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Failing,
    Slower,
    Appeared,
    Vanished,
    Recovered,
    Faster,
}

impl Verdict {
    pub const ALL: [Self; 6] = [
        Self::Failing,
        Self::Slower,
        Self::Appeared,
        Self::Vanished,
        Self::Recovered,
        Self::Faster,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Self::Failing => "fails more",
            Self::Slower => "slower",
            Self::Appeared => "appeared",
            Self::Vanished => "vanished",
            Self::Recovered => "fails less",
            Self::Faster => "faster",
        }
    }
}

/// An operation's figures in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub spans: u64,
    pub errors: u64,
    /// Null if no duration is known.
    pub p50_nanos: Option<u64>,
    pub p99_nanos: Option<u64>,
}

impl Figures {
    fn of(operation: &Operation) -> Self {
        Self {
            spans: operation.spans,
            errors: operation.errors,
            p50_nanos: operation.quantile(0.5),
            p99_nanos: operation.quantile(0.99),
        }
    }
}

/// One operation in both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub service: String,
    pub name: String,
    #[serde(rename = "changes")]
    pub verdicts: Vec<Verdict>,
    /// Null if it was not there.
    pub before: Option<Figures>,
    pub after: Option<Figures>,
}

/// The operations of both runs, those that changed for the worse first.
pub struct Changes {
    all: Vec<Change>,
    threshold: u32,
}

/// What `--json` tells.
#[derive(Serialize)]
pub struct Report<'a> {
    before: String,
    after: String,
    threshold_percent: u32,
    operations: u64,
    unchanged: u64,
    changed: Vec<&'a Change>,
}

impl Changes {
    /// Compares two runs. Durations have to differ by `threshold` percent.
    pub fn between(before: Operations, mut after: Operations, threshold: u32) -> Self {
        let mut all = Vec::new();
        let one = |name: Name, before: Option<Operation>, after: Option<Operation>| {
            let [before, after] = [before, after].map(|one| one.map(Operation::sorted));
            let (service, name) = name;
            Change {
                service,
                name,
                verdicts: verdicts(before.as_ref(), after.as_ref(), threshold),
                before: before.as_ref().map(Figures::of),
                after: after.as_ref().map(Figures::of),
            }
        };
        for (name, before) in before.0 {
            let after = after.0.remove(&name);
            all.push(one(name, Some(before), after));
        }
        all.extend(after.0.into_iter().map(|(name, after)| one(name, None, Some(after))));
        let worst = |change: &Change| {
            let first = change.verdicts.first().copied();
            (first.is_none(), first, Reverse(change.growth()))
        };
        all.sort_by_cached_key(worst);
        Self { all, threshold }
    }

    pub fn operations(&self) -> u64 {
        self.all.len() as u64
    }

    pub fn count(&self, verdict: Verdict) -> u64 {
        self.all.iter().filter(|change| change.verdicts.contains(&verdict)).count() as u64
    }

    pub fn is_worse(&self) -> bool {
        self.count(Verdict::Failing) + self.count(Verdict::Slower) > 0
    }

    /// Returns the operations that have changed, or all.
    pub fn shown(&self, all: bool) -> impl Iterator<Item = &Change> {
        self.all.iter().filter(move |change| all || !change.verdicts.is_empty())
    }

    pub fn report(&self, before: &Source, after: &Source, all: bool) -> Report<'_> {
        let unchanged = self.all.iter().filter(|change| change.verdicts.is_empty()).count();
        Report {
            before: before.to_string(),
            after: after.to_string(),
            threshold_percent: self.threshold,
            operations: self.operations(),
            unchanged: unchanged as u64,
            changed: self.shown(all).collect(),
        }
    }
}

impl Change {
    /// Returns the time that all spans of it take more than they would have taken before, or the
    /// number of its spans if it is in one run only.
    fn growth(&self) -> u128 {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let median = |figures: &Figures| figures.p50_nanos.unwrap_or(0);
                u128::from(after.spans) * u128::from(median(after).abs_diff(median(before)))
            }
            (Some(one), None) | (None, Some(one)) => one.spans.into(),
            (None, None) => 0,
        }
    }
}

fn verdicts(before: Option<&Operation>, after: Option<&Operation>, threshold: u32) -> Vec<Verdict> {
    let (Some(before), Some(after)) = (before, after) else {
        return vec![if before.is_some() { Verdict::Vanished } else { Verdict::Appeared }];
    };
    let mut verdicts = Vec::new();
    let failing = after.fails_above(before);
    if failing >= CHANCE || (before.errors == 0 && after.errors > 0) {
        verdicts.push(Verdict::Failing);
    }
    if is_slower(before, after, threshold) {
        verdicts.push(Verdict::Slower);
    }
    if failing <= -CHANCE {
        verdicts.push(Verdict::Recovered);
    }
    if is_slower(after, before, threshold) {
        verdicts.push(Verdict::Faster);
    }
    verdicts
}

/// Returns whether the median or the 99th percentile grew by the threshold, and not by chance.
fn is_slower(before: &Operation, after: &Operation, threshold: u32) -> bool {
    let grew = |share: f64| match (before.quantile(share), after.quantile(share)) {
        (Some(before), Some(after)) => {
            let limit = u128::from(before) * (100 + u128::from(threshold));
            after > before && u128::from(after) * 100 >= limit
        }
        _ => false,
    };
    (grew(0.5) && after.rank_above(before) >= CHANCE)
        || (grew(0.99) && after.tail_above(before) >= CHANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(operations: &[(&str, u64, u64)]) -> Operations {
        let each = operations.iter().map(|&(name, middle, errors)| {
            let durations = (0..200).map(|at| middle + at * middle / 1_000).collect();
            let operation = Operation { durations, spans: 200, errors };
            (("shop".to_owned(), name.to_owned()), operation)
        });
        Operations(each.collect())
    }

    #[test]
    fn the_worst_comes_first_and_what_is_the_same_is_silent() {
        let before =
            run(&[("a", 100, 0), ("b", 1_000, 0), ("c", 500, 0), ("d", 100, 90), ("e", 100, 0)]);
        let after =
            run(&[("a", 200, 0), ("b", 1_010, 0), ("c", 500, 1), ("d", 50, 0), ("f", 100, 0)]);
        let changes = Changes::between(before, after, 20);
        let told: Vec<_> =
            changes.shown(false).map(|change| (&*change.name, &change.verdicts[..])).collect();
        assert_eq!(
            told,
            [
                ("c", &[Verdict::Failing][..]),
                ("a", &[Verdict::Slower]),
                ("f", &[Verdict::Appeared]),
                ("e", &[Verdict::Vanished]),
                ("d", &[Verdict::Recovered, Verdict::Faster]),
            ]
        );
        assert_eq!((changes.operations(), changes.shown(true).count()), (6, 6));
        assert!(changes.is_worse());
    }
}
