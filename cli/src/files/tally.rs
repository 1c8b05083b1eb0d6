//! What was read of files: records stored and rejected, and what was damaged.

use crate::report::{FileReport, Problem, Replayed};
use slipring::otlp::Rejected;
use std::path::PathBuf;
use std::time::Duration;

/// Number of problems that are reported one by one.
const TOLD: usize = 20;

/// What one worker thread has stored and rejected, per file.
#[derive(Default)]
pub struct Tally {
    files: Vec<FileReport>,
    rejected: Rejected,
    problems: Vec<Problem>,
    /// Number of all problems, including those not in `problems`.
    troubled: u64,
}

impl Tally {
    pub fn new(files: &[PathBuf]) -> Self {
        Self { files: files.iter().map(FileReport::of).collect(), ..Self::default() }
    }

    /// Counts a line or message that could not be read.
    pub fn damaged(&mut self, file: usize, number: u64, what: String) {
        self.files[file].damaged += 1;
        self.tell(file, number, what);
    }

    /// Counts a request's records: how many of each signal were read, how many of these were not
    /// kept, and all that were rejected.
    pub fn taken(
        &mut self,
        file: usize,
        number: u64,
        [spans, logs, points]: [u64; 3],
        not_kept: u64,
        rejected: &Rejected,
    ) {
        let counts = &mut self.files[file];
        counts.spans += spans;
        counts.log_records += logs;
        counts.metric_points += points;
        counts.not_kept += not_kept;
        if !rejected.is_empty() {
            counts.rejected += rejected.records();
            self.rejected.merge(rejected);
            self.tell(file, number, rejected.to_string());
        }
    }

    fn tell(&mut self, file: usize, number: u64, what: String) {
        self.troubled += 1;
        let file = &self.files[file].file;
        // Repeated problems of a file are counted with their first occurrence.
        if let Some(known) =
            self.problems.iter_mut().find(|known| known.what == what && known.file == *file)
        {
            known.again += 1;
            known.line = known.line.min(number);
        } else if self.problems.len() < TOLD {
            self.problems.push(Problem { file: file.clone(), line: number, what, again: 0 });
        }
    }

    pub fn add(&mut self, other: Self) {
        self.files.iter_mut().zip(other.files).for_each(|(file, other)| file.add(&other));
        self.rejected.merge(&other.rejected);
        self.troubled += other.troubled;
        for problem in other.problems {
            let alike =
                |known: &&mut Problem| known.what == problem.what && known.file == problem.file;
            match self.problems.iter_mut().find(alike) {
                Some(known) => {
                    known.again += 1 + problem.again;
                    known.line = known.line.min(problem.line);
                }
                None => self.problems.push(problem),
            }
        }
        self.problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        self.problems.truncate(TOLD);
    }

    pub fn into_report(self, took: Duration, interrupted: bool) -> Replayed {
        let told: u64 = self.problems.iter().map(|problem| 1 + problem.again).sum();
        let untold = self.troubled - told;
        let mut replayed = Replayed::new(self.files, &self.rejected, self.problems, untold, took);
        replayed.interrupted = interrupted;
        replayed
    }
}
