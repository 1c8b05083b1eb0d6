//! Formats numbers for people and JSON for programs, safely for terminals.

use crate::Fallible;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

/// Writes a value as JSON with a trailing newline. Characters that would control a terminal are
/// escaped, which changes nothing for a JSON parser.
pub fn write_json(out: &mut impl Write, value: &impl Serialize) -> Fallible<()> {
    value
        .serialize(&mut Serializer::with_formatter(&mut *out, Escaping(PrettyFormatter::new())))?;
    Ok(writeln!(out)?)
}

/// Pretty-prints JSON, and also escapes terminal controls that JSON allows unescaped.
struct Escaping(PrettyFormatter<'static>);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut rest = text;
        while let Some((at, control)) =
            rest.char_indices().find(|(_, one)| is_terminal_control(*one))
        {
            out.write_all(&rest.as_bytes()[..at])?;
            control
                .encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
            rest = &rest[at + control.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

/// Returns whether a character would control a terminal instead of being shown: controls, direction
/// marks, line ends and zero-width characters. Joiners and non-joiners, which some scripts need,
/// are none of these.
fn is_terminal_control(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(one, '\u{61c}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Makes an untrusted text safe for a terminal: escapes characters that would control it or change
/// the text's reading order.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_terminal_control) {
        return Cow::Borrowed(text);
    }
    let escaped = |one: char| {
        if is_terminal_control(one) { one.escape_default().to_string() } else { one.to_string() }
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Puts an error of TOML into one line, for a log. It has the line of the file below a rule, and the
/// place marked below that.
pub fn in_one_line(error: &str) -> String {
    let is_text = |line: &&str| !line.trim_matches(['|', '^', ' ']).is_empty();
    error.lines().map(str::trim).filter(is_text).collect::<Vec<_>>().join("; ")
}

/// Makes JSON safe for a terminal without changing what it says. Spaces between values stay.
pub fn json_printable(json: &str) -> Cow<'_, str> {
    let is_to_escape = |one: char| is_terminal_control(one) && !matches!(one, '\n' | '\r' | '\t');
    if !json.chars().any(is_to_escape) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for one in json.chars() {
        if is_to_escape(one) {
            for unit in one.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(one);
        }
    }
    Cow::Owned(escaped)
}

/// Formats a number with commas between thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

pub fn milliseconds(nanoseconds: u64) -> String {
    format!("{:.1} ms", nanoseconds as f64 / 1e6)
}

/// Formats a count with its noun, in the plural unless the count is 1.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// Returns `number` per second of `time`.
pub fn rate(number: u64, time: Duration) -> u64 {
    (number as f64 / time.as_secs_f64().max(1e-9)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_file_is_told_in_one_line() {
        let error = slipring_sampling::config::read("quiet = 7\n").unwrap_err().to_string();
        let told = in_one_line(&error);
        assert!(told.contains("line 1") && told.contains("; 1 | quiet = 7; a time is"), "{told}");
    }

    #[test]
    fn numbers_and_texts_are_formatted() {
        assert_eq!([0, 12, 1_234, 1_234_567].map(thousands), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!(
            counted(1, "span") + ", " + &counted(2_000, "log record"),
            "1 span, 2,000 log records"
        );
        assert_eq!(printable("na\u{ef}ve \u{1f600}"), "na\u{ef}ve \u{1f600}");
        assert_eq!(printable("\x1b[2J\u{9b}x\u{202e}\n\t"), "\\u{1b}[2J\\u{9b}x\\u{202e}\\n\\t");
        assert_eq!(printable("a\u{200b}b\u{feff}c\u{200d}d"), "a\\u{200b}b\\u{feff}c\u{200d}d");
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
    }

    #[test]
    fn json_is_unchanged_and_contains_no_terminal_controls() {
        let texts =
            ["a\u{1b}[31m\u{202e}\u{85}b\u{2028}", "\u{e0041}", "na\u{ef}ve \u{1f600} \"\\"];
        let value = serde_json::json!({ texts[0]: texts, "empty": [], "number": 1.5 });
        let mut out = Vec::new();
        write_json(&mut out, &value).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), value);
        let plain = value.to_string();
        let safe = json_printable(&plain);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        assert!(!safe.chars().any(is_terminal_control), "{safe:?}");
        assert!(!out.chars().any(|one| is_terminal_control(one) && one != '\n'), "{out:?}");
        assert!(
            out.contains("\\u202e") && out.contains("\\udb40\\udc41") && out.contains('\u{1f600}'),
            "{out}"
        );
    }
}
