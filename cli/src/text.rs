//! Numbers for people, and JSON for machines.

use crate::Fallible;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// As JSON, with a line's end.
pub fn write_json(out: &mut impl Write, value: &impl Serialize) -> Fallible<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
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
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
    }
}
