//! Conditions on attributes.

use crate::error::QueryError;
use crate::signal::{AttributesRef, LogRecord, MetricPoint, Span, Value, ValueRef};
use std::fmt::{self, Write};
use std::ops::Bound;

/// Where an attribute may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Level {
    /// The record's own.
    Record,
    /// Its resource's.
    Resource,
    /// Its scope's.
    Scope,
    /// One of a span's events'.
    Event,
    /// One of a span's links'.
    Link,
    /// One of a metric point's exemplars'.
    Exemplar,
}

impl Level {
    /// All of them, in the order in which they are looked through.
    pub const ALL: [Self; 6] = [Self::Record, Self::Resource, Self::Scope, Self::Event, Self::Link, Self::Exemplar];
}

/// A record with attributes.
///
/// Implement it for a type of your own, and queries can ask for its attributes.
pub trait Attributed {
    /// Calls `visit` with each list of attributes at this level, until it answers true; whether it did.
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool;

    /// Whether an attribute of this name, at this level or at any, has a value that `test` wants. O(attributes); values of others
    /// are passed over unread.
    fn any_value(&self, level: Option<Level>, name: &str, test: &mut dyn FnMut(ValueRef<'_>) -> bool) -> bool {
        let mut any = |level| self.any_list(level, &mut |list| list.named(name).any(&mut *test));
        match level {
            Some(level) => any(level),
            None => Level::ALL.into_iter().any(any),
        }
    }

    /// The first attribute of this name, at this level or at any, as `read` reads it.
    fn read_attribute<R>(&self, level: Option<Level>, name: &str, read: impl FnOnce(ValueRef<'_>) -> R) -> Option<R>
    where
        Self: Sized,
    {
        let (mut read, mut found) = (Some(read), None);
        self.any_value(level, name, &mut |value| {
            found = read.take().map(|read| read(value));
            true
        });
        found
    }
}

impl Attributed for Span {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool {
        match level {
            Level::Record => visit(self.attributes()),
            Level::Resource => visit(self.resource().attributes()),
            Level::Scope => visit(self.scope().attributes()),
            Level::Event => self.events().iter().any(|event| visit(event.attributes())),
            Level::Link => self.links().iter().any(|link| visit(link.attributes())),
            Level::Exemplar => false,
        }
    }
}

impl Attributed for LogRecord {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool {
        match level {
            Level::Record => visit(self.attributes()),
            Level::Resource => visit(self.resource().attributes()),
            Level::Scope => visit(self.scope().attributes()),
            Level::Event | Level::Link | Level::Exemplar => false,
        }
    }
}

impl Attributed for MetricPoint {
    fn any_list(&self, level: Level, visit: &mut dyn FnMut(AttributesRef<'_>) -> bool) -> bool {
        match level {
            Level::Record => visit(self.attributes()),
            Level::Resource => visit(self.resource().attributes()),
            Level::Scope => visit(self.scope().attributes()),
            Level::Exemplar => self.exemplars().iter().any(|exemplar| visit(exemplar.filtered_attributes())),
            Level::Event | Level::Link => false,
        }
    }
}

/// What a value must be like.
///
/// ```
/// use slipring::{Match, Value};
///
/// let fits = |wanted: Match, value: Value| wanted.fits(&value);
/// assert_eq!(fits(Match::equals(200), Value::Double(200.0)), Ok(true));
/// assert_eq!(fits(Match::reads("200"), Value::Int(200)), Ok(true));
/// assert_eq!(fits(Match::at_least(500.0), Value::Int(503)), Ok(true));
/// assert_eq!(fits(Match::like("GET /*/items"), "GET /cart/items".into()), Ok(true));
/// assert!(fits(Match::like("ends in a \\"), Value::Empty).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Match {
    /// It is there, whatever it is.
    Has,
    /// It equals this value; whole numbers and others are compared as numbers.
    Equals(Value),
    /// It reads like this when displayed: `200` is the number and the text.
    Reads(Box<str>),
    /// It is a number between these.
    Number(Bound<f64>, Bound<f64>),
    /// It is a text that contains this one.
    Contains(Box<str>),
    /// It is a text that starts with this one.
    StartsWith(Box<str>),
    /// It is a text that fits this pattern as a whole: `*` stands for any characters, `?` for one, and `\` before one of these
    /// three for that character itself.
    Like(Box<str>),
}

impl Match {
    /// See [`Match::Equals`].
    pub fn equals(value: impl Into<Value>) -> Self {
        Match::Equals(value.into())
    }

    /// See [`Match::Reads`].
    pub fn reads(text: impl Into<Box<str>>) -> Self {
        Match::Reads(text.into())
    }

    /// A number not below this one.
    pub fn at_least(number: f64) -> Self {
        Match::Number(Bound::Included(number), Bound::Unbounded)
    }

    /// A number not above this one.
    pub fn at_most(number: f64) -> Self {
        Match::Number(Bound::Unbounded, Bound::Included(number))
    }

    /// A number above this one.
    pub fn above(number: f64) -> Self {
        Match::Number(Bound::Excluded(number), Bound::Unbounded)
    }

    /// A number below this one.
    pub fn below(number: f64) -> Self {
        Match::Number(Bound::Unbounded, Bound::Excluded(number))
    }

    /// See [`Match::Contains`].
    pub fn contains(text: impl Into<Box<str>>) -> Self {
        Match::Contains(text.into())
    }

    /// See [`Match::StartsWith`].
    pub fn starts_with(text: impl Into<Box<str>>) -> Self {
        Match::StartsWith(text.into())
    }

    /// See [`Match::Like`].
    pub fn like(pattern: impl Into<Box<str>>) -> Self {
        Match::Like(pattern.into())
    }

    /// Whether a value is like that. O(length of a text; times that of a pattern with several `*`).
    ///
    /// # Errors
    /// [`QueryError::BadPattern`] if the pattern is none; [`QueryError::NotANumber`] if a bound is NaN.
    pub fn fits<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<bool, QueryError> {
        Ok(self.clone().compile()?.fits(value.into()))
    }

    pub(super) fn compile(self) -> Result<Compiled, QueryError> {
        Ok(match self {
            Match::Like(pattern) => Compiled::Like(parts_of(&pattern)?),
            Match::Number(least, most) => {
                let is_nan = |bound| matches!(bound, Bound::Included(n) | Bound::Excluded(n) if f64::is_nan(n));
                if is_nan(least) || is_nan(most) {
                    return Err(QueryError::NotANumber);
                }
                Compiled::Plain(self)
            }
            other => Compiled::Plain(other),
        })
    }
}

/// A [`Match`] that means something.
pub(super) enum Compiled {
    Plain(Match),
    Like(Vec<Part>),
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    This(char),
    AnyOne,
    AnyMany,
}

impl Compiled {
    pub(super) fn fits(&self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Compiled::Plain(Match::Has), _) => true,
            (Compiled::Plain(Match::Equals(wanted)), _) => equal(wanted.into(), value),
            (Compiled::Plain(Match::Reads(wanted)), _) => reads(value, wanted),
            (Compiled::Plain(Match::Number(least, most)), ValueRef::Int(number)) => {
                within(number as f64, *least, *most)
            }
            (Compiled::Plain(Match::Number(least, most)), ValueRef::Double(number)) => within(number, *least, *most),
            (Compiled::Plain(Match::Contains(wanted)), ValueRef::Text(text)) => text.contains(&**wanted),
            (Compiled::Plain(Match::StartsWith(wanted)), ValueRef::Text(text)) => text.starts_with(&**wanted),
            (Compiled::Like(parts), ValueRef::Text(text)) => is_like(text, parts),
            _ => false,
        }
    }
}

fn within(number: f64, least: Bound<f64>, most: Bound<f64>) -> bool {
    use std::ops::RangeBounds;
    (least, most).contains(&number)
}

fn equal(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (ValueRef::Int(whole), ValueRef::Double(number)) | (ValueRef::Double(number), ValueRef::Int(whole)) => {
            // Beyond 2⁵³ not every whole number is a double.
            whole as f64 == number && number < 9_223_372_036_854_775_808.0 && number as i64 == whole
        }
        _ => one == other,
    }
}

/// Whether a value, displayed, is this text. Displays it into nothing.
fn reads(value: ValueRef<'_>, text: &str) -> bool {
    struct Rest<'t>(&'t str);
    impl Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    if let ValueRef::Text(value) = value {
        return value == text;
    }
    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}

fn parts_of(pattern: &str) -> Result<Vec<Part>, QueryError> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '*' => Part::AnyMany,
            '?' => Part::AnyOne,
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '?' | '\\')) => Part::This(escaped),
                found => return Err(QueryError::BadPattern { pattern: pattern.to_owned(), found }),
            },
            other => Part::This(other),
        });
    }
    Ok(parts)
}

/// Tries the shortest run for each `*`, and a longer one for the last of them where the rest does not fit: an earlier one needs
/// no second try, since whatever it would take the last one can take too.
fn is_like(text: &str, parts: &[Part]) -> bool {
    let (mut part, mut rest) = (0, text.chars());
    let mut retry = None;
    loop {
        let before = rest.clone();
        let fits = match (parts.get(part), rest.next()) {
            (Some(Part::AnyMany), _) => {
                rest = before.clone();
                retry = Some((part + 1, before));
                true
            }
            (Some(Part::AnyOne), Some(_)) => true,
            (Some(Part::This(wanted)), Some(found)) => *wanted == found,
            (None, None) => return true,
            _ => false,
        };
        if fits {
            part += 1;
            continue;
        }
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (part, rest) = (*after, from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn like(pattern: &str, text: &str) -> bool {
        Match::like(pattern).fits(text).unwrap()
    }

    #[test]
    fn patterns_fit_as_a_whole() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("a?c", "aéc", true),
            ("?", "", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("\\\\", "\\", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("**", "anything", true),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let wrong = |pattern: &str| Match::like(pattern).fits(ValueRef::Empty).unwrap_err().to_string();
        assert!(wrong("a\\").contains("at its end"), "{}", wrong("a\\"));
        assert!(wrong("\\n").contains("'n'"), "{}", wrong("\\n"));
        assert_eq!(Match::above(f64::NAN).fits(1), Err(QueryError::NotANumber));
    }

    #[test]
    fn numbers_compare_as_numbers_and_texts_do_not() {
        let fits = |wanted: Match, value: Value| wanted.fits(&value).unwrap();
        assert!(fits(Match::equals(1), Value::Double(1.0)));
        assert!(!fits(Match::equals((1 << 53) + 1), Value::Double((1u64 << 53) as f64)));
        assert!(!fits(Match::equals(i64::MAX), Value::Double(9_223_372_036_854_775_808.0)));
        assert!(fits(Match::equals(f64::NAN), Value::Double(f64::NAN)));
        assert!(!fits(Match::equals("1"), Value::Int(1)));
        assert!(fits(Match::reads("[1, 2]"), vec![Value::Int(1), Value::Int(2)].into()));
        assert!(!fits(Match::reads("[1, 2"), vec![Value::Int(1), Value::Int(2)].into()));
        assert!(fits(Match::above(1.0), Value::Int(2)) && !fits(Match::above(2.0), Value::Int(2)));
        assert!(!fits(Match::at_most(1.0), Value::Double(f64::NAN)));
        assert!(!fits(Match::at_least(1.0), "2".into()));
    }

    /// By trying everything.
    fn is_like_slowly(text: &[char], parts: &[Part]) -> bool {
        match (parts, text) {
            ([], _) => text.is_empty(),
            ([Part::AnyMany, parts @ ..], _) => (0..=text.len()).any(|taken| is_like_slowly(&text[taken..], parts)),
            ([Part::AnyOne, parts @ ..], [_, text @ ..]) => is_like_slowly(text, parts),
            ([Part::This(wanted), parts @ ..], [found, text @ ..]) => wanted == found && is_like_slowly(text, parts),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_fit_what_trying_everything_fits(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let parts = parts_of(&pattern).unwrap();
            prop_assert_eq!(is_like(&text, &parts), is_like_slowly(&text.chars().collect::<Vec<_>>(), &parts));
        }
    }
}
