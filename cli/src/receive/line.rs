//! Escapes characters that are invalid in a URL in the first line that a peer sends. Without that,
//! a user who types a condition such as `size>=5` into curl would get an empty 400 from hyper,
//! which answers before any handler runs.

use tokio::io::ReadBuf;

/// The state of a connection's first line.
#[derive(Default)]
pub struct FirstLine {
    has_ended: bool,
    /// Escaped bytes that did not fit into the reader's buffer.
    rest: Vec<u8>,
}

/// Returns whether a byte is invalid in a URL by RFC 3986, although users write it.
fn is_to_be_escaped(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'"' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'`')
}

impl FirstLine {
    /// Copies bytes that did not fit before into `buffer`. Returns whether there were any.
    pub fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let some = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..some]);
        self.rest.drain(..some);
        some > 0
    }

    /// Escapes the bytes that were just read into `buffer`, beginning at `from`.
    pub fn follow(&mut self, buffer: &mut ReadBuf<'_>, from: usize) {
        if self.has_ended {
            return;
        }
        let read = &buffer.filled()[from..];
        let end = read.iter().position(|&byte| byte == b'\n');
        self.has_ended = end.is_some();
        let (line, others) = read.split_at(end.unwrap_or(read.len()));
        if !line.iter().any(|&byte| is_to_be_escaped(byte)) {
            return;
        }
        let mut escaped = Vec::with_capacity(read.len() + 32);
        for &byte in line {
            match is_to_be_escaped(byte) {
                true => escaped.extend(format!("%{byte:02X}").bytes()),
                false => escaped.push(byte),
            }
        }
        escaped.extend(others);
        buffer.set_filled(from);
        self.rest = escaped;
        self.hand_on(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader gets that has so much room at a time.
    fn read(said: &[&[u8]], room: usize) -> Vec<u8> {
        let (mut line, mut got) = (FirstLine::default(), Vec::new());
        for said in said {
            let mut said = *said;
            while !said.is_empty() || !line.rest.is_empty() {
                let mut bytes = vec![0; room];
                let mut buffer = ReadBuf::new(&mut bytes);
                if !line.hand_on(&mut buffer) {
                    let some = said.len().min(room);
                    buffer.put_slice(&said[..some]);
                    said = &said[some..];
                    line.follow(&mut buffer, 0);
                }
                got.extend(buffer.filled());
            }
        }
        got
    }

    #[test]
    fn only_the_first_line_is_escaped() {
        let said = [
            &b"GET /a?x>=5&y<\"{6}\" HTTP/1.1\r\nhost: <a>\r\n\r\n"[..],
            b"GET /b?x>5 HTTP/1.1\r\n",
        ];
        let expected =
            b"GET /a?x%3E=5&y%3C%22%7B6%7D%22 HTTP/1.1\r\nhost: <a>\r\n\r\nGET /b?x>5 HTTP/1.1\r\n";
        for room in [1, 2, 7, 24, 1_000] {
            assert_eq!(read(&said, room), expected, "{room}");
        }
        assert_eq!(read(&[b"GET /a?x", b">5 HTTP/1.1\r\n>"], 1_000), b"GET /a?x%3E5 HTTP/1.1\r\n>");
    }
}
