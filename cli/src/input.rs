//! Reads files of export requests: in JSON, over one line or several each, or in protobuf with
//! length prefixes; compressed or not.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum bytes of a line or message. A longer one is discarded.
const LONGEST: u64 = 64 << 20;

/// The magic number of zstd's frames.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A request in a file, not yet parsed.
pub struct Item {
    /// Number of the line or message, from 1.
    pub number: u64,
    pub body: Body,
}

pub enum Body {
    Json(Vec<u8>),
    Protobuf(Vec<u8>),
    /// The request cannot be read, for this reason.
    Damaged(String),
}

/// Iterates over the requests of a file.
pub struct Requests {
    reader: Box<dyn BufRead + Send>,
    number: u64,
    form: Form,
    ended: bool,
    /// Whether the requests are elements of a list, as `jq --slurp` writes it.
    in_list: bool,
    /// What was read of a line, and belongs to the next request.
    next: Option<Line>,
}

/// A line from some byte on.
struct Line {
    bytes: Vec<u8>,
    from: usize,
}

impl Line {
    fn text(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    fn into_text(mut self) -> Vec<u8> {
        self.bytes.drain(..self.from);
        self.bytes
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A request a line, or over several lines, as people and `jq` write it.
    Lines,
    /// Each message behind its length: four bytes, the highest first, as the Collector's file
    /// exporter has it; or a varint.
    Messages(Length),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Four,
    Varint,
}

/// Detects a file's format by its first bytes. Messages are recognized by their first field after a
/// plausible length. Everything else is lines, some of which may be damaged.
fn form_of(start: &[u8]) -> Form {
    /// The first field of a request: its tag, of bytes.
    const FIRST: u8 = 0x0a;
    // Every message contains some byte that no text contains.
    if start.iter().take(256).all(|byte| *byte >= b' ' || byte.is_ascii_whitespace()) {
        return Form::Lines;
    }
    let is_packed = start.get(4..8) == Some(&ZSTD);
    if start.first() == Some(&0)
        && (is_packed || start.get(4) == Some(&FIRST) || is_framed_json(start))
    {
        return Form::Messages(Length::Four);
    }
    let length = start.iter().take(4).position(|byte| *byte < 0x80);
    match length.map(|last| &start[last + 1..]) {
        Some([FIRST, ..]) => Form::Messages(Length::Varint),
        _ => Form::Lines,
    }
}

/// Returns whether a length of four bytes and a text in JSON of that length begin a file, as far as
/// it is here.
fn is_framed_json(start: &[u8]) -> bool {
    let Some((length, text)) = start.split_first_chunk::<4>() else { return false };
    let last = (u32::from_be_bytes(*length) as usize).checked_sub(1);
    text.first() == Some(&b'{')
        && last.is_some_and(|last| text.get(last).is_none_or(|&last| last == b'}'))
}

/// Counts the bytes read.
struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Requests {
    /// Opens a file, or standard input for `-`; `bytes` counts what is read of it, as it is packed.
    pub fn open(path: &Path, bytes: Arc<AtomicU64>) -> io::Result<Self> {
        if path == Path::new("-") {
            return Self::of(Counted { reader: io::stdin(), bytes });
        }
        Self::of(Counted { reader: File::open(path)?, bytes })
    }

    /// Reads from any reader, packed or not.
    pub fn of(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let start = reader.fill_buf()?;
        let mut reader: Box<dyn BufRead + Send> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::new(MultiGzDecoder::new(reader)))
        } else if start.starts_with(&ZSTD) {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(reader)?))
        } else {
            Box::new(reader)
        };
        if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            // Skips the byte order mark that some editors write.
            reader.consume(3);
        }
        let start = reader.fill_buf()?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            let what = "this is UTF-16, as some shells write it; give UTF-8";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let form = form_of(start);
        let in_list = start
            .trim_ascii_start()
            .strip_prefix(b"[")
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"));
        Ok(Self { reader, number: 0, form, ended: false, in_list, next: None })
    }

    /// The next line in which there is something, from there on, and whether it is too long to be
    /// kept.
    fn line(&mut self) -> io::Result<Option<(Line, bool)>> {
        if let Some(line) = self.next.take() {
            return Ok(Some((line, false)));
        }
        loop {
            let mut bytes = Vec::new();
            let read = self.reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut bytes)? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let is_too_long = read > LONGEST && bytes.last() != Some(&b'\n');
            if is_too_long {
                self.reader.skip_until(b'\n')?;
            }
            if is_too_long || !bytes.iter().all(|&byte| self.is_between(byte)) {
                return Ok(Some((Line { bytes, from: 0 }, is_too_long)));
            }
        }
    }

    /// Returns whether a byte may stand between requests.
    fn is_between(&self, byte: u8) -> bool {
        /// What begins each text of a sequence (RFC 7464).
        const RECORD_SEPARATOR: u8 = 0x1e;
        byte.is_ascii_whitespace()
            || byte == RECORD_SEPARATOR
            || self.in_list && matches!(byte, b'[' | b',' | b']')
    }

    /// A request in JSON, and the line in which it begins.
    fn json(&mut self) -> io::Result<Option<(u64, Body)>> {
        let Some((mut line, too_long_a_line)) = self.line()? else { return Ok(None) };
        let first = self.number;
        if too_long_a_line {
            return Ok(Some((first, Body::Damaged(too_long()))));
        }
        line.from += line.text().iter().take_while(|&&byte| self.is_between(byte)).count();
        if !line.text().starts_with(b"{") {
            return Ok(Some((first, Body::Json(line.into_text()))));
        }
        let (mut document, mut nesting, mut is_indented) = (Vec::new(), Nesting::default(), false);
        loop {
            let end = nesting.follow(line.text());
            let rest = end.map_or(0, |end| {
                line.text()[end..].iter().take_while(|&&byte| self.is_between(byte)).count()
            });
            let next = end.map(|end| line.from + end + rest);
            match (end, next.and_then(|next| line.bytes.get(next))) {
                (Some(end), Some(b'{')) => {
                    document.extend(&line.text()[..end]);
                    self.next = next.map(|from| Line { from, ..line });
                    break;
                }
                (Some(end), None) if self.in_list => {
                    document.extend(&line.text()[..end]);
                    break;
                }
                _ if document.is_empty() => document = line.into_text(),
                _ => document.extend(line.text()),
            }
            // A line that ends in a text, or closed more than it opened, is damaged; others do not
            // suffer from it.
            if end.is_some() || nesting.depth == 0 || nesting.in_text {
                break;
            }
            let Some((more, too_long_a_line)) = self.line()? else { break };
            if document.len() as u64 + more.text().len() as u64 > LONGEST || too_long_a_line {
                self.ended = true;
                return Ok(Some((
                    first,
                    Body::Damaged(format!("{}; the rest of the file is left out", too_long())),
                )));
            }
            if begins_anew(more.text(), is_indented, nesting.last) {
                // So this one is not whole.
                self.next = Some(more);
                break;
            }
            is_indented |= more.text().starts_with(b" ") || more.text().starts_with(b"\t");
            line = more;
        }
        Ok(Some((first, Body::Json(document))))
    }

    fn message(&mut self, length: Length) -> io::Result<Option<Body>> {
        let Some(length) = self.length(length)? else { return Ok(None) };
        self.number += 1;
        if length > LONGEST {
            // Where the next message begins is unknown.
            self.ended = true;
            return Ok(Some(Body::Damaged(format!(
                "it says that it is {length} bytes long; the rest of the file is left out"
            ))));
        }
        let mut message = Vec::new();
        if self.reader.by_ref().take(length).read_to_end(&mut message)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if message.starts_with(&ZSTD) {
            // Each by itself, as the Collector's file exporter packs them.
            let mut unpacked = Vec::new();
            let packed = zstd::Decoder::with_buffer(&message[..])?.take(LONGEST + 1);
            let read = BufReader::new(packed).read_to_end(&mut unpacked);
            match read {
                Err(error) => {
                    return Ok(Some(Body::Damaged(format!(
                        "this is no zstd, or damaged: {error}"
                    ))));
                }
                Ok(_) if unpacked.len() as u64 > LONGEST => {
                    return Ok(Some(Body::Damaged(too_long())));
                }
                Ok(_) => message = unpacked,
            }
        }
        let is_json = message.trim_ascii_start().starts_with(b"{");
        Ok(Some(if is_json { Body::Json(message) } else { Body::Protobuf(message) }))
    }

    fn length(&mut self, form: Length) -> io::Result<Option<u64>> {
        let mut byte = |first: bool| -> io::Result<Option<u8>> {
            let mut byte = [0];
            match self.reader.read(&mut byte)? {
                0 if first => Ok(None),
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Some(byte[0])),
            }
        };
        let Some(first) = byte(true)? else { return Ok(None) };
        let mut length = u64::from(first);
        match form {
            Length::Four => {
                for _ in 0..3 {
                    length = length << 8 | byte(false)?.map_or(0, u64::from);
                }
            }
            Length::Varint => {
                let (mut last, mut shift) = (first, 0);
                length &= 0x7f;
                while last & 0x80 != 0 {
                    shift += 7;
                    if shift > 56 {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a length that is none",
                        ));
                    }
                    last = byte(false)?.unwrap_or(0);
                    length |= u64::from(last & 0x7f) << shift;
                }
            }
        }
        Ok(Some(length))
    }
}

/// Whether a line begins a request though the one before has not ended: one that says so, or an
/// object where none can be. `before` is the last character of the one before.
fn begins_anew(line: &[u8], is_indented: bool, before: u8) -> bool {
    const FIRST: [&[u8]; 3] = [b"\"resourceSpans\"", b"\"resourceLogs\"", b"\"resourceMetrics\""];
    let Some(inside) = line.strip_prefix(b"{") else { return false };
    let inside = inside.trim_ascii_start();
    is_indented
        || !matches!(before, b'[' | b':' | b',')
        || FIRST.iter().any(|first| inside.starts_with(first))
}

/// How deep a text in JSON is inside of its objects.
#[derive(Default)]
struct Nesting {
    depth: u64,
    in_text: bool,
    is_escaped: bool,
    /// The last character that is no space.
    last: u8,
}

impl Nesting {
    /// Returns where the outermost object has ended, if it has.
    fn follow(&mut self, text: &[u8]) -> Option<usize> {
        for (at, &byte) in text.iter().enumerate() {
            match (self.in_text, byte) {
                (true, _) if std::mem::take(&mut self.is_escaped) => {}
                (true, b'\\') => self.is_escaped = true,
                (_, b'"') => self.in_text = !self.in_text,
                (false, b'{') => self.depth += 1,
                (false, b'}') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                // A line's end.
                (true, b'\n') => return None,
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                self.last = byte;
            }
        }
        None
    }
}

fn too_long() -> String {
    format!("it is longer than {LONGEST} bytes")
}

impl Iterator for Requests {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.ended {
            return None;
        }
        let found = match self.form {
            Form::Lines => self.json(),
            Form::Messages(length) => {
                self.message(length).map(|body| body.map(|body| (self.number, body)))
            }
        };
        let found = found.unwrap_or_else(|error| {
            self.ended = true;
            self.number += 1;
            Some((self.number, Body::Damaged(format!("{error}; the rest of the file is left out"))))
        });
        found.map(|(number, body)| Item { number, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn read(bytes: &[u8]) -> Vec<(u64, Result<Vec<u8>, String>)> {
        let requests = Requests::of(io::Cursor::new(bytes.to_vec())).unwrap();
        let body = |item: Item| match item.body {
            Body::Json(body) | Body::Protobuf(body) => (item.number, Ok(body)),
            Body::Damaged(why) => (item.number, Err(why)),
        };
        requests.map(body).collect()
    }

    #[test]
    fn lines_are_told_by_their_numbers() {
        let found = read(b"{\"a\":1}\n\n  \n{\"b\":2}");
        assert_eq!(found, [(1, Ok(b"{\"a\":1}\n".to_vec())), (4, Ok(b"{\"b\":2}".to_vec()))]);
        assert_eq!(read(b"{\n\"a\":1}\n"), [(1, Ok(b"{\n\"a\":1}\n".to_vec()))]);
        for damaged in ["x", "}", "{", "\u{e9}t\u{e9}", "\0\0\0"] {
            let text = format!("{damaged}\n{{\"a\":1}}\n{{\"b\":2}}\n");
            let found = read(text.as_bytes());
            assert_eq!(found.len(), 3, "{damaged}: {found:?}");
            assert_eq!(found[1], (2, Ok(b"{\"a\":1}\n".to_vec())), "{damaged}");
        }
        assert_eq!(read(b"\xef\xbb\xbf{\"a\":1}"), [(1, Ok(b"{\"a\":1}".to_vec()))]);
        assert_eq!(read(b""), []);
        assert_eq!(read(b"garbage\n"), [(1, Ok(b"garbage\n".to_vec()))]);
    }

    #[test]
    fn documents_of_many_lines_follow_each_other() {
        let one = "{\n  \"a\": {\n    \"b\": \"} {\\\"\"\n  }\n}\n";
        let found = read(format!("{one}{{}}\n{one}\n{{\"c\":1}}\n{one}").as_bytes());
        let expected = [(1, one), (6, "{}\n"), (7, one), (13, "{\"c\":1}\n"), (14, one)];
        assert_eq!(found, expected.map(|(line, text)| (line, Ok(text.as_bytes().to_vec()))));
        // Indented by nothing, by one line only, several in a line, elements of a list, in a
        // sequence.
        let flat = "{\n\"a\": [\n{\n\"b\": 1\n},\n{}\n]\n}\n";
        let half = "{\"resourceSpans\": [\n{\"resource\":{}},\n{}\n]}\n";
        let bodies = |file: &str| {
            let texts = read(file.as_bytes())
                .into_iter()
                .map(|(_, body)| String::from_utf8(body.unwrap()).unwrap());
            texts.map(|text| text.trim().to_owned()).collect::<Vec<_>>()
        };
        for file in [format!("{flat}{flat}"), format!("{half}{half}")] {
            assert_eq!(bodies(&file), [file[..file.len() / 2].trim(); 2]);
        }
        for file in [
            "{\"a\":1}{\"a\":1}",
            "{\"a\":1} {\"a\":1}\n",
            "{\"a\":1}\r{\"a\":1}\r",
            "[{\"a\":1},{\"a\":1}]\n",
            "[\n{\"a\":1},\n{\"a\":1}\n]\n",
            "[\n  {\"a\":1}\n  ,\n  {\"a\":1}\n]",
            "\u{1e}{\"a\":1}\n\u{1e}{\"a\":1}\n",
        ] {
            assert_eq!(bodies(file), ["{\"a\":1}"; 2], "{file:?}");
        }
        let many = "{}".repeat(100_000);
        assert_eq!(read(many.as_bytes()).len(), 100_000, "in no more than linear time");
        // A request that was cut off costs only itself, wherever that was.
        let whole = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"a{b\"}]}]}]}";
        for cut in 1..whole.len() {
            let found = read(format!("{}\n{whole}\n{whole}", &whole[..cut]).as_bytes());
            assert_eq!(found.len(), 3, "{cut}: {found:?}");
        }
        // One that has no end costs only itself.
        let found = read(format!("{{\n  \"a\": {{\n{one}").as_bytes());
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(found[1].1, Ok(one.as_bytes().to_vec()));
    }

    #[test]
    fn utf_16_is_told() {
        let text: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let wrong = Requests::of(io::Cursor::new(text)).err().expect("it is refused");
        assert!(wrong.to_string().contains("UTF-16"), "{wrong}");
    }

    #[test]
    fn what_zstd_has_packed_is_unpacked() {
        let packed = zstd::encode_all(&b"{\"a\":1}\n{\"b\":2}\n"[..], 3).unwrap();
        assert_eq!(read(&packed).len(), 2);
        assert_eq!(read(&[&packed[..], &packed[..]].concat()).len(), 4);
        let framed = |message: &[u8]| {
            let packed = zstd::encode_all(message, 3).unwrap();
            [&(packed.len() as u32).to_be_bytes()[..], &packed].concat()
        };
        let message = [0x0a, 2, 0x12, 0];
        let file = [framed(b"{\"a\":1}"), framed(&message)].concat();
        assert_eq!(read(&file), [(1, Ok(b"{\"a\":1}".to_vec())), (2, Ok(message.to_vec()))]);
        let damaged = read(&[&framed(b"{\"a\":1}")[..], &[0, 0, 0, 5], &ZSTD, b"x"].concat());
        assert!(damaged.len() == 2 && damaged[1].1.is_err(), "{damaged:?}");
    }

    #[test]
    fn messages_have_lengths_of_either_kind() {
        let message = [0x0a, 2, 0x12, 0];
        let four = [&[0, 0, 0, 4], &message[..], &[0, 0, 0, 0]].concat();
        assert_eq!(read(&four), [(1, Ok(message.to_vec())), (2, Ok(vec![]))]);
        let varint = [&[4], &message[..], &[4], &message[..]].concat();
        assert_eq!(read(&varint), [(1, Ok(message.to_vec())), (2, Ok(message.to_vec()))]);
        let long = [&[0x80, 0x01, 0x0a, 126], &[0; 126][..]].concat();
        assert_eq!(read(&long), [(1, Ok(long[2..].to_vec()))]);
        for length in [9_u8, 10, 13, 32, 123] {
            let message = [&[0x0a, length - 2][..], &vec![0; usize::from(length) - 2]].concat();
            let file = [&[length][..], &message].concat();
            assert_eq!(read(&file), [(1, Ok(message))], "{length}");
        }
        let cut = &four[..7];
        assert!(
            matches!(&read(cut)[..], [(2, Err(why))] if why.contains("left out")),
            "{:?}",
            read(cut)
        );
        assert!(matches!(&read(&[0, 0xff, 0xff, 0xff, 0x0a])[..], [(2, Err(_))]));
    }

    #[test]
    fn packed_files_are_unpacked_and_damage_is_told() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(read(&packed).len(), 2);
        let twice = [&packed[..], &packed[..]].concat();
        assert_eq!(read(&twice).len(), 4);
        let cut = read(&packed[..packed.len() - 4]);
        assert!(cut.last().is_some_and(|(_, body)| body.is_err()), "{cut:?}");
    }
}
