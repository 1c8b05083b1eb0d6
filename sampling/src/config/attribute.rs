//! Conditions on attributes, as they are written.

use super::{Number, valid};
use crate::Rule;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use slipring::query::Level;
use slipring::{Match, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: Box<str>,
    level: Option<Level>,
    is: Option<Is>,
    at_least: Option<Number>,
    at_most: Option<Number>,
    above: Option<Number>,
    below: Option<Number>,
    contains: Option<Box<str>>,
    exists: Option<bool>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`is` takes a text, in which * and ? are wildcards, a number, or true or false"
)]
enum Is {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
}

/// A condition on an attribute, at one level or at any.
pub(super) struct Attribute {
    level: Option<Level>,
    name: Box<str>,
    condition: Match,
}

impl Attribute {
    /// Returns the rule that matches by it.
    pub(super) fn rule(self) -> Rule {
        Rule::Attribute { level: self.level, name: self.name, condition: self.condition }
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Given::deserialize(deserializer)?;
        let is = given.is.map(|is| match is {
            Is::Bool(value) => Match::Equals(Value::from(value)),
            Is::Int(value) => Match::Equals(Value::from(value)),
            Is::Double(value) => Match::Equals(Value::from(value)),
            Is::Text(pattern) => Match::like(pattern),
        });
        let exists = given.exists.map(|exists| if exists { Match::Has } else { Match::absent() });
        let conditions = [
            is,
            given.at_least.map(|number| Match::at_least(number.0)),
            given.at_most.map(|number| Match::at_most(number.0)),
            given.above.map(|number| Match::above(number.0)),
            given.below.map(|number| Match::below(number.0)),
            given.contains.map(Match::contains),
            exists,
        ];
        let mut conditions = conditions.into_iter().flatten();
        let (Some(condition), None) = (conditions.next(), conditions.next()) else {
            return Err(de::Error::custom(
                "an attribute has one condition: is, at_least, at_most, above, below, contains or exists",
            ));
        };
        let condition = valid(condition).map_err(de::Error::custom)?;
        Ok(Self { level: given.level, name: given.name, condition })
    }
}
