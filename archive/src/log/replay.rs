//! What an earlier run has left in the log.

use super::frame::{self, Frame, Step};
use super::{SEGMENT, Segment};
use crate::batch::{Batch, Records};
use crate::name::{BatchId, FileId};
use crate::table::Table;
use bytes::Bytes;
use slipring::otlp::{Encoding, Kind, Reader};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A batch whose records are in the log, and perhaps in a file.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) file: FileId,
    pub(crate) records: u64,
    segments: Vec<PathBuf>,
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

/// Returns the segments of a folder with their numbers, the oldest first.
fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|end| end == SEGMENT);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| is_segment) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Returns the run that a segment is of.
fn run_of(path: &Path) -> io::Result<Option<u64>> {
    let mut begin = Vec::new();
    std::fs::File::open(path)?.take(frame::BEGIN as u64).read_to_end(&mut begin)?;
    Ok(frame::run_of(&begin))
}

/// Reads the log of a folder. Returns its segments, what is in them, and the number of the next.
pub(super) fn scan(folder: &Path) -> io::Result<(VecDeque<Segment>, Replayed, u64)> {
    let paths = segments(folder)?;
    let next = paths.last().map_or(1, |(number, _)| number.saturating_add(1));
    let runs: Vec<_> = paths.iter().map(|(_, path)| run_of(path)).collect::<io::Result<_>>()?;
    let mut replayed = Replayed::default();
    let mut pending: HashMap<BatchId, Pending> = HashMap::new();
    let mut order = Vec::new();
    let mut done = HashSet::new();
    let mut found = VecDeque::new();
    for (number, (_, path)) in paths.into_iter().enumerate() {
        // A segment of the length of its beginning, or less, was just begun.
        let is_last = runs[number].is_none() || !runs[number + 1..].contains(&runs[number]);
        let bytes = std::fs::read(&path)?;
        let mut segment =
            Segment { path, bytes: bytes.len() as u64, pending: HashSet::new(), is_damaged: false };
        let mut at = if runs[number].is_some() { frame::BEGIN } else { 0 };
        while let Some(step) = next_step(&bytes, &mut at, runs[number].is_some()) {
            match step {
                Step::Frame(Frame::Records { file, records, .. }) => {
                    segment.pending.insert(file.batch);
                    let batch = pending.entry(file.batch).or_insert_with(|| {
                        order.push(file.batch);
                        Pending { file, records: 0, segments: Vec::new() }
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

/// Reads on in a segment. One that does not begin as segments do is damaged as a whole, unless it is
/// shorter than that beginning.
fn next_step(bytes: &[u8], at: &mut usize, has_begun: bool) -> Option<Step> {
    if has_begun || bytes.is_empty() {
        return frame::next(bytes, at);
    }
    let left = bytes.len() - std::mem::replace(at, bytes.len());
    match left {
        0 => None,
        _ if bytes.len() <= frame::BEGIN => Some(Step::Torn(left)),
        _ => Some(Step::Damaged(left)),
    }
}

impl Pending {
    /// Reads the records of the batch. Memory: a segment, and the batch. Of `self.records`, those that
    /// are not there could not be read.
    pub(crate) fn read(&self) -> io::Result<Batch> {
        let table = self.file.partition.table;
        let mut records = Records::none(table);
        let reader = Reader::default().in_place();
        let kind = match table {
            Table::Traces => Kind::Traces,
            Table::Logs => Kind::Logs,
            _ => Kind::Metrics,
        };
        for path in &self.segments {
            let bytes = std::fs::read(path)?;
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
        Ok(Batch::recovered(self.file, records))
    }
}
