//! The history's files, as far as the program was built for them.

#![cfg_attr(
    not(feature = "archive"),
    allow(dead_code, reason = "nobody reads where there are no files")
)]

use super::first::{TIERS, Tier};
use crate::answer::{self, Time};
use crate::serve::api::problem::Problem;
use crate::serve::app::App;
use crate::serve::ask::Asking;
use slipring::TraceId;
use std::ops::{ControlFlow, RangeInclusive};

/// What is looked for: conditions by which files and rows are passed over. Records that are found
/// still have to be tested.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    pub times: Option<RangeInclusive<u64>>,
    pub traces: Option<Vec<TraceId>>,
    pub services: Option<Vec<String>>,
    pub earliest_first: bool,
}

/// Takes records of files.
pub trait Visit<T> {
    /// Says whether records of these times may still be of use.
    fn wants(&self, times: RangeInclusive<u64>) -> bool {
        let _ = times;
        true
    }

    /// Takes a record, or says that there is no room for more.
    fn take(&mut self, record: T) -> ControlFlow<()>;
}

/// What was read, and what could not be.
#[derive(Clone, Debug, Default)]
pub struct Read {
    pub read: answer::FilesRead,
    /// Records that were on their way to a file when the files were listed, or a little before.
    pub waiting: u64,
    /// Records that had left the stores by then, and are in no file.
    pub lost: u64,
    /// Whether all files were read that may have what is looked for.
    pub complete: bool,
}

impl Read {
    /// Returns whether all that has left the stores was looked at, so that nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.complete && self.waiting == 0 && self.lost == 0
    }

    /// Adds another look at files, which may be the same ones: each look counts.
    pub fn and(self, other: Self) -> Self {
        let (one, more) = (self.read, other.read);
        let read = answer::FilesRead {
            files_listed: one.files_listed + more.files_listed,
            files: one.files + more.files,
            files_opened: one.files_opened + more.files_opened,
            row_groups: one.row_groups + more.row_groups,
            row_groups_read: one.row_groups_read + more.row_groups_read,
            bytes_read: one.bytes_read + more.bytes_read,
            requests: one.requests + more.requests,
            unreadable: one.unreadable + more.unreadable,
            gone: one.gone + more.gone,
            failed: one.failed + more.failed,
            last_error: more.last_error.or(one.last_error),
            cut: one.cut.or(more.cut),
        };
        Self {
            read,
            waiting: self.waiting.max(other.waiting),
            lost: self.lost.max(other.lost),
            complete: self.complete && other.complete,
        }
    }

    /// Says how far an answer reaches, and how many of its records come from each tier.
    pub fn reach(self, held_since: Option<u64>, from: [u64; TIERS]) -> answer::Reach {
        answer::Reach {
            asked: true,
            memory_since: Time(held_since.unwrap_or(0)),
            from_memory: from[Tier::Memory as usize],
            from_kept: from[Tier::Kept as usize],
            from_files: from[Tier::Files as usize],
            read: self.read,
            waiting: self.waiting,
            lost: self.lost,
            each_once: true,
            complete: self.complete,
            ..answer::Reach::default()
        }
    }
}

/// The history's files.
#[cfg(feature = "archive")]
#[derive(Clone, Copy)]
pub struct Files<'a>(&'a slipring_archive::Archive);

/// There are no files in a program without them.
#[cfg(not(feature = "archive"))]
#[derive(Clone, Copy)]
pub enum Files<'a> {
    None(std::convert::Infallible, std::marker::PhantomData<&'a ()>),
}

/// Records that files hold, if the program has any.
#[cfg(feature = "archive")]
pub trait InFiles: slipring_archive::Filed {}
#[cfg(feature = "archive")]
impl<T: slipring_archive::Filed> InFiles for T {}

/// Records that files hold, if the program has any.
#[cfg(not(feature = "archive"))]
pub trait InFiles {}
#[cfg(not(feature = "archive"))]
impl<T> InFiles for T {}

/// Says why there are no files, and what to do about it.
#[cfg(feature = "archive")]
pub const NO_FILES: &str = "there are no files; start the program with --history";
#[cfg(not(feature = "archive"))]
pub const NO_FILES: &str = "this program has no files; build it with the feature `archive`";

#[cfg(not(feature = "archive"))]
impl<'a> Files<'a> {
    /// Returns the files, of which there are none.
    pub fn of(_: &'a App) -> Option<Self> {
        None
    }

    pub fn visit<T: Asking>(self, _: &Sought, _: &mut dyn Visit<T>) -> Result<Read, Problem> {
        match self {
            Self::None(never, _) => match never {},
        }
    }
}

#[cfg(feature = "archive")]
impl<'a> Files<'a> {
    /// Returns the files, if there is a history.
    pub fn of(app: &'a App) -> Option<Self> {
        app.archive.as_ref().map(Self)
    }

    /// Passes records that may be those looked for to a visitor, one by one.
    pub fn visit<T: Asking>(
        self,
        sought: &Sought,
        visit: &mut dyn Visit<T>,
    ) -> Result<Read, Problem> {
        use slipring_archive::{Cut, Search, Visitor};
        struct Passing<'v, T>(&'v mut dyn Visit<T>);
        impl<T> Visitor<T> for Passing<'_, T> {
            fn wants(&self, times: RangeInclusive<u64>) -> bool {
                self.0.wants(times)
            }

            fn take(&mut self, record: T) -> ControlFlow<Cut> {
                match self.0.take(record) {
                    ControlFlow::Continue(()) => ControlFlow::Continue(()),
                    ControlFlow::Break(()) => ControlFlow::Break(Cut::Records),
                }
            }
        }
        let mut search = Search::new();
        if let Some(times) = &sought.times {
            search = search.between(times.clone());
        }
        if let Some(traces) = &sought.traces {
            search = search.traces(traces.iter().copied());
        }
        for service in sought.services.iter().flatten() {
            search = search.service(service);
        }
        if sought.earliest_first {
            search = search.earliest_first();
        }
        // Read before the files are listed: what ceases to wait later is in a file that may be missing
        // in the list.
        let stats = self.0.stats();
        let report = self.0.files().search(&search, &mut Passing(visit));
        let report = report.map_err(|error| Problem::Failed(error.to_string()))?;
        let read = answer::FilesRead {
            files_listed: report.files_listed,
            files: report.files,
            files_opened: report.files_opened,
            row_groups: report.row_groups,
            row_groups_read: report.row_groups_read,
            bytes_read: report.bytes_read,
            requests: report.requests,
            unreadable: report.unreadable,
            gone: report.gone,
            failed: report.failed,
            last_error: report.last_error,
            cut: report.cut.map(|cut| cut.to_string()),
        };
        let (waiting, lost) = (stats.held + stats.queued, stats.lost.total());
        Ok(Read { read, waiting, lost, complete: report.complete })
    }
}
