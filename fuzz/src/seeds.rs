//! Makes seeds for the targets that read OTLP from files of OTLP/JSON lines: `seeds CORPUS-FOLDER
//! FILE…`.
//!
//! Small requests, because a fuzzer changes one byte after the other: of each file some lines, and
//! of each line the first records.

use slipring::otlp::{Encoding, Exported, Request, encode};
use std::fs;
use std::path::{Path, PathBuf};

/// Of each file.
const LINES: usize = 40;
/// Of each line.
const RECORDS: usize = 2;
/// Bytes of a seed at the most.
const LARGEST: usize = 8 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("seeds CORPUS-FOLDER FILE…")?;
    let mut count = 0;
    for file in arguments {
        let text = fs::read(&file)?;
        let lines: Vec<&[u8]> =
            text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        for line in lines.iter().step_by((lines.len() / LINES).max(1)) {
            let Ok(request) = Request::read_json(line) else { continue };
            count += plant(&folder, 0, &request.spans, count)?;
            count += plant(&folder, 1, &request.logs, count)?;
            count += plant(&folder, 2, &request.points, count)?;
        }
    }
    eprintln!("{count} seeds for each of protobuf, json, round_trip and exports");
    Ok(())
}

/// One request, as each target wants it.
fn plant<T: Exported>(
    folder: &Path,
    kind: u8,
    records: &[T],
    number: usize,
) -> std::io::Result<usize> {
    let records = &records[..records.len().min(RECORDS)];
    let (protobuf, json) = (encode(records, Encoding::Protobuf), encode(records, Encoding::Json));
    if records.is_empty() || json.len() > LARGEST {
        return Ok(0);
    }
    // How `arbitrary` reads the choices: of three each, a third of the numbers there are.
    const THIRD: u32 = u32::MAX / 3 + 1;
    let sent = |way: u32, packing: u32| {
        let choices = [way * THIRD, packing * THIRD].map(u32::to_le_bytes).concat();
        [&[kind], &choices[..], &[0]].concat()
    };
    let [plain, packed, as_json, framed] = [sent(0, 0), sent(0, 1), sent(1, 0), sent(2, 0)];
    let seeds: [(&str, &[u8], &[u8]); 9] = [
        ("protobuf", &[kind], &protobuf),
        ("views", &[kind], &protobuf),
        ("json", &[kind], &json),
        ("round_trip", &[kind, 20], &protobuf),
        ("round_trip", &[kind, 21], &json),
        ("exports", &plain, &protobuf),
        ("exports", &packed, &protobuf),
        ("exports", &as_json, &json),
        ("exports", &framed, &protobuf),
    ];
    for (way, (target, head, body)) in seeds.into_iter().enumerate() {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{number}-{way}")), [head, body].concat())?;
    }
    Ok(1)
}
