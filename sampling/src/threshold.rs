//! Rejection thresholds and randomness, as OpenTelemetry's consistent probability sampling defines
//! them.

use slipring::TraceId;
use std::fmt;

/// The number of random bits of a trace.
const BITS: u32 = 56;

/// The number of hexadecimal digits of 56 bits.
const DIGITS: u32 = BITS / 4;

const MOST: u64 = 1 << BITS;

/// The number of digits of a threshold after its leading `f`s. The specification recommends it.
const PRECISION: u32 = 4;

/// A rejection threshold: how many of 2⁵⁶ traces are rejected. It is what `th` in `tracestate`
/// says. A trace is kept if its [`Randomness`] is not below the threshold.
///
/// Displayed as `th` is written: without trailing zeros.
///
/// ```
/// use slipring_sampling::Threshold;
///
/// let one_percent = Threshold::of_probability(0.01).expect("a probability");
/// assert_eq!(one_percent.to_string(), "fd70a");
/// assert_eq!("c".parse(), Ok(Threshold::of_probability(0.25).expect("a probability")));
/// assert!((one_percent.adjusted_count() - 100.0).abs() < 0.01);
/// assert_eq!(Threshold::ALWAYS.to_string(), "0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

/// An error from parsing a text as a [`Threshold`] or a [`Randomness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a threshold has 1 to 14 lower-case hexadecimal digits, and a randomness has 14")]
#[non_exhaustive]
pub struct ParseThresholdError;

impl Threshold {
    /// Rejects nothing.
    pub const ALWAYS: Self = Self(0);

    /// Rejects everything. `tracestate` has no way to say it, and no kept span needs one.
    pub const NEVER: Self = Self(MOST);

    /// Returns the threshold for a probability between 2⁻⁵⁶ and 1, or `None` for other numbers. It
    /// has four significant digits after the leading `f`s, so that probabilities are exact to
    /// within 0.02 %.
    pub fn of_probability(probability: f64) -> Option<Self> {
        let least = 1.0 / MOST as f64;
        if !(least..=1.0).contains(&probability) {
            return None;
        }
        let exact = MOST - (probability * MOST as f64).round() as u64;
        let leading = (exact << (64 - BITS)).leading_ones() / 4;
        let digits = (leading + PRECISION).min(DIGITS);
        let shift = 4 * (DIGITS - digits);
        let rounded = (exact + ((1 << shift) >> 1)) >> shift << shift;
        Some(Self(if rounded < MOST { rounded } else { exact }))
    }

    /// Returns the probability with which a trace is kept.
    pub fn probability(self) -> f64 {
        (MOST - self.0) as f64 / MOST as f64
    }

    /// Returns the number of traces that a kept one stands for: the inverse of its probability. It
    /// is infinite for [`NEVER`](Self::NEVER).
    pub fn adjusted_count(self) -> f64 {
        MOST as f64 / (MOST - self.0) as f64
    }

    /// Returns whether a trace of this randomness is kept.
    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// Returns the number of rejected traces of 2⁵⁶.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn of_number(number: u64) -> Self {
        Self(number.min(MOST))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let digits = DIGITS - self.0.trailing_zeros() / 4;
        let number = self.0 >> (4 * (DIGITS - digits.min(DIGITS)));
        write!(f, "{number:0width$x}", width = digits as usize)
    }
}

impl std::str::FromStr for Threshold {
    type Err = ParseThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() as u32;
        if !(1..=DIGITS).contains(&digits) {
            return Err(ParseThresholdError);
        }
        hexadecimal(text).map(|number| Self(number << (4 * (DIGITS - digits))))
    }
}

fn hexadecimal(text: &str) -> Result<u64, ParseThresholdError> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if !text.bytes().all(is_digit) {
        return Err(ParseThresholdError);
    }
    u64::from_str_radix(text, 16).map_err(|_| ParseThresholdError)
}

/// The randomness of a trace: 56 bits that all samplers of the trace share, so that their decisions
/// agree. `rv` in `tracestate` says it, or else the trace id's last seven bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

impl Randomness {
    /// Returns the randomness of a trace that has no explicit one.
    pub fn of_trace(id: TraceId) -> Self {
        Self(u128::from(id) as u64 & (MOST - 1))
    }
}

impl std::str::FromStr for Randomness {
    type Err = ParseThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() as u32 != DIGITS {
            return Err(ParseThresholdError);
        }
        hexadecimal(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_written_as_the_specification_writes_them() {
        let th = |probability| Threshold::of_probability(probability).unwrap().to_string();
        // The specification's table, in its recommended precision.
        for (probability, text) in [
            (1.0, "0"),
            (0.5, "8"),
            (0.25, "c"),
            (0.1, "e666"),
            (0.01, "fd70a"),
            (0.001, "ffbe77"),
            (0.000_001, "ffffef39"),
            (1.0 / 3.0, "aaab"),
            (2.0 / 3.0, "5555"),
            (1.0 / (1u64 << 56) as f64, "ffffffffffffff"),
        ] {
            assert_eq!(th(probability), text, "{probability}");
        }
        for wrong in [0.0, -1.0, 1.1, f64::NAN] {
            assert_eq!(Threshold::of_probability(wrong), None);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for text in ["0", "8", "fd70a4", "00000000000001", "ffffffffffffff"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
        for wrong in ["", "C", "+1", "123456789012345", "g"] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
        assert!("123".parse::<Randomness>().is_err());
        let id = TraceId::from(0x0102_0304_0506_0708_09aa_bbcc_ddee_ff11);
        assert_eq!("aabbccddeeff11".parse(), Ok(Randomness::of_trace(id)));
    }

    #[test]
    fn the_threshold_itself_is_kept() {
        let threshold: Threshold = "8".parse().unwrap();
        assert!(threshold.keeps("80000000000000".parse().unwrap()));
        assert!(!threshold.keeps("7fffffffffffff".parse().unwrap()));
        assert!(!Threshold::NEVER.keeps("ffffffffffffff".parse().unwrap()));
    }
}
