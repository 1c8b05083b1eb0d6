//! What the targets that read OTLP have in common: a seed's first byte says of which kind a request
//! is, the rest is the request.

use slipring::otlp::{Encoding, Exported, Kind, Request, encode};

pub const KINDS: [Kind; 3] = [Kind::Traces, Kind::Logs, Kind::Metrics];

/// Records of a request that are written back: with more, an execution takes too long.
const MOST: usize = 100;

pub fn kind_and_body(input: &[u8]) -> Option<(Kind, &[u8])> {
    let (kind, body) = input.split_first()?;
    Some((KINDS[usize::from(kind % 3)], body))
}

/// Reads a request; what there is of it is written, in both encodings, and comes back equal.
pub fn read_and_write(encoding: Encoding, input: &[u8]) {
    let Some((kind, body)) = kind_and_body(input) else { return };
    let Ok(request) = Request::read(kind, encoding, body) else { return };
    if request.len() > MOST {
        return;
    }
    same(&request.spans, back(Kind::Traces, &request.spans, |read| read.spans));
    same(&request.logs, back(Kind::Logs, &request.logs, |read| read.logs));
    same(&request.points, back(Kind::Metrics, &request.points, |read| read.points));
}

fn back<T: Exported>(kind: Kind, records: &[T], of: impl Fn(Request) -> Vec<T>) -> [Vec<T>; 2] {
    [Encoding::Protobuf, Encoding::Json].map(|encoding| {
        let read = Request::read(kind, encoding, &encode(records, encoding))
            .expect("what we write is a request");
        assert!(read.rejected.is_empty(), "{}", read.rejected);
        of(read)
    })
}

/// Records are grouped by what they share; nothing else changes. By what they print as, because NaN
/// equals nothing.
pub fn same<T: std::fmt::Debug>(records: &[T], back: [Vec<T>; 2]) {
    let printed = |records: &[T]| {
        let mut printed: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
        printed.sort();
        printed
    };
    let records = printed(records);
    back.iter().for_each(|back| assert_eq!(records, printed(back)));
}
