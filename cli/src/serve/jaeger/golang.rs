//! Numbers, truth values and durations as Go's standard library reads and writes them. Jaeger is
//! written in Go, so its parameters and its messages have these forms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{DateTime, date};
use slipring::attribute::ValueRef;
use std::num::{IntErrorKind, ParseIntError};

/// Units of a duration, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];

const SECOND: u64 = 1_000_000_000;

/// Reads a whole number. `function` is the one that Jaeger calls, which the message names.
pub fn whole(function: &str, text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: ParseIntError| {
        let what = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("{function}: parsing {text:?}: {what}")
    })
}

/// Reads a truth value, as `strconv.ParseBool` does.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// Reads a time as RFC 3339 writes it into nanoseconds since the Unix epoch, as `time.Parse` does.
pub fn time(text: &str) -> Option<i128> {
    let (civil, offset) = match text.strip_suffix('Z') {
        Some(civil) => (civil, 0),
        None => {
            let (civil, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let is_form = has_form(offset, "+00:00") || has_form(offset, "-00:00");
            let (hours, minutes) = (offset.get(1..3)?, offset.get(4..6)?);
            let (hours, minutes): (i128, i128) = (hours.parse().ok()?, minutes.parse().ok()?);
            if !is_form || hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            (civil, if offset.starts_with('-') { -seconds } else { seconds })
        }
    };
    let (whole, fraction) = civil.split_at_checked(19)?;
    // Go knows no leap seconds.
    if !has_form(whole, "0000-00-00T00:00:00") || whole.ends_with(":60") {
        return None;
    }
    let digits = fraction.strip_prefix('.').unwrap_or("0");
    let is_fraction = fraction.is_empty() || fraction.starts_with('.');
    if !is_fraction || digits.is_empty() || !digits.bytes().all(|one| one.is_ascii_digit()) {
        return None;
    }
    let nanos: i128 = format!("{:0<9.9}", digits).parse().ok()?;
    let at: DateTime = whole.parse().ok()?;
    let since = at.duration_since(date(1970, 1, 1).at(0, 0, 0, 0)).as_nanos();
    Some(since + nanos - offset * i128::from(SECOND))
}

/// Returns whether a text has digits where `form` has zeros, and otherwise the same characters.
fn has_form(text: &str, form: &str) -> bool {
    let is_same = |(one, wanted): (u8, u8)| match wanted {
        b'0' => one.is_ascii_digit(),
        _ => one == wanted,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(is_same)
}

/// Returns a value as the Collector's `Value.AsString` does, where this differs from the way in
/// which slipring displays it.
pub fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Bytes(bytes) => Some(STANDARD.encode(bytes)),
        ValueRef::Array(_) | ValueRef::Map(_) => serde_json::to_string(&value).ok(),
        ValueRef::Double(number) if number.abs() >= 1e21 && number.is_finite() => {
            Some(format!("{number:e}").replace('e', "e+"))
        }
        ValueRef::Double(number) if number != 0.0 && number.abs() < 1e-6 => {
            Some(format!("{number:e}"))
        }
        _ => None,
    }
}

/// Splits a text before its first character that fits.
fn split(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(fits).unwrap_or(text.len()))
}

/// Reads a duration such as `1ms` or `-1h30.5s` into nanoseconds, as `time.ParseDuration` does.
pub fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let is_negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let is_other = |one: char| !one.is_ascii_digit();
        let (digits, after) = split(rest, is_other);
        let (fraction, after) =
            after.strip_prefix('.').map_or(("", after), |after| split(after, is_other));
        if digits.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, next) = split(after, |one| one == '.' || one.is_ascii_digit());
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor =
            factor.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        // More digits than these are less than a nanosecond.
        let fraction = &fraction[..fraction.len().min(18)];
        let number = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse::<u64>().map(u128::from).map_err(|_| invalid()),
        };
        let scale = 10_u128.pow(fraction.len() as u32);
        let factor = u128::from(factor);
        nanos += number(digits)? * factor + number(fraction)? * factor / scale;
        if nanos > i64::MAX as u128 {
            return Err(invalid());
        }
        rest = next;
    }
    let nanos = nanos as i64;
    Ok(if is_negative { -nanos } else { nanos })
}

/// Shows nanoseconds as `Duration.String` does: `1.5ms`, `-1m2s`.
pub fn shown(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let in_unit = |nanos: u64, unit: u64| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        if rest == 0 {
            return whole.to_string();
        }
        let fraction = format!("{rest:0width$}", width = unit.ilog10() as usize);
        format!("{whole}.{}", fraction.trim_end_matches('0'))
    };
    let shown = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", in_unit(nanos, 1_000)),
        1_000_000..SECOND => format!("{}ms", in_unit(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / (60 * SECOND);
            let seconds = in_unit(nanos % (60 * SECOND), SECOND);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("1ms", 1_000_000),
            ("1.5s", 1_500_000_000),
            (".5us", 500),
            ("2.µs", 2_000),
            ("-1h2m3s", -3_723_000_000_000),
            ("+5ns", 5),
            ("0.1234567890123456789s", 123_456_789),
            ("2562047h47m16.854775807s", i64::MAX),
        ] {
            assert_eq!(duration(text), Ok(nanos), "{text}");
        }
        for (text, wrong) in [
            ("20", r#"time: missing unit in duration "20""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("ms", r#"time: invalid duration "ms""#),
            (".s", r#"time: invalid duration ".s""#),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            ("99999999999999999999ns", r#"time: invalid duration "99999999999999999999ns""#),
        ] {
            assert_eq!(duration(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500_000_000),
            ("1970-01-01T01:30:00+01:30", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2026-11-28T12:00:00.1234567899-02:00", 1_795_874_400_123_456_789),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999_000_000),
        ] {
            assert_eq!(time(text), Some(nanos), "{text}");
        }
        for text in [
            "",
            "x",
            "20300101T000000Z",
            "2030-01-01 00:00:00Z",
            "2030-01-01T00:00:00Z[Europe/Paris]",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00:60Z",
            "2030-02-30T00:00:00Z",
            "2030-01-01T00:00:00.Z",
            "2030-01-01T00:00:00+24:00",
            "2030-01-01T00:00:00+1:00",
            "2030-01-01T00:00:00µ00:00",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_shown_as_the_collector_shows_them() {
        use slipring::Value;
        let shown = |value: Value| text((&value).into());
        let list = Value::from(vec![Value::from("java"), Value::from("-jar")]);
        assert_eq!(shown(list).as_deref(), Some(r#"["java","-jar"]"#));
        assert_eq!(shown(Value::Bytes([1, 2, 255].into())).as_deref(), Some("AQL/"));
        assert_eq!(shown(1e-7.into()).as_deref(), Some("1e-7"));
        assert_eq!(shown((-2.5e21).into()).as_deref(), Some("-2.5e+21"));
        assert_eq!((shown(1.5.into()), shown("a".into()), shown(0.0.into())), (None, None, None));
    }

    #[test]
    fn durations_are_shown_as_go_shows_them() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (-1_500, "-1.5µs"),
            (2_000_000, "2ms"),
            (1_000_000_001, "1.000000001s"),
            (60 * SECOND as i64, "1m0s"),
            (-3_723_500_000_000, "-1h2m3.5s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(shown(nanos), text);
        }
    }

    #[test]
    fn numbers_and_truths_are_refused_in_gos_words() {
        assert_eq!(whole("strconv.ParseInt", "-7"), Ok(-7));
        assert_eq!(
            whole("strconv.ParseInt", "x").unwrap_err(),
            r#"strconv.ParseInt: parsing "x": invalid syntax"#
        );
        assert_eq!(
            whole("strconv.Atoi", "9223372036854775808").unwrap_err(),
            r#"strconv.Atoi: parsing "9223372036854775808": value out of range"#
        );
        assert_eq!((truth("T"), truth("0")), (Ok(true), Ok(false)));
        assert_eq!(
            truth("foobar").unwrap_err(),
            r#"strconv.ParseBool: parsing "foobar": invalid syntax"#
        );
    }
}
