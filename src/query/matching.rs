//! Conditions on attribute values, keys and bodies.

use super::filter::{Attributed, Level};
use super::needle::{Needle, is_of_texts_only};
use super::pattern::{Part, is_like, parts_of};
use crate::error::QueryError;
use crate::signal::{Key, Value, ValueRef};
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Bound;

/// A condition on a value.
///
/// A value that holds others matches if one of them does: an array if any of its elements matches,
/// a map if any of its values does, at any depth. Conditions on text compare other values as they
/// are displayed: `5*` matches 503.
///
/// ```
/// use slipring::{Match, Value};
///
/// let fits = |wanted: Match, value: Value| wanted.fits(&value);
/// assert_eq!(fits(Match::equals(200), Value::Double(200.0)), Ok(true));
/// assert_eq!(fits(Match::reads("200"), Value::Int(200)), Ok(true));
/// assert_eq!(fits(Match::at_least(500.0), Value::Int(503)), Ok(true));
/// assert_eq!(fits(Match::like("GET /*/items"), "GET /cart/items".into()), Ok(true));
/// assert_eq!(fits(Match::like("5*"), vec![Value::Int(404), Value::Int(503)].into()), Ok(true));
/// assert_eq!(fits(!Match::reads("200"), Value::Int(503)), Ok(true));
/// assert!(fits(Match::like("ends in a \\"), Value::Empty).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Match {
    /// The value exists.
    Has,
    /// The value equals this one. Integers and doubles compare as numbers.
    Equals(Value),
    /// The value is displayed as this text: `200` matches both the number and the text.
    Reads(Box<str>),
    /// The value is a number between these bounds.
    Number(Bound<f64>, Bound<f64>),
    /// The displayed value contains this text.
    Contains(Box<str>),
    /// The displayed value starts with this text.
    StartsWith(Box<str>),
    /// The whole displayed value matches this pattern: `*` stands for any characters, `?` for one,
    /// and `\` makes the `*`, `?` or `\` after it literal.
    Like(Box<str>),
    /// A value of this name exists, and none matches the inner condition. Created by the operator
    /// `!`. The negation of [`Has`](Match::Has) means that no value exists.
    Not(Box<Match>),
}

impl std::ops::Not for Match {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Match::Not(inner) if *inner != Match::Has => *inner,
            other => Match::Not(other.into()),
        }
    }
}

impl Match {
    /// Makes a [`Match::Equals`].
    pub fn equals(value: impl Into<Value>) -> Self {
        Match::Equals(value.into())
    }

    /// Makes a [`Match::Reads`].
    pub fn reads(text: impl Into<Box<str>>) -> Self {
        Match::Reads(text.into())
    }

    /// Matches numbers not below this one.
    pub fn at_least(number: f64) -> Self {
        Match::Number(Bound::Included(number), Bound::Unbounded)
    }

    /// Matches numbers not above this one.
    pub fn at_most(number: f64) -> Self {
        Match::Number(Bound::Unbounded, Bound::Included(number))
    }

    /// Matches numbers above this one.
    pub fn above(number: f64) -> Self {
        Match::Number(Bound::Excluded(number), Bound::Unbounded)
    }

    /// Matches numbers below this one.
    pub fn below(number: f64) -> Self {
        Match::Number(Bound::Unbounded, Bound::Excluded(number))
    }

    /// Makes a [`Match::Contains`].
    pub fn contains(text: impl Into<Box<str>>) -> Self {
        Match::Contains(text.into())
    }

    /// Makes a [`Match::StartsWith`].
    pub fn starts_with(text: impl Into<Box<str>>) -> Self {
        Match::StartsWith(text.into())
    }

    /// Makes a [`Match::Like`].
    pub fn like(pattern: impl Into<Box<str>>) -> Self {
        Match::Like(pattern.into())
    }

    /// Matches if no value exists.
    pub fn absent() -> Self {
        !Match::Has
    }

    /// Returns whether a value matches. O(length of the displayed value); with several `*` in a
    /// pattern, times the pattern's length.
    ///
    /// # Errors
    /// [`QueryError::BadPattern`] if the pattern is malformed; [`QueryError::NotANumber`] if a
    /// bound is NaN.
    pub fn fits<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<bool, QueryError> {
        let compiled = self.clone().compile()?;
        Ok(compiled.fits(value.into()) != compiled.negated)
    }

    pub(super) fn compile(self) -> Result<Compiled, QueryError> {
        let (test, negated) = match self {
            Match::Not(inner) => {
                let inner = inner.compile()?;
                return Ok(Compiled { negated: !inner.negated, ..inner });
            }
            Match::Like(pattern) => (Test::Like(parts_of(&pattern)?), false),
            Match::Number(least, most) => {
                let is_nan = |bound| matches!(bound, Bound::Included(n) | Bound::Excluded(n) if f64::is_nan(n));
                if is_nan(least) || is_nan(most) {
                    return Err(QueryError::NotANumber);
                }
                (Test::Plain(self), false)
            }
            other => (Test::Plain(other), false),
        };
        Ok(Compiled { needle: test.needle(), test, negated })
    }
}

/// A validated [`Match`], for conditions outside queries that are applied many times.
///
/// ```
/// use slipring::query::Condition;
/// use slipring::{Match, Span};
///
/// let failed = Condition::new(Match::at_least(500.0))?;
/// let span = Span::builder().attribute("http.response.status_code", 503).build();
/// assert!(failed.fits(503));
/// assert!(failed.accepts(&span, None, "http.response.status_code"));
/// # Ok::<(), slipring::error::QueryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Condition(Compiled);

impl Condition {
    /// Validates a condition.
    ///
    /// # Errors
    /// Those of [`Match::fits`].
    pub fn new(condition: Match) -> Result<Self, QueryError> {
        condition.compile().map(Self)
    }

    /// Returns whether a value meets the condition, as [`Match::fits`] does.
    pub fn fits<'v>(&self, value: impl Into<ValueRef<'v>>) -> bool {
        self.0.fits(value.into()) != self.0.negated
    }

    /// Returns whether a record's attributes of this name meet the condition, at this level or,
    /// with `None`, at any: what [`Query::attribute`](super::Query::attribute) asks of a record.
    /// O(attributes).
    pub fn accepts(&self, record: &impl Attributed, level: Option<Level>, name: &str) -> bool {
        self.0.accepts_attribute(record, level, name)
    }
}

/// A validated [`Match`].
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    test: Test,
    /// Whether the condition is negated: values that pass `test` are unwanted.
    pub(super) negated: bool,
    /// What the bytes of every value that passes `test` contain, if there is such a text.
    needle: Option<Needle>,
}

#[derive(Clone, Debug)]
enum Test {
    Plain(Match),
    Like(Vec<Part>),
}

impl Test {
    /// Returns a text that lies in the bytes of every value that passes.
    fn needle(&self) -> Option<Needle> {
        let text = match self {
            Test::Plain(Match::Equals(wanted)) => wanted.as_str()?,
            // A list or a map as a whole reads like this too.
            Test::Plain(Match::Reads(text)) if text.starts_with(['[', '{']) => return None,
            Test::Plain(Match::Reads(text) | Match::Contains(text) | Match::StartsWith(text)) => {
                Some(&**text).filter(|text| is_of_texts_only(text))?
            }
            _ => return None,
        };
        (!text.is_empty()).then(|| Needle::new(text))
    }
}

impl Compiled {
    /// Returns whether a record's attributes of this name meet the condition, at this level or,
    /// with `None`, at any.
    pub(super) fn accepts_attribute(
        &self,
        record: &impl Attributed,
        level: Option<Level>,
        name: &str,
    ) -> bool {
        let may_contain = |needle| record.may_contain(level, name, needle);
        (self.negated || self.needle.as_ref().is_none_or(may_contain))
            && self.accepts(|test| record.any_value(level, name, test))
    }

    /// Returns whether a log record's body may meet the condition, by one look at its bytes.
    pub(super) fn may_accept(&self, bytes: &[u8]) -> bool {
        self.negated || self.needle.as_ref().is_none_or(|needle| needle.is_in(bytes))
    }

    /// Returns whether a record meets the condition, given all of its values of the name in
    /// question.
    pub(super) fn accepts(
        &self,
        any_value: impl FnOnce(&mut dyn FnMut(ValueRef<'_>) -> bool) -> bool,
    ) -> bool {
        if !self.negated {
            return any_value(&mut |value| self.fits(value));
        }
        if let Test::Plain(Match::Has) = self.test {
            return !any_value(&mut |_| true);
        }
        let mut is_there = false;
        let fits = any_value(&mut |value| {
            is_there = true;
            self.fits(value)
        });
        is_there && !fits
    }

    /// Like `accepts`, for a record's key in an index.
    pub(super) fn accepts_key(&self, key: Option<Key<'_>>) -> bool {
        let fits = key.is_some_and(|key| match key {
            Key::Text(text) => self.fits_text(text),
            Key::Int(number) => self
                .fits(i64::try_from(number).map_or(ValueRef::Double(number as f64), ValueRef::Int)),
            Key::Id(_) | Key::Bytes(_) => self.fits_text(&key.to_string()),
        });
        let may_be = key.is_some() || matches!(self.test, Test::Plain(Match::Has));
        if self.negated { may_be && !fits } else { fits }
    }

    /// Returns whether a value passes the test, regardless of negation. Recurses as deep as the
    /// value nests.
    fn fits(&self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Array(values) => {
                self.fits_whole(value) || values.iter().any(|value| self.fits(value))
            }
            ValueRef::Map(entries) => {
                self.fits_whole(value) || entries.iter().any(|entry| self.fits(entry.value))
            }
            single => self.fits_single(single),
        }
    }

    /// Tests an array or map as a whole. Only the tests that need no text of it apply.
    fn fits_whole(&self, value: ValueRef<'_>) -> bool {
        match &self.test {
            Test::Plain(Match::Has) => true,
            Test::Plain(Match::Equals(wanted)) => value == *wanted,
            Test::Plain(Match::Reads(wanted)) => reads(value, wanted),
            _ => false,
        }
    }

    fn fits_single(&self, value: ValueRef<'_>) -> bool {
        match &self.test {
            Test::Plain(Match::Has) => true,
            Test::Plain(Match::Equals(wanted)) => equal(wanted.into(), value),
            Test::Plain(Match::Reads(wanted)) => reads(value, wanted),
            Test::Plain(Match::Number(least, most)) => match value {
                ValueRef::Int(number) => within(number as f64, *least, *most),
                ValueRef::Double(number) => within(number, *least, *most),
                _ => false,
            },
            _ => self.fits_text(&displayed(value)),
        }
    }

    fn fits_text(&self, text: &str) -> bool {
        match &self.test {
            Test::Plain(Match::Has) => true,
            Test::Plain(Match::Equals(wanted)) => wanted.as_str() == Some(text),
            Test::Plain(Match::Reads(wanted)) => **wanted == *text,
            Test::Plain(Match::Contains(wanted)) => text.contains(&**wanted),
            Test::Plain(Match::StartsWith(wanted)) => text.starts_with(&**wanted),
            Test::Like(parts) => is_like(text, parts),
            Test::Plain(Match::Number(..) | Match::Like(_) | Match::Not(_)) => false,
        }
    }
}

/// Returns a value as it is displayed. Allocates unless it is a text, a boolean or empty.
fn displayed(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Empty => Cow::Borrowed(""),
        ValueRef::Bool(true) => Cow::Borrowed("true"),
        ValueRef::Bool(false) => Cow::Borrowed("false"),
        ValueRef::Text(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn within(number: f64, least: Bound<f64>, most: Bound<f64>) -> bool {
    use std::ops::RangeBounds;
    (least, most).contains(&number)
}

fn equal(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (ValueRef::Int(whole), ValueRef::Double(number))
        | (ValueRef::Double(number), ValueRef::Int(whole)) => {
            // Above 2⁵³ not every integer is a double, so the conversion must round-trip.
            whole as f64 == number && number < 9_223_372_036_854_775_808.0 && number as i64 == whole
        }
        _ => one == other,
    }
}

/// Returns whether a value is displayed as this text. Compares while formatting, without
/// allocating.
fn reads(value: ValueRef<'_>, text: &str) -> bool {
    struct Rest<'t>(&'t str);
    impl Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Resource, Scope, Source, Span};
    use proptest::prelude::*;

    fn fits(wanted: Match, value: impl Into<Value>) -> bool {
        wanted.fits(&value.into()).unwrap()
    }

    #[test]
    fn numbers_compare_as_numbers_and_texts_do_not() {
        assert!(fits(Match::equals(1), Value::Double(1.0)));
        assert!(!fits(Match::equals((1 << 53) + 1), Value::Double((1u64 << 53) as f64)));
        assert!(!fits(Match::equals(i64::MAX), Value::Double(9_223_372_036_854_775_808.0)));
        assert!(fits(Match::equals(f64::NAN), Value::Double(f64::NAN)));
        assert!(!fits(Match::equals("1"), Value::Int(1)));
        assert!(fits(Match::reads("[1, 2]"), vec![Value::Int(1), Value::Int(2)]));
        assert!(!fits(Match::reads("[1, 2"), vec![Value::Int(1), Value::Int(2)]));
        assert!(fits(Match::above(1.0), Value::Int(2)) && !fits(Match::above(2.0), Value::Int(2)));
        assert!(!fits(Match::at_most(1.0), Value::Double(f64::NAN)));
        assert!(!fits(Match::at_least(1.0), "2"));
    }

    #[test]
    fn other_values_match_text_conditions_as_they_are_displayed() {
        assert!(
            fits(Match::like("5*"), 503)
                && fits(Match::like("?.5"), 7.5)
                && fits(Match::like("t*"), true)
        );
        assert!(
            fits(Match::contains("0"), 503)
                && fits(Match::starts_with("-1"), -17)
                && fits(Match::like(""), Value::Empty)
        );
        assert!(fits(Match::like("00ff"), Value::Bytes([0, 255].into())));
        assert!(!fits(Match::like("5"), 503) && !fits(Match::contains("x"), 503));
    }

    #[test]
    fn arrays_and_maps_match_if_any_value_in_them_does() {
        let body =
            Value::Map([("message", Value::from("payment failed")), ("code", 503.into())].into());
        let deep = Value::from(vec![Value::from("text/html"), vec![body.clone()].into()]);
        for value in [&body, &deep] {
            for wanted in [
                Match::like("*failed*"),
                Match::contains("ment f"),
                Match::starts_with("pay"),
                Match::like("5*"),
                Match::above(502.0),
                Match::equals(503),
                Match::reads("payment failed"),
                Match::Has,
            ] {
                assert!(fits(wanted.clone(), value.clone()), "{wanted:?}");
                assert!(!fits(!wanted.clone(), value.clone()), "{wanted:?}");
            }
            assert!(!fits(Match::like("message"), value.clone()), "names in a map are not values");
            assert!(!fits(Match::above(503.0), value.clone()));
        }
        assert!(fits(Match::equals(body.clone()), deep), "the map is an element of the array");
        assert!(!fits(Match::like("*"), Value::Array([].into())), "an empty array holds no value");
    }

    fn values() -> impl Strategy<Value = Value> {
        let single = prop_oneof![
            Just(Value::Empty),
            any::<bool>().prop_map(Value::from),
            (-20..20_i64).prop_map(Value::from),
            prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-0.5), Just(1e30)]
                .prop_map(Value::from),
            "[abef1h{, \\[]{0,3}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        single.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[ah]", inner), 0..3)
                    .prop_map(|entries| Value::Map(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Half of the texts are what the value is displayed as.
        #[test]
        fn a_text_that_is_looked_for_first_changes_no_answer(
            value in values(),
            other in values(),
            text in "[abef1h{, \\[]{0,3}",
            shows in any::<bool>(),
        ) {
            let text = if shows { value.to_string() } else { text };
            let of_resource = Source::new(&Resource::new([("name", value.clone())]), &Scope::default());
            let spans = [
                (Level::Record, Span::builder().attribute("name", &value).build()),
                (Level::Resource, Span::builder().source(&of_resource).build()),
            ];
            for wanted in [
                Match::equals(text.as_str()),
                Match::equals(other),
                Match::reads(text.as_str()),
                Match::contains(text.as_str()),
                Match::starts_with(text.as_str()),
            ] {
                for wanted in [wanted.clone(), !wanted] {
                    let condition = Condition::new(wanted.clone()).unwrap();
                    for (level, span) in &spans {
                        for level in [None, Some(*level)] {
                            let accepted = condition.accepts(span, level, "name");
                            prop_assert_eq!(accepted, condition.fits(&value), "{:?}", wanted);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_double_negation_is_the_original_condition() {
        assert_eq!(!!Match::reads("a"), Match::reads("a"));
        assert_eq!(Match::absent().fits(1), Ok(false));
        let twice = Match::Not(Match::Not(Match::reads("1").into()).into());
        assert!(fits(twice, 1));
        assert!((!Match::like("\\")).fits(ValueRef::Empty).is_err());
    }
}
