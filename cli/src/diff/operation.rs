//! The operations of a run, each with how long its spans took and how many failed.

use slipring::Span;
use std::collections::BTreeMap;

/// An operation's service and name.
pub type Name = (String, String);

/// The spans of one operation.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// In nanoseconds, where start and end are known.
    pub durations: Vec<u64>,
    pub spans: u64,
    pub errors: u64,
}

/// The operations of a run.
#[derive(Default)]
pub struct Operations(pub BTreeMap<Name, Operation>);

impl Operations {
    pub fn add(&mut self, span: &Span) {
        let name = (span.service().to_owned(), span.name().to_owned());
        let operation = self.0.entry(name).or_default();
        operation.spans += 1;
        operation.errors += u64::from(span.status().code == slipring::span::StatusCode::Error);
        let (start, end) = (span.start_unix_nanos(), span.end_unix_nanos());
        if start > 0 && end >= start {
            operation.durations.push(end - start);
        }
    }

    pub fn merge(&mut self, other: Self) {
        for (name, some) in other.0 {
            let operation = self.0.entry(name).or_default();
            operation.spans += some.spans;
            operation.errors += some.errors;
            operation.durations.extend(some.durations);
        }
    }
}

impl Operation {
    /// Sorts the durations, which the functions below expect.
    pub fn sorted(mut self) -> Self {
        self.durations.sort_unstable();
        self
    }

    /// Returns the duration that a share of the spans does not exceed.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = (share * self.durations.len() as f64).ceil() as usize;
        self.durations.get(rank.saturating_sub(1)).copied()
    }

    /// Returns by how many standard deviations this operation's durations rank above the other's
    /// than chance would have it: the test by Mann and Whitney, with ties.
    pub fn rank_above(&self, other: &Self) -> f64 {
        let (a, b) = (&self.durations, &other.durations);
        let (m, n) = (a.len() as f64, b.len() as f64);
        if a.is_empty() || b.is_empty() {
            return 0.0;
        }
        let (mut i, mut j, mut wins, mut ties) = (0, 0, 0.0, 0.0);
        while i < a.len() || j < b.len() {
            let value = match (a.get(i), b.get(j)) {
                (Some(a), Some(b)) => *a.min(b),
                (Some(one), None) | (None, Some(one)) => *one,
                (None, None) => break,
            };
            let of = |all: &[u64], from: usize| {
                all[from..].iter().take_while(|&&one| one == value).count()
            };
            let (same_a, same_b) = (of(a, i), of(b, j));
            wins += same_a as f64 * (j as f64 + same_b as f64 / 2.0);
            let same = (same_a + same_b) as f64;
            ties += same * same * same - same;
            (i, j) = (i + same_a, j + same_b);
        }
        let all = m + n;
        let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        if variance <= 0.0 { 0.0 } else { (wins - m * n / 2.0) / variance.sqrt() }
    }

    /// Returns by how many standard deviations more of this operation's durations lie above the
    /// other's 99th percentile than chance would have it.
    pub fn tail_above(&self, other: &Self) -> f64 {
        const SHARE: f64 = 0.01;
        let (m, n) = (self.durations.len() as f64, other.durations.len() as f64);
        let Some(limit) = other.quantile(1.0 - SHARE).filter(|_| m >= 100.0 && n >= 100.0) else {
            return 0.0;
        };
        let above = self.durations.len() - self.durations.partition_point(|&one| one <= limit);
        // The limit itself is an estimate.
        let deviation = (SHARE * (1.0 - SHARE) * m * (1.0 + m / n)).sqrt();
        (above as f64 - SHARE * m) / deviation
    }

    /// Returns by how many standard deviations more of this operation's spans failed.
    pub fn fails_above(&self, other: &Self) -> f64 {
        let (m, n) = (self.spans as f64, other.spans as f64);
        let share = (self.errors + other.errors) as f64 / (m + n);
        let deviation = (share * (1.0 - share) * (1.0 / m + 1.0 / n)).sqrt();
        let difference = self.errors as f64 / m - other.errors as f64 / n;
        if deviation > 0.0 { difference / deviation } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: impl IntoIterator<Item = u64>) -> Operation {
        let durations: Vec<u64> = durations.into_iter().collect();
        Operation { spans: durations.len() as u64, durations, errors: 0 }.sorted()
    }

    #[test]
    fn ranks_tell_a_shift_from_chance() {
        let (before, after) = (of(0..100), of(30..130));
        assert!(after.rank_above(&before) > 5.0 && before.rank_above(&after) < -5.0);
        assert_eq!(before.rank_above(&before), 0.0);
        // Of two spans nothing can be said.
        assert!(of([100, 101]).rank_above(&of([1, 2])) < 3.0);
        assert_eq!((of([5; 9]).rank_above(&of([5; 9])), of([]).rank_above(&before)), (0.0, 0.0));
        // By hand: all of three above all of three is 1.96 standard deviations.
        assert!((of([4, 5, 6]).rank_above(&of([1, 2, 3])) - 1.964).abs() < 0.001);
    }

    #[test]
    fn a_longer_tail_is_seen_where_there_are_spans_enough() {
        let before = of(0..1_000);
        let after = of((0..950).chain(std::iter::repeat_n(9_000, 50)));
        assert!(after.tail_above(&before) > 3.0);
        assert_eq!(of(vec![9_000; 50]).tail_above(&before), 0.0, "there are too few");
        assert!(before.tail_above(&before) < 1.0);
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let all = of(1..=100);
        assert_eq!(
            [0.5, 0.99, 1.0].map(|share| all.quantile(share)),
            [Some(50), Some(99), Some(100)]
        );
        assert_eq!((of([7]).quantile(0.99), of([]).quantile(0.5)), (Some(7), None));
    }
}
