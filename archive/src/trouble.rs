//! Telling of runs of failures: when one begins, and when it is over.

use std::fmt::Display;

/// What may fail again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Make,
    Write,
    Replay,
    Log,
    Sync,
    Delete,
    Merge,
}

/// Which work fails at the moment, and how often it has.
#[derive(Debug, Default)]
pub(crate) struct Trouble([u64; Work::Merge as usize + 1]);

impl Work {
    fn fails(self) -> &'static str {
        match self {
            Self::Make => "a file of the history cannot be made, and its records are lost",
            Self::Write => "files of the history cannot be written, and are tried again",
            Self::Replay => "what an earlier start left in the log cannot be written",
            Self::Log => "the log of the history cannot be written",
            Self::Sync => "the log of the history cannot be synced, and is tried again",
            Self::Delete => "old files of the history cannot be deleted, and are tried again",
            Self::Merge => "small files of the history cannot be merged, and are tried again",
        }
    }

    fn succeeds(self) -> &'static str {
        match self {
            Self::Make => "files of the history are made again",
            Self::Write => "files of the history are written again",
            Self::Replay => "what an earlier start left in the log is written again",
            Self::Log => "the log of the history is written again",
            Self::Sync => "the log of the history is synced again",
            Self::Delete => "old files of the history are deleted again",
            Self::Merge => "small files of the history are merged again",
        }
    }
}

impl Trouble {
    /// Counts a failure, and returns what to tell if it is the first of a run.
    fn failed(&mut self, work: Work, error: &dyn Display) -> Option<String> {
        let failures = &mut self.0[work as usize];
        *failures += 1;
        (*failures == 1).then(|| format!("{}: {error}", work.fails()))
    }

    /// Ends a run of failures, and returns what to tell if there was one.
    fn succeeded(&mut self, work: Work) -> Option<String> {
        let failures = std::mem::take(&mut self.0[work as usize]);
        (failures > 0).then(|| format!("{}, after {failures} failures", work.succeeds()))
    }

    /// Counts a failure. The first of a run is told.
    pub(crate) fn tell(&mut self, work: Work, error: &dyn Display) {
        if let Some(told) = self.failed(work, error) {
            tracing::warn!("{told}");
        }
    }

    /// Ends a run of failures, which is told.
    pub(crate) fn is_over(&mut self, work: Work) {
        if let Some(told) = self.succeeded(work) {
            tracing::info!("{told}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_of_a_run_is_told_and_its_end() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.succeeded(Work::Write), None);
        let told = trouble.failed(Work::Write, &"no room").unwrap();
        assert_eq!(told, "files of the history cannot be written, and are tried again: no room");
        assert_eq!(trouble.failed(Work::Write, &"no room"), None);
        assert!(trouble.failed(Work::Delete, &"no room").is_some(), "each work has its own");
        let told = trouble.succeeded(Work::Write).unwrap();
        assert_eq!(told, "files of the history are written again, after 2 failures");
        assert_eq!(trouble.succeeded(Work::Write), None);
    }
}
