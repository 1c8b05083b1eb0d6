//! Reads files of export requests: JSON, each request on one line or several, or protobuf with
//! length prefixes. The file may be compressed.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum size of a line or message, in bytes. Longer ones are discarded.
const LONGEST: u64 = 64 << 20;

/// The magic number of zstd's frames.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A request in a file, not yet parsed.
pub struct Item {
    /// The number of the line or message, counted from 1.
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
    format: Format,
    ended: bool,
    /// Whether the requests are elements of a JSON list, as `jq --slurp` writes it.
    in_list: bool,
    /// The rest of a line, which belongs to the next request.
    next: Option<Line>,
}

/// The part of a line that begins at `from`.
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
enum Format {
    /// Requests in JSON, each on one line, or on several as people and `jq` write it.
    Lines,
    /// Messages, each preceded by its length: four bytes in big-endian order, as the Collector's
    /// file exporter writes it, or a varint.
    Messages(Length),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Four,
    Varint,
}

/// Detects a file's format by its first bytes. Messages are recognized by their first field after a
/// plausible length. Everything else is lines, some of which may be damaged.
fn format_of(start: &[u8]) -> Format {
    /// The key of a request's first field: number 1, length-delimited.
    const FIRST: u8 = 0x0a;
    // Every message contains a byte that no text contains.
    if start.iter().take(256).all(|byte| *byte >= b' ' || byte.is_ascii_whitespace()) {
        return Format::Lines;
    }
    let is_packed = start.get(4..8) == Some(&ZSTD);
    if start.first() == Some(&0)
        && (is_packed || start.get(4) == Some(&FIRST) || is_framed_json(start))
    {
        return Format::Messages(Length::Four);
    }
    let length = start.iter().take(4).position(|byte| *byte < 0x80);
    match length.map(|last| &start[last + 1..]) {
        Some([FIRST, ..]) => Format::Messages(Length::Varint),
        _ => Format::Lines,
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

/// A reader that counts the bytes read.
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
    /// Opens a file, or standard input for `-`. `bytes` counts the bytes read, before
    /// decompression.
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
            let what = "the file is in UTF-16, which some shells write; convert it to UTF-8";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let format = format_of(start);
        let in_list = start
            .trim_ascii_start()
            .strip_prefix(b"[")
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"));
        Ok(Self { reader, number: 0, format, ended: false, in_list, next: None })
    }

    /// Reads the next line with content. Returns it from its first byte on, and whether it is too
    /// long, in which case its contents are discarded.
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
        /// The character that begins each text of a JSON text sequence (RFC 7464).
        const RECORD_SEPARATOR: u8 = 0x1e;
        byte.is_ascii_whitespace()
            || byte == RECORD_SEPARATOR
            || self.in_list && matches!(byte, b'[' | b',' | b']')
    }

    /// Reads a request in JSON. Returns it with the number of the line in which it begins.
    fn json(&mut self) -> io::Result<Option<(u64, Body)>> {
        let Some((mut line, is_too_long)) = self.line()? else { return Ok(None) };
        let first = self.number;
        if is_too_long {
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
            // A line that ends within a string, or closes more objects than it opened, is damaged.
            // It costs only itself.
            if end.is_some() || nesting.depth == 0 || nesting.in_text {
                break;
            }
            let Some((more, is_too_long)) = self.line()? else { break };
            if document.len() as u64 + more.text().len() as u64 > LONGEST || is_too_long {
                self.ended = true;
                return Ok(Some((
                    first,
                    Body::Damaged(format!("{}; the rest of the file is skipped", too_long())),
                )));
            }
            if begins_new_request(more.text(), is_indented, nesting.last) {
                // The current document is incomplete.
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
            // The beginning of the next message is unknown.
            self.ended = true;
            return Ok(Some(Body::Damaged(format!(
                "the length prefix says {length} bytes, which is more than {LONGEST}; the rest of the file is skipped"
            ))));
        }
        let mut message = Vec::new();
        if self.reader.by_ref().take(length).read_to_end(&mut message)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if message.starts_with(&ZSTD) {
            // The Collector's file exporter compresses each message on its own.
            let mut unpacked = Vec::new();
            let packed = zstd::Decoder::with_buffer(&message[..])?.take(LONGEST + 1);
            let read = BufReader::new(packed).read_to_end(&mut unpacked);
            match read {
                Err(error) => {
                    return Ok(Some(Body::Damaged(format!(
                        "the message is not valid zstd: {error}"
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

    fn length(&mut self, encoding: Length) -> io::Result<Option<u64>> {
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
        match encoding {
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
                            "a length prefix is longer than 8 bytes",
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

/// Returns whether a line begins a new request although the current one has not ended: because it
/// names a request's field, or because an object cannot occur at this place. `before` is the last
/// character of the previous line that is not white space.
fn begins_new_request(line: &[u8], is_indented: bool, before: u8) -> bool {
    const FIRST: [&[u8]; 3] = [b"\"resourceSpans\"", b"\"resourceLogs\"", b"\"resourceMetrics\""];
    let Some(inside) = line.strip_prefix(b"{") else { return false };
    let inside = inside.trim_ascii_start();
    is_indented
        || !matches!(before, b'[' | b':' | b',')
        || FIRST.iter().any(|first| inside.starts_with(first))
}

/// Tracks the nesting depth of objects in a JSON text.
#[derive(Default)]
struct Nesting {
    depth: u64,
    in_text: bool,
    is_escaped: bool,
    /// The last character that is not white space.
    last: u8,
}

impl Nesting {
    /// Continues with this text. Returns the offset at which the outermost object ends, if it does.
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
                // The end of the line.
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
    format!("it is longer than {LONGEST} bytes; split it")
}

impl Iterator for Requests {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.ended {
            return None;
        }
        let found = match self.format {
            Format::Lines => self.json(),
            Format::Messages(length) => {
                self.message(length).map(|body| body.map(|body| (self.number, body)))
            }
        };
        let found = found.unwrap_or_else(|error| {
            self.ended = true;
            self.number += 1;
            Some((self.number, Body::Damaged(format!("{error}; the rest of the file is skipped"))))
        });
        found.map(|(number, body)| Item { number, body })
    }
}

#[cfg(test)]
mod tests;
