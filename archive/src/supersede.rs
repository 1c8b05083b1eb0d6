//! Which files are in others, by their names: those that were merged and not deleted yet, and those of
//! which a part was in the log, while the whole came to its place late.

use crate::name::{Covers, Name};
use std::collections::HashMap;

/// The ranges of batches of one run in one folder, by their first.
#[derive(Default)]
struct Ranges {
    /// The first and the last batch of each, and which file has it.
    all: Vec<(u64, u64, usize)>,
    /// The largest last batch of all ranges up to here.
    furthest: Vec<u64>,
}

impl Ranges {
    fn sort(&mut self) {
        self.all.sort_unstable();
        let mut furthest = 0;
        let up_to = |&(_, last, _): &(u64, u64, usize)| {
            furthest = last.max(furthest);
            furthest
        };
        self.furthest = self.all.iter().map(up_to).collect();
    }

    /// Returns the files that have a range. O(log ranges + those found), as few ranges overlap.
    fn having(&self, first: u64, last: u64) -> impl Iterator<Item = usize> {
        let end = self.all.partition_point(|(other, ..)| *other <= first);
        let all = self.all[..end].iter().zip(&self.furthest[..end]).rev();
        let near = all.take_while(move |(_, furthest)| **furthest >= last);
        near.filter(move |((_, other, _), _)| *other >= last).map(|((.., file), _)| *file)
    }
}

/// Returns which of these files of a table, by hour and name, are in others of their hour. A file that has fewer records than those that
/// it would stand for does not stand for them: something is wrong with it.
pub(crate) fn superseded(files: &[(u64, &Name)]) -> Vec<bool> {
    let mut ranges: HashMap<(u64, u64), Ranges> = HashMap::new();
    for (number, (hour, name)) in files.iter().enumerate() {
        for Covers { run, first, last } in &name.covers {
            ranges.entry((*hour, *run)).or_default().all.push((*first, *last, number));
        }
    }
    ranges.values_mut().for_each(Ranges::sort);
    // Of each file, those that may stand for it, and those that it may stand for.
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); files.len()];
    let mut below = above.clone();
    for (number, (hour, name)) in files.iter().enumerate() {
        let Some(Covers { run, first, last }) = name.covers.first() else { continue };
        let Some(ranges) = ranges.get(&(*hour, *run)) else { continue };
        for other in ranges.having(*first, *last) {
            if files[other].1.supersedes(name) {
                above[number].push(other);
                below[other].push(number);
            }
        }
    }
    let mut stands: Vec<bool> = vec![false; files.len()];
    let mut order: Vec<usize> = (0..files.len()).filter(|file| !below[*file].is_empty()).collect();
    order.sort_by_cached_key(|file| files[*file].1.rank());
    for file in order {
        // Those that are in others that are in this one count once.
        let is_direct =
            |one: &&usize| !above[**one].iter().any(|it| stands[*it] && below[file].contains(it));
        let records = below[file].iter().filter(is_direct).map(|one| files[*one].1.records);
        stands[file] = records.fold(0, u64::saturating_add) <= files[file].1.records;
    }
    above.iter().map(|above| above.iter().any(|other| stands[*other])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_superseded(files: &[(u64, &str)]) -> Vec<bool> {
        let names: Vec<(u64, Name)> = files
            .iter()
            .map(|(hour, text)| {
                let text = format!("0000000000001-{text}.parquet");
                (*hour, text.parse().expect("a name"))
            })
            .collect();
        superseded(&names.iter().map(|(hour, name)| (*hour, name)).collect::<Vec<_>>())
    }

    #[test]
    fn files_in_a_merged_one_count_once_and_those_of_other_folders_count() {
        let (one, two, both) =
            ("000000000000000a-1-10", "000000000000000a-2-10", "000000000000000a-1.2-20");
        let all = "000000000000000a-1.2_000000000000000b-7-25";
        assert_eq!(is_superseded(&[(1, one), (1, both), (1, two)]), [true, false, true]);
        assert_eq!(is_superseded(&[(1, one), (2, both), (1, two)]), [false; 3]);
        let chain = [(1, one), (1, two), (1, both), (1, all), (1, "000000000000000b-7-5")];
        assert_eq!(is_superseded(&chain), [true, true, true, false, true]);
    }

    #[test]
    fn of_a_batch_that_is_there_twice_the_file_with_more_records_counts() {
        let (part, whole) = ("000000000000000a-1-10", "000000000000000a-1-30");
        assert_eq!(is_superseded(&[(1, part), (1, whole)]), [true, false]);
        assert_eq!(is_superseded(&[(1, whole), (1, part)]), [false, true]);
    }

    #[test]
    fn a_file_with_fewer_records_than_others_does_not_stand_for_them() {
        let (one, two) = ("000000000000000a-1-10", "000000000000000a-2-10");
        let odd = "000000000000000a-0.18446744073709551615-19";
        assert_eq!(is_superseded(&[(1, one), (1, two), (1, odd)]), [false; 3]);
        // Nor does it keep a whole one from it.
        let all = "000000000000000a-1.2-20";
        assert_eq!(
            is_superseded(&[(1, one), (1, odd), (1, two), (1, all)]),
            [true, false, true, false]
        );
        let most = "000000000000000a-3-18446744073709551615";
        assert_eq!(is_superseded(&[(1, one), (1, most), (1, odd)]), [false; 3]);
    }
}
