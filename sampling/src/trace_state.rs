//! OpenTelemetry's entry in W3C's `tracestate`: `ot=th:…;rv:…`.

use crate::threshold::{Randomness, Threshold};

/// What the entry says of sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sampling {
    pub(crate) threshold: Option<Threshold>,
    pub(crate) randomness: Option<Randomness>,
}

/// Returns the value of the entry `ot`, and the other entries in their order.
fn split(state: &str) -> (Option<&str>, impl Iterator<Item = &str>) {
    let entries = || state.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let own = entries().find_map(|entry| entry.strip_prefix("ot="));
    (own, entries().filter(|entry| !entry.starts_with("ot=")))
}

/// Returns the value of a key in OpenTelemetry's entry.
fn value<'a>(own: &'a str, key: &str) -> Option<&'a str> {
    own.split(';').find_map(|pair| pair.strip_prefix(key)?.strip_prefix(':'))
}

/// Reads the entry. Values that are malformed count as absent.
pub(crate) fn read(state: &str) -> Sampling {
    if state.is_empty() {
        return Sampling::default();
    }
    let own = split(state).0.unwrap_or_default();
    Sampling {
        threshold: value(own, "th").and_then(|text| text.parse().ok()),
        randomness: value(own, "rv").and_then(|text| text.parse().ok()),
    }
}

/// Returns the state with another threshold, or without one. The changed entry moves to the front,
/// as W3C recommends. Everything else keeps its order.
pub(crate) fn with_threshold(state: &str, threshold: Option<Threshold>) -> String {
    let (own, others) = split(state);
    let kept = own.unwrap_or_default().split(';').filter(|pair| !pair.is_empty());
    let kept = kept.filter(|pair| !pair.starts_with("th:"));
    let threshold = threshold.map(|threshold| format!("th:{threshold}"));
    let pairs: Vec<&str> = threshold.as_deref().into_iter().chain(kept).collect();
    let mut entries: Vec<String> = others.map(str::to_owned).collect();
    if !pairs.is_empty() {
        entries.insert(0, format!("ot={}", pairs.join(";")));
    }
    entries.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_found_among_others() {
        let state = "vendor=ot=1, ot=x:1;th:c;rv:0123456789abcd,other=th:8";
        let sampling = read(state);
        assert_eq!(sampling.threshold, "c".parse().ok());
        assert_eq!(sampling.randomness, "0123456789abcd".parse().ok());
        assert_eq!(read("vendor=th:c"), Sampling::default());
        assert_eq!(read("ot=th:C;rv:1"), Sampling::default());
    }

    #[test]
    fn only_the_threshold_changes() {
        let with = |state, threshold: &str| with_threshold(state, threshold.parse().ok());
        assert_eq!(with("", "8"), "ot=th:8");
        assert_eq!(with("a=1", "8"), "ot=th:8,a=1");
        assert_eq!(with("a=1,ot=x:y;th:c;rv:0123456789abcd,b=2", "8"), {
            "ot=th:8;x:y;rv:0123456789abcd,a=1,b=2"
        });
        assert_eq!(with_threshold("a=1,ot=th:c", None), "a=1");
        assert_eq!(with_threshold("ot=th:c;rv:0123456789abcd", None), "ot=rv:0123456789abcd");
    }
}
