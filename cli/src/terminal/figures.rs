//! Durations, times and shares as people read them.

use jiff::Timestamp;

/// Formats a duration in the unit that suits it.
pub fn took(nanoseconds: u64) -> String {
    let nanos = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanos / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanos / 1e6),
        1_000_000_000..120_000_000_000 => format!("{:.2} s", nanos / 1e9),
        _ => format!("{:.1} min", nanos / 6e10),
    }
}

/// Formats a duration, or that it is unknown.
pub fn took_or_unknown(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "?".to_owned(), took)
}

/// Formats a moment in UTC with milliseconds. 0 is unknown.
pub fn moment(unix_nanos: u64) -> String {
    match Timestamp::from_nanosecond(unix_nanos.into()) {
        Ok(time) if unix_nanos > 0 => time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        _ => "?".to_owned(),
    }
}

/// Formats a number of any size with some digits.
pub fn number(number: f64) -> String {
    let size = number.abs();
    if number.fract() == 0.0 && size < 1e15 {
        let digits = crate::text::thousands(size as u64);
        return if number < 0.0 { format!("-{digits}") } else { digits };
    }
    match size {
        _ if !number.is_finite() => number.to_string(),
        0.01..1e9 => {
            let text = format!("{number:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{number:.3e}"),
    }
}

/// Formats a share of a whole in percent.
pub fn percent(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => "-".to_owned(),
        (0, _) => "0 %".to_owned(),
        _ => {
            let share = 100.0 * part as f64 / whole as f64;
            if share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [7, 1_500, 2_340_000, 1_500_000_000, 180_000_000_000].map(took),
            ["7 ns", "1.5 µs", "2.3 ms", "1.50 s", "3.0 min"]
        );
        assert_eq!(moment(1_700_000_000_123_000_000), "2023-11-14 22:13:20.123");
        assert_eq!([moment(0), took_or_unknown(None)], ["?", "?"]);
        assert_eq!(
            [1_234.0, -5.0, 0.125, 1.0 / 3.0, 1e-7, 1e20, f64::NAN].map(number),
            ["1,234", "-5", "0.125", "0.333", "1.000e-7", "1.000e20", "NaN"]
        );
        assert_eq!(
            [percent(0, 5), percent(1, 300), percent(1, 2), percent(0, 0)],
            ["0 %", "0.3 %", "50 %", "-"]
        );
    }
}
