//! What an earlier run has left in the log.

use super::frame::{self, Frame, Step};
use super::{ASIDE, DIGITS, SEGMENT, Segment};
use crate::batch::{Batch, Records};
use crate::name::{BatchId, FileId};
use crate::table::Table;
use bytes::Bytes;
use slipring::otlp::{Encoding, Kind, Reader};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How often a segment that cannot be read is tried again. Not measured.
const MOST_FAILURES: u32 = 16;

/// A batch whose records are in the log, and perhaps in a file.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) file: FileId,
    pub(crate) records: u64,
    /// The segments that have its records, with where its frames begin there: 8 bytes a frame, which
    /// has 46 at least.
    frames: Vec<(PathBuf, Vec<u64>)>,
    /// How often a segment could not be read.
    failures: u32,
}

/// What is in the log when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The batches that are not done, in the order of their first records.
    pub(crate) pending: VecDeque<Pending>,
    /// Bytes at the ends of what runs wrote last: a crash leaves such.
    pub(crate) torn_bytes: u64,
    /// Bytes elsewhere that are not as they were written.
    pub(crate) damaged_bytes: u64,
}

/// Whose a file is that has a name as segments have.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The log's, written by this run. One that is shorter than its beginning has none.
    Log(Option<u64>),
    /// Somebody else's, or its beginning is damaged or cannot be read: it stays as it is.
    Other,
}

/// Returns the paths with such an ending that the log gives, with their numbers, the oldest first.
fn named(folder: &Path, ending: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_number = stem.len() == DIGITS && stem.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && path.extension().is_some_and(|end| end == ending) {
            found.push((stem.parse().unwrap_or_default(), path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Returns whose a file is, by what it begins with.
///
/// # Errors
/// If it was written by another version of the log.
fn owner(path: &Path) -> io::Result<Owner> {
    let mut begin = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(frame::BEGIN as u64).read_to_end(&mut begin));
    if read.is_err() {
        return Ok(Owner::Other);
    }
    if let Some(version) = frame::other_version(&begin) {
        let path = path.display();
        return Err(io::Error::other(format!(
            "{path} is of version {version} of the log, and this program has version {}; let the \
             program that wrote it write what is in it, or give another folder",
            frame::VERSION
        )));
    }
    Ok(match frame::run_of(&begin) {
        Some(run) => Owner::Log(Some(run)),
        None if begin.len() < frame::BEGIN && frame::is_beginning(&begin) => Owner::Log(None),
        None => Owner::Other,
    })
}

/// Returns the paths of the segments that were set aside, the oldest first.
pub(super) fn aside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let named = named(folder, ASIDE)?.into_iter().map(|(_, path)| path);
    Ok(named.filter(|path| matches!(owner(path), Ok(Owner::Log(_)))).collect())
}

/// Reads the log of a folder. Returns its segments, what is in them, and the number of the next.
pub(super) fn scan(folder: &Path) -> io::Result<(VecDeque<Segment>, Replayed, u64)> {
    let paths = named(folder, SEGMENT)?;
    let next = paths.last().map_or(1, |(number, _)| number + 1);
    let mut replayed = Replayed::default();
    let (mut runs, mut own) = (Vec::new(), Vec::new());
    for (_, path) in paths {
        match owner(&path)? {
            Owner::Log(run) => {
                runs.push(run);
                own.push(path);
            }
            // It may have been a segment, so that its records are lost.
            Owner::Other => replayed.damaged_bytes += bytes_of(&path),
        }
    }
    let mut pending: HashMap<BatchId, Pending> = HashMap::new();
    let mut order = Vec::new();
    let mut done = HashSet::new();
    let mut found = VecDeque::new();
    for (number, path) in own.into_iter().enumerate() {
        // A segment that is shorter than its beginning has no run: a crash came while it was begun.
        let is_last = runs[number].is_none() || !runs[number + 1..].contains(&runs[number]);
        let Ok(bytes) = std::fs::read(&path) else {
            let bytes = bytes_of(&path);
            replayed.damaged_bytes += bytes;
            let pending = HashSet::new();
            found.push_back(Segment { path, bytes, pending, is_damaged: true });
            continue;
        };
        let mut segment =
            Segment { path, bytes: bytes.len() as u64, pending: HashSet::new(), is_damaged: false };
        let mut at = if runs[number].is_some() { frame::BEGIN } else { 0 };
        loop {
            let begin = at as u64;
            let Some(step) = next_step(&bytes, &mut at, runs[number].is_some()) else { break };
            match step {
                Step::Frame(Frame::Records { file, records, .. }) => {
                    segment.pending.insert(file.batch);
                    let batch = pending.entry(file.batch).or_insert_with(|| {
                        order.push(file.batch);
                        Pending { file, records: 0, frames: Vec::new(), failures: 0 }
                    });
                    batch.records += u64::from(records);
                    match batch.frames.last_mut().filter(|(path, _)| *path == segment.path) {
                        Some((_, frames)) => frames.push(begin),
                        None => batch.frames.push((segment.path.clone(), vec![begin])),
                    }
                }
                Step::Frame(Frame::Done(batch)) => {
                    done.insert(batch);
                }
                Step::Torn(bytes) if is_last => replayed.torn_bytes += bytes as u64,
                Step::Torn(bytes) | Step::Damaged(bytes) => {
                    replayed.damaged_bytes += bytes as u64;
                    segment.is_damaged = true;
                }
            }
        }
        found.push_back(segment);
    }
    for segment in &mut found {
        segment.pending.retain(|batch| !done.contains(batch));
    }
    let left = order.into_iter().filter(|batch| !done.contains(batch));
    replayed.pending = left.filter_map(|batch| pending.remove(&batch)).collect();
    Ok((found, replayed, next))
}

/// Returns the bytes of a file, as far as is known.
fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 })
}

/// Reads on in a segment. One that is shorter than the beginning of segments is torn.
fn next_step(bytes: &[u8], at: &mut usize, has_begun: bool) -> Option<Step> {
    if has_begun {
        return frame::next(bytes, at);
    }
    let left = bytes.len() - std::mem::replace(at, bytes.len());
    (left > 0).then_some(Step::Torn(left))
}

/// Reads frames of a segment that begin at these places, and passes each on. One that is not there any
/// more, or is damaged since, is passed over.
fn read_frames(path: &Path, begins: &[u64], mut take: impl FnMut(&[u8], Frame)) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut segment = std::fs::File::open(path)?;
    for begin in begins {
        segment.seek(SeekFrom::Start(*begin))?;
        let mut head = [0; frame::HEAD];
        match segment.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let rest = (frame::length(head) - frame::HEAD) as u64;
        bytes.clear();
        bytes.extend(head);
        // A length that is damaged since may be larger than what is there.
        segment.by_ref().take(rest).read_to_end(&mut bytes)?;
        #[cfg(test)]
        tests::READ.with(|read| read.set(read.get() + bytes.len() as u64));
        if let Some(frame) = frame::alone(&bytes) {
            take(&bytes, frame);
        }
    }
    Ok(())
}

impl Pending {
    /// Reads the records of the batch, and no other frames. Memory: a frame, and the batch. Of
    /// `self.records`, those that are not there could not be read. Returns also the segments that were
    /// passed over, since they are gone or could not be read many times.
    ///
    /// # Errors
    /// If a segment cannot be read, and may be later.
    pub(crate) fn read(&mut self) -> io::Result<(Batch, Vec<PathBuf>)> {
        let table = self.file.partition.table;
        let mut records = Records::none(table);
        let reader = Reader::default().in_place();
        let kind = match table {
            Table::Traces => Kind::Traces,
            Table::Logs => Kind::Logs,
            _ => Kind::Metrics,
        };
        let mut unread = Vec::new();
        for (path, begins) in &self.frames {
            let read = read_frames(path, begins, |bytes, frame| {
                let Frame::Records { file, request, .. } = frame else { return };
                if file.batch == self.file.batch {
                    let request = Bytes::copy_from_slice(&bytes[request]);
                    // What cannot be read is missing from the batch, which its caller counts.
                    let _ =
                        reader.read(kind, Encoding::Protobuf, request, |part| records.extend(part));
                }
            });
            match read {
                Ok(()) => {}
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        || self.failures >= MOST_FAILURES =>
                {
                    unread.push(path.clone());
                }
                Err(error) => {
                    self.failures += 1;
                    return Err(error);
                }
            }
        }
        Ok((Batch::recovered(self.file, records), unread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batches, Sorted};
    use crate::log::{Log, LogSettings};
    use crate::queue::Record;
    use slipring::{LogRecord, Span};
    use std::cell::Cell;

    thread_local! {
        /// Bytes of frames that this thread has read.
        pub(super) static READ: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn each_frame_is_read_once_whatever_is_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings::new(folder.path());
        let (mut log, _) = Log::open(&settings, 9).unwrap();
        let mut batches = Batches::new(9);
        // Batches of two tables and twenty hours, which share the segment frame by frame.
        for round in 0..10_u64 {
            let mut sorted = Sorted::default();
            for hour in 1..=20 {
                let at = hour * 3_600_000_000_000 + round;
                let span = Span::builder().trace_id(7).span_id(8).start_unix_nanos(at);
                sorted.add(Record::Span(span.name("a").build()));
                let body = LogRecord::builder().time_unix_nanos(at).body("b");
                sorted.add(Record::Log(body.build()));
            }
            for one in batches.add(sorted, 100, true) {
                log.append(&one).unwrap();
            }
        }
        let bytes = log.bytes();
        drop(log);
        let (log, mut replayed) = Log::open(&settings, 10).unwrap();
        assert_eq!((log.segments(), replayed.pending.len()), (1, 40));
        for pending in &mut replayed.pending {
            let (batch, unread) = pending.read().unwrap();
            assert_eq!((batch.len(), unread.len()), (10, 0));
        }
        assert_eq!(READ.with(Cell::get), bytes - frame::BEGIN as u64);
    }
}
