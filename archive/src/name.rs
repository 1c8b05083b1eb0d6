//! The names of files, which say what is in them: no catalog has to agree with the files.
//!
//! A batch of records has its name before it has a file: the log and the file's name have the same
//! run and number. So whether a batch of the log is in a file already is seen from names, after any
//! crash. The name of a file that was merged has the runs and numbers of those it was made from. Where
//! both are, the merged one counts, and the others are about to be deleted.

use crate::table::Table;
use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::str::FromStr;

/// The most bytes of a file's name. Disks take 255, and object_store adds some while it writes.
const MOST_BYTES: usize = 230;

/// The folder that a file belongs to: its table and hour, counted from 1970. Hour 0 is also that of
/// records whose hour is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    pub(crate) table: Table,
    pub(crate) hour: u64,
}

impl Partition {
    /// Returns whether its hour has been over for an hour. The folder of odd hours has no end.
    pub(crate) fn is_over(self, this_hour: u64) -> bool {
        self.hour > 0 && self.hour.saturating_add(1) < this_hour
    }
}

/// What names a batch, in the log and in the name of its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BatchId {
    /// Tells the batches of this run from those of others.
    pub(crate) run: u64,
    /// Rises with each batch of a run. In one folder, files appear in this order.
    pub(crate) number: u64,
}

/// Where the file of a batch is, but for the number of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) batch: BatchId,
    pub(crate) partition: Partition,
    /// When the batch was begun, in milliseconds since 1970.
    pub(crate) made: u64,
}

/// The batches of one run, from the first number to the last, that a file has in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Covers {
    pub(crate) run: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// A file's name: when it was made, the batches in it, and how many records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) made: u64,
    pub(crate) covers: Vec<Covers>,
    pub(crate) records: u64,
}

impl Covers {
    pub(crate) fn has(&self, batch: BatchId) -> bool {
        self.run == batch.run && (self.first..=self.last).contains(&batch.number)
    }

    fn has_all(&self, other: &Self) -> bool {
        self.run == other.run && self.first <= other.first && other.last <= self.last
    }
}

impl Name {
    pub(crate) fn of(file: &FileId, records: u64) -> Self {
        let BatchId { run, number } = file.batch;
        let covers = vec![Covers { run, first: number, last: number }];
        Self { made: file.made, covers, records }
    }

    pub(crate) fn is_merged(&self) -> bool {
        self.covers.len() > 1 || self.covers.iter().any(|covers| covers.first < covers.last)
    }

    pub(crate) fn has(&self, batch: BatchId) -> bool {
        self.covers.iter().any(|covers| covers.has(batch))
    }

    /// Returns whether this file has all that another of its folder has, so that the other counts no
    /// more. Of two that have the same batches, the one with more records has it, and of equal ones the
    /// later: what a log has of a batch may be a part of it, and the whole may come to its place late.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        let has_all = other.covers.iter().all(|one| self.covers.iter().any(|has| has.has_all(one)));
        let is_less = || {
            let key = |name: &Self| (name.records, name.made);
            self.covers != other.covers || key(self) > key(other)
        };
        self != other && has_all && is_less()
    }

    /// Returns what orders names so that those which supersede others come after them.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let batches = |covers: &Covers| u128::from(covers.last.saturating_sub(covers.first)) + 1;
        let count: u128 = self.covers.iter().map(batches).sum();
        (count, Reverse(self.covers.len()), self.records, self.made)
    }

    /// Returns whether a disk takes the name, and a start reads it.
    pub(crate) fn fits(&self) -> bool {
        let text = self.to_string();
        text.len() <= MOST_BYTES && text.parse().is_ok_and(|name: Self| name == *self)
    }

    /// Returns whether the batches are in order, each once, as in all names that the archive gives.
    fn is_in_order(&self) -> bool {
        self.covers.iter().all(|covers| covers.first <= covers.last)
            && self.covers.is_sorted_by(|one, next| (one.run, one.last) < (next.run, next.first))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013}-", self.made)?;
        for (number, Covers { run, first, last }) in self.covers.iter().enumerate() {
            if number > 0 {
                f.write_char('_')?;
            }
            write!(f, "{run:016x}-{first}")?;
            if first < last {
                write!(f, ".{last}")?;
            }
        }
        write!(f, "-{}.parquet", self.records)
    }
}

/// A text that is no name which the archive gives.
#[derive(Debug)]
pub(crate) struct Foreign;

impl FromStr for Name {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let covers = |text: &str| {
            let (run, numbers) = text.split_once('-')?;
            let (first, last) = numbers.split_once('.').unwrap_or((numbers, numbers));
            let run = u64::from_str_radix(run, 16).ok()?;
            Some(Covers { run, first: first.parse().ok()?, last: last.parse().ok()? })
        };
        let parse = || {
            let (made, rest) = text.strip_suffix(".parquet")?.split_once('-')?;
            let (all, records) = rest.rsplit_once('-')?;
            let covers = all.split('_').map(covers).collect::<Option<Vec<_>>>()?;
            Some(Self { made: made.parse().ok()?, covers, records: records.parse().ok()? })
        };
        // Numbers can be written in several ways, of which the archive uses one.
        parse().filter(|name| name.is_in_order() && name.to_string() == text).ok_or(Foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(made: u64, covers: &[(u64, u64, u64)], records: u64) -> Name {
        let covers = covers.iter().map(|&(run, first, last)| Covers { run, first, last }).collect();
        Name { made, covers, records }
    }

    #[test]
    fn names_come_back() {
        for (name, text) in [
            (name(1, &[(2, 3, 3)], 7), "0000000000001-0000000000000002-3-7.parquet"),
            (name(1, &[(2, 3, 9)], 7), "0000000000001-0000000000000002-3.9-7.parquet"),
            (
                name(1, &[(2, 3, 9), (u64::MAX, 0, 0)], 7),
                "0000000000001-0000000000000002-3.9_ffffffffffffffff-0-7.parquet",
            ),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse::<Name>().unwrap(), name);
        }
        assert!("0000000000001-0000000000000002-3.3-7.parquet".parse::<Name>().is_err());
        assert!("0000000000001-0000000000000002-3_-7.parquet".parse::<Name>().is_err());
    }

    #[test]
    fn a_merged_file_supersedes_those_that_it_was_made_from_and_no_other() {
        let merged = name(5, &[(1, 3, 9), (2, 4, 4)], 70);
        for inside in [&[(1, 3, 3)][..], &[(1, 9, 9)], &[(2, 4, 4)], &[(1, 4, 6), (2, 4, 4)]] {
            assert!(merged.supersedes(&name(9, inside, 1)), "{inside:?}");
            assert!(!name(9, inside, 1).supersedes(&merged), "{inside:?}");
        }
        for outside in [&[(1, 2, 2)][..], &[(1, 10, 10)], &[(2, 3, 3)], &[(1, 3, 3), (3, 1, 1)]] {
            assert!(!merged.supersedes(&name(9, outside, 1)), "{outside:?}");
        }
        assert!(!merged.supersedes(&merged));
    }

    #[test]
    fn of_two_merged_files_that_have_the_same_one_counts() {
        let (one, other) = (name(5, &[(1, 3, 9)], 70), name(6, &[(1, 3, 9)], 70));
        assert!(other.supersedes(&one) && !one.supersedes(&other));
    }

    #[test]
    fn names_whose_batches_are_not_in_order_are_those_of_others() {
        let (one, two) = ("0000000000000002-0.3", "0000000000000003-0.3");
        let name = |covers: &str| format!("0000000000001-{covers}-7.parquet").parse::<Name>();
        assert!(name(&format!("{one}_{two}")).is_ok());
        assert!(name(&format!("{two}_{one}")).is_err());
        assert!(name(&format!("{one}_0000000000000002-3.4")).is_err());
    }

    #[test]
    fn the_longest_name_fits_a_disk() {
        let mut many: Vec<_> = (0..6).map(|run| (u64::MAX - run, 1_000_000, 1_000_001)).collect();
        many.reverse();
        assert!(name(u64::from(u32::MAX) << 9, &many[1..], 99_999_999).fits());
        let long: Vec<_> = (0..9).map(|run| (u64::MAX - 9 + run, u64::MAX - 1, u64::MAX)).collect();
        assert!(!name(5, &long, 7).fits());
        assert!(!name(5, &[(1, 3, 4), (1, 4, 5)], 7).fits());
    }
}
