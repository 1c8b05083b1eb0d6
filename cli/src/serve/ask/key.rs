//! Reads keys, ids, severities and cursors.

use super::After;
use crate::Fallible;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use slipring::telemetry::TelemetryBookmark;
use slipring::{KeyBuf, Severity, TraceId};

/// Returns the keys that a value stands for. The name of a severity level stands for four.
pub(super) fn keys_of(index: &str, value: &str) -> Result<Vec<KeyBuf>, String> {
    match index {
        "trace" => Ok(vec![KeyBuf::Id(trace_id(value)?.into())]),
        "severity" => {
            let first = severity(value)?;
            // By its name, a level is all of it; a number is that number.
            let is_level = first.level() == first && value.parse::<i32>().is_err();
            let last = if is_level { first.0 + 3 } else { first.0 };
            Ok((first.0..=last)
                .map(|number| slipring::Key::from(Severity(number)).to_owned())
                .collect())
        }
        _ => Ok(vec![KeyBuf::Text(value.into())]),
    }
}

/// A trace's id as its tools write it: in either case, with dashes, or without the zeros that it
/// begins with.
pub fn trace_id(text: &str) -> Result<TraceId, String> {
    let digits: String = text.trim().chars().filter(|&digit| digit != '-').collect();
    if let Some(wrong) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Err(format!("an id has {wrong:?}, which is no hexadecimal digit"));
    }
    let id = if digits.is_empty() { digits } else { format!("{digits:0>32}") };
    let id: TraceId = id.parse().map_err(|error| format!("{error}"))?;
    if id.is_zero() {
        return Err("no trace has the id that is all zero".to_owned());
    }
    Ok(id)
}

pub(super) fn severity(value: &str) -> Result<Severity, String> {
    let number = || value.parse().ok().map(Severity);
    Severity::named(value)
        .or_else(number)
        .ok_or_else(|| "give a name, such as WARN, or a number".to_owned())
}

/// Encodes a place where a page begins as a token for a URL.
pub fn token(next: &After) -> Fallible<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(next)?))
}

/// Encodes a moment as a token for a URL.
pub fn moment_token(moment: &TelemetryBookmark) -> Fallible<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(moment)?))
}

pub(super) fn moment(token: &str) -> Result<TelemetryBookmark, String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let moment = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    moment.ok_or_else(|| "give what `moment` of /api/moment says".to_owned())
}

pub(super) fn cursor(token: &str) -> Result<After, String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    cursor.ok_or_else(|| "give what `next` of a page says".to_owned())
}
