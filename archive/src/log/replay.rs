//! What an earlier run has left in the log.

use super::frame::{self, Frame, Step};
use super::{ASIDE, DIGITS, SEGMENT, Segment};
use crate::batch::{Batch, Records};
use crate::name::{BatchId, FileId};
use crate::table::Table;
use bytes::Bytes;
use slipring::otlp::{Encoding, Kind, Reader};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How often a segment that cannot be read is tried again. Not measured.
const MOST_FAILURES: u32 = 16;

/// A batch whose records are in the log, and perhaps in a file.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) file: FileId,
    pub(crate) records: u64,
    segments: Vec<PathBuf>,
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
        while let Some(step) = next_step(&bytes, &mut at, runs[number].is_some()) {
            match step {
                Step::Frame(Frame::Records { file, records, .. }) => {
                    segment.pending.insert(file.batch);
                    let batch = pending.entry(file.batch).or_insert_with(|| {
                        order.push(file.batch);
                        Pending { file, records: 0, segments: Vec::new(), failures: 0 }
                    });
                    batch.records += u64::from(records);
                    if batch.segments.last() != Some(&segment.path) {
                        batch.segments.push(segment.path.clone());
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

impl Pending {
    /// Reads the records of the batch. Memory: a segment, and the batch. Of `self.records`, those that
    /// are not there could not be read. Returns also the segments that were passed over, since they are
    /// gone or could not be read many times.
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
        for path in &self.segments {
            let bytes = match std::fs::read(path) {
                Ok(bytes) => bytes,
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        || self.failures >= MOST_FAILURES =>
                {
                    unread.push(path.clone());
                    continue;
                }
                Err(error) => {
                    self.failures += 1;
                    return Err(error);
                }
            };
            let mut at = frame::BEGIN;
            while let Some(step) = frame::next(&bytes, &mut at) {
                let Step::Frame(Frame::Records { file, request, .. }) = step else { continue };
                if file.batch == self.file.batch {
                    let request = Bytes::copy_from_slice(&bytes[request]);
                    // What cannot be read is missing from the batch, which its caller counts.
                    let _ =
                        reader.read(kind, Encoding::Protobuf, request, |part| records.extend(part));
                }
            }
        }
        Ok((Batch::recovered(self.file, records), unread))
    }
}
