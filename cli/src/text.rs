//! Numbers for people, and JSON for machines.

use crate::Fallible;
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

/// As JSON, with a line's end.
pub fn write_json(out: &mut impl Write, value: &impl Serialize) -> Fallible<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// A text that somebody else wrote, for a terminal: what would steer it, or change the order in which it is read, is escaped.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_steering = |one: char| {
        one.is_control() || matches!(one, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let escaped = |one: char| if is_steering(one) { one.escape_default().to_string() } else { one.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// With commas.
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

/// One and no plural, or several and one.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A second.
pub fn rate(number: u64, time: Duration) -> u64 {
    (number as f64 / time.as_secs_f64().max(1e-9)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 12, 1_234, 1_234_567].map(thousands), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!(counted(1, "span") + ", " + &counted(2_000, "log record"), "1 span, 2,000 log records");
        assert_eq!(printable("na\u{ef}ve \u{1f600}"), "na\u{ef}ve \u{1f600}");
        assert_eq!(printable("\x1b[2J\u{9b}x\u{202e}\n\t"), "\\u{1b}[2J\\u{9b}x\\u{202e}\\n\\t");
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
    }
}
