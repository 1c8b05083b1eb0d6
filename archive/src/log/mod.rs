//! The log of what waits for its file, on a disk of this machine, so that it survives the process.
//!
//! Records are appended when they are taken from the queue, batch by batch, and each batch is marked as
//! done when its file is there or its records were counted as lost. A start reads what has no mark.
//!
//! - Nothing beside the segments says what is in them: no file of positions can disagree with them.
//! - Segments are deleted in order, as a mark may be in a later segment than what it is about.
//! - A crash between a file and its mark does no harm, as the file's name has the batch's number.
//! - A damaged segment gives what is whole in it, and is set aside.

mod frame;
mod replay;
mod settings;

pub(crate) use replay::{Pending, Replayed};
pub use settings::{LogSettings, LogSync};

use crate::batch::Logged;
use crate::name::BatchId;
use frame::BEGIN;
use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the names of segments end with, and of those that were damaged.
const SEGMENT: &str = "log";
const ASIDE: &str = "damaged";

/// The digits of their names.
const DIGITS: usize = 16;
const MOST_NUMBER: u64 = 10_u64.pow(DIGITS as u32) - 1;

/// How many names that others have taken are passed over at a time. Not measured.
const MOST_TAKEN: u64 = 1_024;

/// How many damaged segments stay. Not measured.
const MOST_ASIDE: usize = 8;

/// Bytes beyond which the buffer of a frame is given back. Not measured.
const BUFFER: usize = 4 << 20;

/// A file of the log.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: u64,
    /// The batches that have records in it and are not done.
    pending: HashSet<BatchId>,
    is_damaged: bool,
}

/// The log, as one thread at a time writes it.
pub(crate) struct Log {
    settings: LogSettings,
    run: u64,
    next: u64,
    /// The oldest first. The last is that of `open`, if there is one.
    segments: VecDeque<Segment>,
    open: Option<Arc<File>>,
    bytes: u64,
    frame: Vec<u8>,
    aside: u64,
    /// Batches that are done, and whose marks could not be written yet.
    unmarked: Vec<BatchId>,
    /// Held while the log is: no other process writes there.
    _lock: File,
}

/// Why records are not in the log.
#[derive(Debug)]
pub(crate) enum NotLogged {
    /// The log has as many bytes as it may.
    Full,
    Failed(io::Error),
}

impl From<io::Error> for NotLogged {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Log {
    /// Opens the log of a folder, and returns the batches in it that are not done.
    pub(crate) fn open(settings: &LogSettings, run: u64) -> io::Result<(Self, Replayed)> {
        std::fs::create_dir_all(&settings.folder)?;
        let lock = lock(&settings.folder)?;
        let (segments, replayed, next) = replay::scan(&settings.folder)?;
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        let aside = replay::aside(&settings.folder)?.len() as u64;
        let mut log = Self {
            settings: settings.clone(),
            run,
            next,
            segments,
            open: None,
            bytes,
            frame: Vec::new(),
            aside,
            unmarked: Vec::new(),
            _lock: lock,
        };
        log.remove_done()?;
        Ok((log, replayed))
    }

    /// Returns the bytes of all segments that are not set aside.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn segments(&self) -> u64 {
        self.segments.len() as u64
    }

    /// Returns how many damaged segments stay beside the log.
    pub(crate) fn set_aside(&self) -> u64 {
        self.aside
    }

    /// Returns the file that is being written, if there is one.
    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        self.open.as_ref()
    }

    /// Appends records. They survive the process at once, and the machine once the file is synced.
    pub(crate) fn append(&mut self, records: &Logged) -> Result<(), NotLogged> {
        let request = records.request();
        let mut frame = std::mem::take(&mut self.frame);
        let written = frame::write_records(&mut frame, &records.file, records.len(), &request);
        let appended = match written {
            Some(()) if self.bytes + frame.len() as u64 > self.settings.bytes => {
                Err(NotLogged::Full)
            }
            Some(()) => self.write(&frame).map_err(NotLogged::Failed),
            None => {
                let error = "its records are too many, or too large, for one frame";
                Err(NotLogged::Failed(io::Error::other(error)))
            }
        };
        self.put_back(frame);
        appended?;
        if let Some(segment) = self.segments.back_mut() {
            segment.pending.insert(records.file.batch);
        }
        Ok(())
    }

    /// Marks batches as done, and deletes the segments that nothing needs any more. Marks that cannot be
    /// written are written by a later call: without them, the next start finds the batches' files.
    pub(crate) fn done(&mut self, batches: &[BatchId]) -> io::Result<()> {
        for batch in batches {
            let mut was_pending = false;
            for segment in &mut self.segments {
                was_pending |= segment.pending.remove(batch);
            }
            if was_pending {
                self.unmarked.push(*batch);
            }
        }
        let marked = self.mark();
        let removed = self.remove_done();
        if self.segments.is_empty() {
            // Nothing is left that they are about.
            self.unmarked.clear();
        }
        marked.and(removed)
    }

    /// Returns whether marks could not be written yet.
    pub(crate) fn has_unmarked(&self) -> bool {
        !self.unmarked.is_empty()
    }

    fn mark(&mut self) -> io::Result<()> {
        while let Some(batch) = self.unmarked.last() {
            let mut frame = std::mem::take(&mut self.frame);
            frame::write_done(&mut frame, *batch);
            // Beyond the limit of bytes, too: marks are what makes room.
            let written = self.write(&frame);
            self.put_back(frame);
            written?;
            self.unmarked.pop();
        }
        Ok(())
    }

    /// Has these segments set aside when they would be deleted: they could not be read.
    pub(crate) fn are_damaged(&mut self, paths: &[PathBuf]) {
        for segment in &mut self.segments {
            segment.is_damaged |= paths.contains(&segment.path);
        }
    }

    fn put_back(&mut self, frame: Vec<u8>) {
        if frame.capacity() <= BUFFER {
            self.frame = frame;
        }
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let is_full = |segment: &Segment| segment.bytes >= self.settings.segment_bytes;
        if self.open.is_some() && self.segments.back().is_some_and(is_full) {
            self.roll();
        }
        let file = match &self.open {
            Some(file) => Arc::clone(file),
            None => self.begin()?,
        };
        let Some(segment) = self.segments.back_mut() else { return Err(gone()) };
        match (&*file).write_all(frame) {
            Ok(()) => {
                segment.bytes += frame.len() as u64;
                self.bytes += frame.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a frame would hide those after it.
                if file.set_len(segment.bytes).is_err() {
                    self.roll();
                }
                Err(error)
            }
        }
    }

    /// Creates the file of a segment. A name that something has taken is passed over.
    fn create(&mut self) -> io::Result<(PathBuf, File)> {
        for _ in 0..MOST_TAKEN {
            if self.next > MOST_NUMBER {
                break;
            }
            let path = self.settings.folder.join(format!("{:0DIGITS$}.{SEGMENT}", self.next));
            match File::options().append(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.next += 1,
                Err(error) => return Err(error),
                Ok(file) => {
                    self.next += 1;
                    return Ok((path, file));
                }
            }
        }
        Err(io::Error::other(
            "other files have the names of the log's next ones; give it a folder of its own",
        ))
    }

    /// Begins a segment.
    fn begin(&mut self) -> io::Result<Arc<File>> {
        let (path, mut file) = self.create()?;
        let begun = file.write_all(&frame::begin(self.run)).and_then(|()| {
            // The segment's name has to survive the machine, too.
            sync_folder(&self.settings.folder)
        });
        if let Err(error) = begun {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let file = Arc::new(file);
        self.open = Some(Arc::clone(&file));
        self.bytes += BEGIN as u64;
        let pending = HashSet::new();
        self.segments.push_back(Segment { path, bytes: BEGIN as u64, pending, is_damaged: false });
        Ok(file)
    }

    /// Ends the segment that is being written. The next record begins another.
    pub(crate) fn roll(&mut self) {
        self.open = None;
    }

    /// Deletes the oldest segments, as long as all their batches are done.
    fn remove_done(&mut self) -> io::Result<()> {
        loop {
            let is_open = self.open.is_some() && self.segments.len() == 1;
            let front = self.segments.front().filter(|front| !is_open && front.pending.is_empty());
            let Some(front) = front else { return Ok(()) };
            let (path, bytes, is_damaged) = (front.path.clone(), front.bytes, front.is_damaged);
            let removed = match is_damaged {
                true => self.put_aside(&path),
                false => std::fs::remove_file(&path),
            };
            match removed {
                // It is gone already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            // Only now: a segment that stays counts, and keeps those after it, which may have its
            // marks.
            self.segments.pop_front();
            self.bytes -= bytes;
        }
    }

    /// Renames a damaged segment, so that it is looked at no more, and deletes the oldest of those if
    /// they are many.
    fn put_aside(&mut self, path: &Path) -> io::Result<()> {
        std::fs::rename(path, path.with_extension(ASIDE))?;
        let all = replay::aside(&self.settings.folder)?;
        for path in &all[..all.len().saturating_sub(MOST_ASIDE)] {
            std::fs::remove_file(path)?;
        }
        self.aside = all.len().min(MOST_ASIDE) as u64;
        Ok(())
    }

    /// Ends the segment that is being written, and deletes all if all is done.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.roll();
        self.remove_done()
    }
}

fn gone() -> io::Error {
    io::Error::other("the log has no segment")
}

/// Takes the lock of a folder, or says why not. Systems other than Unix have no lock.
fn lock(folder: &Path) -> io::Result<File> {
    let file =
        File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    // As `File::try_lock` of the standard library does from Rust 1.89 on.
    #[cfg(unix)]
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |error| match error {
            rustix::io::Errno::WOULDBLOCK => io::Error::other(
                "another process writes a log there; give each a folder of its own",
            ),
            error => error.into(),
        },
    )?;
    Ok(file)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
