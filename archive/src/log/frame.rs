//! What the log has in its segments: frames, each with its length and a checksum.
//!
//! ```text
//!  segment: magic, run │ frame │ frame │ …
//!  frame:   length (4 bytes) │ CRC-32 of the length and the payload (4) │ payload
//!  payload: 1 │ run, number, made, table, hour, records │ an export request in protobuf
//!           2 │ run, number                                 the batch needs its frames no more
//! ```
//!
//! All numbers are little-endian.

use crate::name::{BatchId, FileId, Partition};
use crate::table::Table;
use std::ops::Range;

/// What a segment begins with; the last byte is the version of all this.
const MAGIC: [u8; 8] = *b"slrlog\0\x01";

/// The version of all this that this program writes and reads.
pub(super) const VERSION: u8 = MAGIC[7];

/// Bytes of a segment before its first frame.
pub(super) const BEGIN: usize = 16;

/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 8;

const RECORDS: u8 = 1;
const DONE: u8 = 2;

/// Bytes of a payload before its request, and of one that says that a batch is done.
const RECORDS_HEAD: usize = 1 + 3 * 8 + 1 + 8 + 4;
const DONE_BYTES: usize = 1 + 2 * 8;

/// How many times a segment's bytes may be looked at in search of a frame. Not measured.
const SEARCHES: usize = 8;

/// The payload of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Records of a batch: how many, and where in the segment the request is that has them.
    Records { file: FileId, records: u32, request: Range<usize> },
    /// The batch is in a file, or was counted as lost.
    Done(BatchId),
}

/// What follows in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Frame(Frame),
    /// So many bytes are damaged, and a whole frame follows.
    Damaged(usize),
    /// So many bytes are damaged or missing at the end: at the end of what was written last, that is
    /// what a crash leaves.
    Torn(usize),
}

/// Begins a segment.
pub(super) fn begin(run: u64) -> [u8; BEGIN] {
    let mut bytes = [0; BEGIN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..].copy_from_slice(&run.to_le_bytes());
    bytes
}

/// Returns the run that wrote a segment, if it is one.
pub(super) fn run_of(segment: &[u8]) -> Option<u64> {
    let (begin, run) = segment.get(..BEGIN)?.split_at(8);
    (begin == MAGIC).then_some(())?;
    Some(u64::from_le_bytes(run.try_into().ok()?))
}

/// Returns the version that wrote a segment, if it is another one.
pub(super) fn other_version(segment: &[u8]) -> Option<u8> {
    let (magic, rest) = segment.split_at_checked(7)?;
    let version = *rest.first()?;
    (magic == &MAGIC[..7] && version != VERSION).then_some(version)
}

/// Returns whether these few bytes may be what a segment begins with.
pub(super) fn is_beginning(bytes: &[u8]) -> bool {
    bytes.iter().zip(MAGIC).all(|(byte, of_magic)| *byte == of_magic)
}

fn checksum(length: [u8; 4], payload: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize().to_le_bytes()
}

/// Sets length and checksum of the frame that begins at the start of these bytes. `None` if it would be
/// larger than a length can say.
fn seal(bytes: &mut [u8]) -> Option<()> {
    let (head, payload) = bytes.split_at_mut(HEAD);
    let length = u32::try_from(payload.len()).ok()?.to_le_bytes();
    head[..4].copy_from_slice(&length);
    head[4..].copy_from_slice(&checksum(length, payload));
    Some(())
}

/// Writes a frame of records into `bytes`. `None` if they are more than a frame takes.
pub(super) fn write_records(
    bytes: &mut Vec<u8>,
    file: &FileId,
    records: usize,
    request: &[u8],
) -> Option<()> {
    let FileId { batch, partition, made } = *file;
    let table = Table::ALL.iter().position(|table| *table == partition.table)? as u8;
    bytes.clear();
    bytes.extend([0; HEAD]);
    bytes.push(RECORDS);
    for number in [batch.run, batch.number, made] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.push(table);
    bytes.extend(partition.hour.to_le_bytes());
    bytes.extend(u32::try_from(records).ok()?.to_le_bytes());
    bytes.extend_from_slice(request);
    seal(bytes)
}

/// Writes a frame that says that a batch is done into `bytes`.
pub(super) fn write_done(bytes: &mut Vec<u8>, batch: BatchId) {
    bytes.clear();
    bytes.extend([0; HEAD]);
    bytes.push(DONE);
    bytes.extend(batch.run.to_le_bytes());
    bytes.extend(batch.number.to_le_bytes());
    seal(bytes).expect("it is short");
}

/// Reads numbers from the start of a payload.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk()?;
        self.0 = left;
        Some(*taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Reads the frame at a place, and returns where it ends.
fn read(segment: &[u8], at: usize) -> Option<(Frame, usize)> {
    let (length, end) = extent(segment, at)?;
    let payload = &segment[at + HEAD..end];
    (segment[at + 4..at + HEAD] == checksum(length, payload)).then_some(())?;
    let mut numbers = Numbers(payload);
    let [kind] = numbers.take()?;
    let batch = BatchId { run: numbers.u64()?, number: numbers.u64()? };
    let frame = match kind {
        RECORDS => {
            let made = numbers.u64()?;
            let [table] = numbers.take()?;
            let table = *Table::ALL.get(usize::from(table))?;
            let partition = Partition { table, hour: numbers.u64()? };
            let records = u32::from_le_bytes(numbers.take()?);
            let request = end - numbers.0.len()..end;
            Frame::Records { file: FileId { batch, partition, made }, records, request }
        }
        DONE => Frame::Done(batch),
        _ => return None,
    };
    Some((frame, end))
}

/// Returns how long a frame is that begins with these bytes.
pub(super) fn length(head: [u8; HEAD]) -> usize {
    let [one, two, three, four, ..] = head;
    HEAD + u32::from_le_bytes([one, two, three, four]) as usize
}

/// Reads a frame that stands alone.
pub(super) fn alone(bytes: &[u8]) -> Option<Frame> {
    read(bytes, 0).map(|(frame, _)| frame)
}

/// Returns the length of the frame at a place, and where it would end.
fn extent(segment: &[u8], at: usize) -> Option<([u8; 4], usize)> {
    let length: [u8; 4] = segment.get(at..at + 4)?.try_into().ok()?;
    let end = (at + HEAD).checked_add(u32::from_le_bytes(length) as usize)?;
    (end <= segment.len()).then_some((length, end))
}

/// Returns whether a frame may begin at a place that no length leads to. A sender may put what looks
/// like a frame into a record. It does not count as records unless it has the segment's run, and a mark
/// has no effect unless it names a batch by its run. Runs are random; they are in the names of the
/// archive's files, so this holds against senders that cannot list them.
fn may_begin(segment: &[u8], at: usize) -> bool {
    let Some((length, end)) = extent(segment, at) else { return false };
    match segment.get(at + HEAD) {
        Some(&RECORDS) => {
            end - at >= HEAD + RECORDS_HEAD && segment[at + HEAD + 1..][..8] == segment[8..BEGIN]
        }
        Some(&DONE) => u32::from_le_bytes(length) as usize == DONE_BYTES,
        _ => false,
    }
}

/// Returns where the next whole frame begins, if one follows. O(bytes): few places look like a frame.
fn search(segment: &[u8], from: usize) -> Option<usize> {
    // Bytes that may be looked at for their checksum, so that none can be made to take long.
    let mut left = segment.len().saturating_mul(SEARCHES);
    for at in from..segment.len().saturating_sub(HEAD) {
        if !may_begin(segment, at) {
            continue;
        }
        let (_, end) = extent(segment, at)?;
        left = left.checked_sub(end - at)?;
        if read(segment, at).is_some() {
            return Some(at);
        }
    }
    None
}

/// Reads the segment on from a place, which moves behind what was read. `None` at the end.
pub(super) fn next(segment: &[u8], at: &mut usize) -> Option<Step> {
    let left = segment.len().checked_sub(*at).filter(|left| *left > 0)?;
    if let Some((frame, end)) = read(segment, *at) {
        *at = end;
        return Some(Step::Frame(frame));
    }
    // If the length is right, the next frame is where it says.
    if let Some((_, end)) = extent(segment, *at)
        && read(segment, end).is_some()
    {
        let damaged = end - *at;
        *at = end;
        return Some(Step::Damaged(damaged));
    }
    // If not, it is looked for.
    if let Some(next) = search(segment, *at + 1) {
        let damaged = next - *at;
        *at = next;
        return Some(Step::Damaged(damaged));
    }
    *at = segment.len();
    Some(Step::Torn(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(number: u64) -> FileId {
        let partition = Partition { table: Table::Sum, hour: 7 };
        FileId { batch: BatchId { run: 9, number }, partition, made: 1_700 }
    }

    /// A segment of these requests, each a frame, with a mark at the end that the first is done.
    fn segment(requests: &[Vec<u8>]) -> Vec<u8> {
        let mut segment = begin(9).to_vec();
        let mut frame = Vec::new();
        for (number, request) in (0..).zip(requests) {
            write_records(&mut frame, &file(number), number as usize + 1, request).unwrap();
            segment.extend_from_slice(&frame);
        }
        write_done(&mut frame, file(0).batch);
        segment.extend_from_slice(&frame);
        segment
    }

    fn steps(segment: &[u8]) -> Vec<Step> {
        let mut at = BEGIN;
        std::iter::from_fn(|| next(segment, &mut at)).collect()
    }

    #[test]
    fn frames_come_back() {
        let segment = segment(&[b"abc".to_vec(), Vec::new()]);
        assert_eq!(run_of(&segment), Some(9));
        let steps = steps(&segment);
        assert_eq!(steps.len(), 3);
        let Step::Frame(Frame::Records { file: found, records, request }) = &steps[0] else {
            panic!("{steps:?}")
        };
        assert_eq!((found, *records, &segment[request.clone()]), (&file(0), 1, &b"abc"[..]));
        assert_eq!(steps[2], Step::Frame(Frame::Done(file(0).batch)));
    }

    #[test]
    fn what_is_no_segment_has_no_run() {
        assert_eq!(other_version(b"slrlog\0\x02\0"), Some(2));
        assert_eq!(other_version(b"slrlog\0\x01\0").or(other_version(b"slrlog\0")), None);
        assert!(is_beginning(b"") && is_beginning(b"slr") && !is_beginning(b"slog"));
        assert_eq!(run_of(b"slrlog\0\x02\0\0\0\0\0\0\0\0"), None);
        assert_eq!(run_of(b"slrlog\0\x01\0\0\0\0\0\0\0"), None);
    }

    #[test]
    fn damage_in_one_frame_costs_that_frame() {
        let whole = segment(&[vec![7; 100], vec![8; 100], vec![9; 100]]);
        let mut damaged = whole.clone();
        let second = BEGIN + (HEAD + 38 + 100) + 60;
        damaged[second] ^= 1;
        let steps = steps(&damaged);
        assert!(matches!(steps[1], Step::Damaged(146)), "{steps:?}");
        assert!(matches!(&steps[2], Step::Frame(Frame::Records { records: 3, .. })), "{steps:?}");
        assert_eq!(steps.len(), 4);
    }

    #[test]
    fn damage_in_a_length_costs_that_frame() {
        let mut damaged = segment(&[vec![7; 100], vec![8; 100], vec![9; 100]]);
        damaged[BEGIN + 3] ^= 0x40;
        let steps = steps(&damaged);
        assert!(matches!(steps[0], Step::Damaged(146)), "{steps:?}");
        assert!(matches!(&steps[1], Step::Frame(Frame::Records { records: 2, .. })), "{steps:?}");
        assert_eq!(steps.len(), 4);
    }

    #[test]
    fn what_a_sender_made_like_a_frame_is_none() {
        let mut forged = Vec::new();
        let batch = BatchId { run: 8, number: 1 };
        write_records(&mut forged, &FileId { batch, ..file(1) }, 1, b"forged").unwrap();
        let mut damaged = segment(&[forged, vec![8; 100]]);
        damaged[BEGIN + 3] ^= 0x40;
        let steps = steps(&damaged);
        assert!(matches!(&steps[1], Step::Frame(Frame::Records { records: 2, .. })), "{steps:?}");
    }

    proptest! {
        #[test]
        fn a_segment_that_is_cut_gives_the_frames_before_and_says_that_it_is_torn(
            requests in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..6),
            cut in any::<prop::sample::Index>(),
            zeros in 0..40_usize,
        ) {
            let whole = segment(&requests);
            let cut = BEGIN + cut.index(whole.len() - BEGIN + 1);
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            let (all, found) = (steps(&whole), steps(&torn));
            let frames = found.iter().take_while(|step| matches!(step, Step::Frame(_))).count();
            prop_assert_eq!(&found[..frames], &all[..frames]);
            prop_assert!(found.len() - frames <= 1);
            let rest: usize = found[frames..].iter().map(|step| match step {
                Step::Torn(bytes) => *bytes,
                other => panic!("{other:?}"),
            }).sum();
            if frames == all.len() {
                prop_assert!(rest <= zeros, "zeros that stand for zeros make a frame whole again");
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for step in steps(&[&begin(1)[..], &bytes].concat()) {
                prop_assert!(!matches!(step, Step::Damaged(0)));
            }
        }
    }
}
