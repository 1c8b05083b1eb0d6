//! Severities of log records.

use std::fmt;

use super::Key;

/// The severity number of a log record: 1 to 24, in six levels of four, or 0 if it was not
/// specified.
///
/// The protocol gives other numbers no meaning; they are kept as they arrived. Severities compare
/// as their numbers do, so that a level is a range, such as `Severity::WARN..=Severity::WARN4`. A
/// severity is serialized as its number.
///
/// ```
/// use slipring::Severity;
///
/// let severity = Severity(19);
/// assert_eq!(severity, Severity::ERROR3);
/// assert_eq!(severity.level(), Severity::ERROR);
/// assert_eq!(severity.name(), Some("ERROR3"));
/// assert!(severity > Severity::WARN4);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct Severity(pub i32);

macro_rules! severities {
    ($($name:ident = $number:literal, $what:literal;)*) => {
        impl Severity {
            $(#[doc = $what] pub const $name: Self = Self($number);)*
        }

        const NAMES: [&str; 24] = [$(stringify!($name)),*];
    };
}

severities! {
    TRACE = 1, "Fine-grained debugging, usually off.";
    TRACE2 = 2, "Above [`TRACE`](Severity::TRACE).";
    TRACE3 = 3, "Above [`TRACE2`](Severity::TRACE2).";
    TRACE4 = 4, "The gravest of the trace level.";
    DEBUG = 5, "Debugging.";
    DEBUG2 = 6, "Above [`DEBUG`](Severity::DEBUG).";
    DEBUG3 = 7, "Above [`DEBUG2`](Severity::DEBUG2).";
    DEBUG4 = 8, "The gravest of the debug level.";
    INFO = 9, "Something happened, as it should.";
    INFO2 = 10, "Above [`INFO`](Severity::INFO).";
    INFO3 = 11, "Above [`INFO2`](Severity::INFO2).";
    INFO4 = 12, "The gravest of the info level.";
    WARN = 13, "Not an error, but more important than information.";
    WARN2 = 14, "Above [`WARN`](Severity::WARN).";
    WARN3 = 15, "Above [`WARN2`](Severity::WARN2).";
    WARN4 = 16, "The gravest of the warning level.";
    ERROR = 17, "Something went wrong.";
    ERROR2 = 18, "Above [`ERROR`](Severity::ERROR).";
    ERROR3 = 19, "Above [`ERROR2`](Severity::ERROR2).";
    ERROR4 = 20, "The gravest of the error level.";
    FATAL = 21, "The application or the system is down.";
    FATAL2 = 22, "Above [`FATAL`](Severity::FATAL).";
    FATAL3 = 23, "Above [`FATAL2`](Severity::FATAL2).";
    FATAL4 = 24, "The gravest there is.";
}

impl Severity {
    /// Not specified.
    pub const UNSPECIFIED: Self = Self(0);

    /// Returns the severity's name, such as `INFO` or `ERROR3`. Returns `None` for numbers that the
    /// protocol gives no meaning.
    pub fn name(self) -> Option<&'static str> {
        let index = usize::try_from(self.0).ok()?.checked_sub(1)?;
        NAMES.get(index).copied()
    }

    /// Returns the severity with this name, ignoring case.
    ///
    /// ```
    /// use slipring::Severity;
    ///
    /// assert_eq!(Severity::named("warn"), Some(Severity::WARN));
    /// assert_eq!(Severity::named("loud"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        let index = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self(index as i32 + 1))
    }

    /// Returns the lowest severity of the same level: the level of `ERROR3` is `ERROR`. A number
    /// without a name is its own level.
    pub fn level(self) -> Self {
        if self.name().is_some() { Self((self.0 - 1) / 4 * 4 + 1) } else { self }
    }
}

/// Converts a severity into the key under which its records are found. Records with a number below
/// 1 are in no index by severity.
impl From<Severity> for Key<'_> {
    fn from(severity: Severity) -> Self {
        Key::Int(severity.0 as u64)
    }
}

/// Formats the severity as its name, or as its number if it has no name.
impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_levels_follow_the_numbers() {
        for number in 1..=24 {
            let severity = Severity(number);
            let level = severity.level();
            let rank = number - level.0;
            let suffix = if rank == 0 { String::new() } else { (rank + 1).to_string() };
            assert_eq!(severity.to_string(), format!("{level}{suffix}"));
            assert!((0..4).contains(&rank));
        }
        assert_eq!(Severity::FATAL4.level(), Severity::FATAL);
    }

    #[test]
    fn other_numbers_have_no_name() {
        for number in [i32::MIN, -1, 0, 25, i32::MAX] {
            assert_eq!(Severity(number).name(), None);
            assert_eq!(Severity(number).level(), Severity(number));
            assert_eq!(Severity(number).to_string(), number.to_string());
        }
    }
}
