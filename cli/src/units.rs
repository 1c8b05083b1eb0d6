//! Parses numbers with units as users write them: amounts, bytes, durations and times.

use jiff::{Timestamp, civil, tz::TimeZone};
use std::time::{Duration, SystemTime};

/// The upper bound of durations, in seconds. Adding it to a clock's time cannot overflow.
const MOST_SECONDS: f64 = 1e9;

/// Splits a text into its number, whose digits `_` may separate, and its unit.
fn number_and_unit(text: &str) -> (String, &str) {
    let text = text.trim();
    let at = text
        .find(|part: char| !part.is_ascii_digit() && part != '.' && part != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number.replace('_', ""), unit.trim())
}

/// Returns the number times `factor`, if the product is a whole number.
fn times(number: &str, factor: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let all = number.parse::<f64>().ok()? * factor as f64;
    // Above 2⁵³, not every integer is representable as a double.
    (all.fract() == 0.0 && (0.0..9e15).contains(&all)).then_some(all as u64)
}

/// Parses an amount: `1000`, `10k`, `2M`.
pub fn amount(text: &str) -> Result<usize, String> {
    let (number, unit) = number_and_unit(text);
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ => 0,
    };
    let amount = times(&number, factor)
        .filter(|_| factor > 0)
        .and_then(|amount| usize::try_from(amount).ok());
    amount.ok_or_else(|| {
        "give a whole number, such as 10000 or 10k; k, M and G are thousands, millions and billions".to_owned()
    })
}

/// Parses a number of bytes: `65536`, `64k`, `64M`, `64MiB`, `64MB`.
pub fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = number_and_unit(text);
    let unit = unit.to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => Some(1),
        "k" | "ki" | "kib" => Some(1 << 10),
        "m" | "mi" | "mib" => Some(1 << 20),
        "g" | "gi" | "gib" => Some(1 << 30),
        "t" | "ti" | "tib" => Some(1 << 40),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = factor
        .and_then(|factor| times(&number, factor))
        .and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        "give bytes, such as 65536, 64k or 64M; k, M and G are powers of 1024, kB, MB and GB of 1000".to_owned()
    })
}

/// Parses a number of bytes as [`bytes`] does, and rejects 0.
pub fn some_bytes(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        0 => Err("0 bytes would reject everything; give at least 1".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses a duration above 0: `90` seconds, `1.5s`, `15m`, `1h 30m`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let plain = || Duration::try_from_secs_f64(text.parse::<f64>().ok()?).ok();
    let parsed = plain().or_else(|| any_duration(text)).filter(|time| !time.is_zero());
    let time = parsed.filter(|time| time.as_secs_f64() <= MOST_SECONDS);
    time.ok_or_else(|| {
        "give seconds above 0, such as 90, or a time such as 15m; at most a billion seconds"
            .to_owned()
    })
}

/// Parses a duration with a unit. The number may have a fraction.
fn any_duration(text: &str) -> Option<Duration> {
    let parsed = humantime::parse_duration(text).ok();
    parsed.or_else(|| {
        let (number, unit) = number_and_unit(text);
        let unit =
            humantime::parse_duration(&format!("1{unit}")).ok().filter(|_| !unit.is_empty())?;
        Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit.as_secs_f64()).ok()
    })
}

/// Converts a duration to nanoseconds, saturating at `u64::MAX`.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Parses a duration into nanoseconds: `250ms`, `1.5s`. Only 0 may lack a unit.
pub fn duration(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    if text.parse::<f64>().is_ok() {
        return Err(format!(
            "{text} of what? give a unit: {text}ns, {text}us, {text}ms or {text}s"
        ));
    }
    any_duration(text)
        .map(nanoseconds)
        .ok_or_else(|| "give a duration with its unit, such as 250ms or 1.5s".to_owned())
}

const A_TIME: &str = "give a time such as 2026-01-31, 2026-01-31T12:00:00Z or 1795800000 (seconds, milliseconds, microseconds or nanoseconds since 1970), or how long ago, such as 15m";

/// Parses a moment into nanoseconds since the Unix epoch. The text is a date or a time as in RFC
/// 3339, in UTC unless it has an offset; a number since the epoch, whose unit follows from its
/// size; or a duration before now. Moments before 1970 become 0.
pub fn time(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let whole = text.split('.').next().unwrap_or_default();
    if let Ok(number) = whole.parse::<u64>() {
        return since_epoch(text, number);
    }
    let ago = |ago| {
        let moment = SystemTime::now().checked_sub(ago);
        moment
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, nanoseconds)
    };
    civil_time(text).or_else(|| any_duration(text).map(ago)).ok_or_else(|| A_TIME.to_owned())
}

/// Converts a number since the epoch to nanoseconds. Its unit follows from its size: numbers up to
/// the year 5138 in seconds are seconds, larger ones milliseconds, and so on.
fn since_epoch(text: &str, number: u64) -> Result<u64, String> {
    let unit: u64 = match number {
        0 => return Ok(0),
        1..100_000_000 => {
            return Err(format!(
                "{text} of what? give how long ago, such as {text}s or {text}m, or a time such as 2026-01-31"
            ));
        }
        100_000_000..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let fraction =
        text.split_once('.').map_or(Ok(0.0), |(_, digits)| format!("0.{digits}").parse::<f64>());
    let fraction = fraction.map_err(|_| A_TIME.to_owned())? * unit as f64;
    Ok(number.saturating_mul(unit).saturating_add(fraction as u64))
}

fn civil_time(text: &str) -> Option<u64> {
    // In a URL, an unescaped + of an offset is decoded as a space.
    let text = match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains('T') && offset.contains(':') => {
            format!("{time}+{offset}")
        }
        _ => text.to_owned(),
    };
    let in_utc = |time: civil::DateTime| TimeZone::UTC.to_timestamp(time).ok();
    let timestamp = text.parse::<Timestamp>().ok();
    let timestamp = timestamp.or_else(|| in_utc(text.parse::<civil::DateTime>().ok()?));
    let nanoseconds = timestamp?.as_nanosecond();
    Some(u64::try_from(nanoseconds.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_bytes_accept_units() {
        assert_eq!(
            ["1000", "10k", "1.5M", "1_000"].map(amount),
            [Ok(1_000), Ok(10_000), Ok(1_500_000), Ok(1_000)]
        );
        assert_eq!(
            ["64M", "64MiB", "64 MB", "1.5k", "0"].map(bytes),
            [Ok(64 << 20), Ok(64 << 20), Ok(64_000_000), Ok(1_536), Ok(0)]
        );
        for wrong in ["", "k", "-1", "1.2345k.", "10x", "1e400", "99999999999999999999", "0.3"] {
            assert!(amount(wrong).is_err() && bytes(wrong).is_err(), "{wrong}");
        }
        assert!(some_bytes("0").unwrap_err().contains("at least 1"));
    }

    #[test]
    fn seconds_accept_other_units() {
        assert_eq!(
            ["90", "0.5", "15m", "1h 30m", "1.5h"].map(|text| seconds(text).unwrap().as_millis()),
            [90_000, 500, 900_000, 5_400_000, 5_400_000]
        );
        assert!(
            ["0", "-1", "nan", "inf", "1e10", "100years", "x", ""]
                .iter()
                .all(|wrong| seconds(wrong).is_err())
        );
    }

    #[test]
    fn durations_require_a_unit() {
        assert_eq!(
            ["250ms", "1.5s", "0", "7us", "1m 2s"].map(duration),
            [Ok(250_000_000), Ok(1_500_000_000), Ok(0), Ok(7_000), Ok(62_000_000_000)]
        );
        assert_eq!(duration("1000years"), Ok(u64::MAX));
        assert!(duration("100").unwrap_err().contains("100ms"));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn times_are_absolute_or_relative_to_now() {
        const AT: u64 = 1_700_000_000_000_000_000;
        for text in [
            "1700000000",
            "1700000000.0",
            "1700000000000",
            "1700000000000000",
            "1700000000000000000",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20",
            "2023-11-15T00:13:20+02:00",
            "2023-11-15T00:13:20 02:00",
        ] {
            assert_eq!(time(text), Ok(AT), "{text}");
        }
        assert_eq!(time("1700000000.25"), Ok(AT + 250_000_000));
        assert_eq!(time("2026-01-01"), Ok(1_767_225_600_000_000_000));
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!((now - 61_000_000_000..now).contains(&time("1m").unwrap()));
        assert_eq!(
            [time("2555-01-01T00:00:00Z"), time("100years"), time("0")],
            [Ok(u64::MAX), Ok(0), Ok(0)]
        );
        assert!(time("100").unwrap_err().contains("100s"));
        assert!(time("yesterday").unwrap_err().contains("how long ago"));
        assert!(time("1700000000.x").is_err() && time("").is_err());
    }
}
