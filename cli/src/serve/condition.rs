//! Parses conditions on attributes and keys as they are written in a URL.

use serde::de::DeserializeOwned;
use slipring::Match;
use slipring::query::Level;

/// Upper bound of a pattern's length in bytes: matching takes time proportional to the pattern's
/// length times the text's.
const LONGEST_PATTERN: usize = 256;

/// Operators that need no escaping in a URL, and those that a person would write.
const OPERATORS: [(&str, Operator); 20] = [
    (".eq.", Operator::Is),
    (".ne.", Operator::IsNot),
    (".like.", Operator::Like),
    (".unlike.", Operator::Unlike),
    (".ge.", Operator::AtLeast),
    (".gt.", Operator::Above),
    (".le.", Operator::AtMost),
    (".lt.", Operator::Below),
    ("!=", Operator::IsNot),
    ("<>", Operator::IsNot),
    ("!~", Operator::Unlike),
    ("==", Operator::Is),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=>", Operator::TurnRound(">=")),
    ("=<", Operator::TurnRound("<=")),
    ("=~", Operator::TurnRound("~ for a pattern, or .eq.~ for a text that begins so")),
    ("~=", Operator::Like),
    (">", Operator::Above),
    ("<", Operator::Below),
];
const SINGLE: [(&str, Operator); 2] = [("=", Operator::Is), ("~", Operator::Like)];

#[derive(Clone, Copy)]
enum Operator {
    Is,
    IsNot,
    Like,
    Unlike,
    AtLeast,
    AtMost,
    Above,
    Below,
    /// An invalid or ambiguous operator, with what to write instead.
    TurnRound(&'static str),
}

impl Operator {
    fn on(self, value: &str) -> Result<Match, String> {
        let number = || value.trim().parse::<f64>().map_err(|_| format!("{value:?} is no number"));
        Ok(match self {
            Operator::Is => Match::reads(value),
            Operator::IsNot => !Match::reads(value),
            Operator::Like => pattern(value)?,
            Operator::Unlike => !pattern(value)?,
            Operator::AtLeast => Match::at_least(number()?),
            Operator::AtMost => Match::at_most(number()?),
            Operator::Above => Match::above(number()?),
            Operator::Below => Match::below(number()?),
            Operator::TurnRound(instead) => return Err(format!("write {instead}")),
        })
    }
}

/// Returns the first operator in a text with its position and the text after it.
fn operator(text: &str) -> Option<(usize, Operator, &str)> {
    let found = OPERATORS
        .iter()
        .chain(&SINGLE)
        .filter_map(|(sign, operator)| Some((text.find(sign)?, sign, operator)));
    // Of the operators that begin at the same position, the longest one wins.
    let (at, sign, operator) =
        found.min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())))?;
    Some((at, *operator, &text[at + sign.len()..]))
}

pub fn pattern(value: &str) -> Result<Match, String> {
    if value.len() > LONGEST_PATTERN {
        return Err(format!("a pattern has at most {LONGEST_PATTERN} bytes"));
    }
    let pattern = Match::like(value);
    pattern.fits(&slipring::Value::Empty).map_err(|error| error.to_string())?;
    Ok(pattern)
}

const FORM: &str = "give [level:]name, !name, name=text, name!=text, name~pattern with * and ?, name!~pattern, or name>=number; in a URL also name.ge.500 (eq, ne, like, unlike, ge, gt, le, lt); a name with such signs in it stands in \"double quotes\"";
const LEVELS: [&str; 6] = ["record", "resource", "scope", "event", "link", "exemplar"];

pub type Condition = (Option<Level>, String, Match);

/// Parses `[level:]name`, `!name`, `name=text`, `name~pattern`, `name>=number` and so on.
pub fn attribute(text: &str) -> Result<Condition, String> {
    let (is_absent, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (level, rest) = level_of(text)?;
    let (name, condition) = match rest.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let at = operator(rest).map_or(rest.len(), |(at, ..)| at);
            let (name, condition) = rest.split_at(at);
            (plain(name, level)?.to_owned(), condition)
        }
    };
    if name.is_empty() {
        return Err(FORM.to_owned());
    }
    let wanted = match (condition, is_absent) {
        ("", false) => Match::Has,
        ("", true) => Match::absent(),
        (_, true) => {
            return Err(format!(
                "! before a name asks that it is not there; write {name}!=… for another value"
            ));
        }
        (condition, false) => match operator(condition) {
            Some((0, operator, value)) => operator.on(value)?,
            _ => return Err(FORM.to_owned()),
        },
    };
    Ok((level, name, wanted))
}

/// Splits the level that a text may begin with from the rest.
fn level_of(text: &str) -> Result<(Option<Level>, &str), String> {
    match text.split_once(':').filter(|(level, _)| LEVELS.contains(level)) {
        Some((level, rest)) => Ok((Some(named(level, "a level")?), rest)),
        None => Ok((None, text)),
    }
}

/// Parses `[level:]name` without a condition.
pub fn level_and_name(text: &str) -> Result<(Option<Level>, String), String> {
    let (level, rest) = level_of(text)?;
    let name = match rest.strip_prefix('"') {
        Some(quoted) => match unquoted(quoted)? {
            (name, "") => name,
            _ => return Err("give [level:]name, without a condition".to_owned()),
        },
        None => plain(rest, level)?.to_owned(),
    };
    if name.is_empty() {
        return Err("give [level:]name; the name is missing".to_owned());
    }
    Ok((level, name))
}

/// Checks an unquoted name. Rejects names that are probably a mistake, such as one with the dotted
/// prefix `resource.`, and says what to write instead.
fn plain(name: &str, level: Option<Level>) -> Result<&str, String> {
    let name = name.trim();
    if name.starts_with('!') {
        return Err(format!(
            "one ! asks that a name is not there; an attribute {name} is written in \"double quotes\""
        ));
    }
    if let Some((what, rest)) = name.split_once(':') {
        let levels = LEVELS.join(", ");
        return Err(format!(
            "{what:?} is no level; there are {levels}. An attribute {what}:{rest} is written in \"double quotes\""
        ));
    }
    let dotted = ["resource", "scope", "record", "span", "log", "attributes"];
    let prefix =
        name.split_once('.').filter(|(prefix, _)| level.is_none() && dotted.contains(prefix));
    if let Some((prefix, rest)) = prefix {
        let instead = if LEVELS.contains(&prefix) {
            format!("{prefix}:{rest}")
        } else {
            format!("record:{rest}")
        };
        return Err(format!(
            "write {instead}; an attribute whose own name is {name} is written in \"double quotes\""
        ));
    }
    Ok(name)
}

/// Returns a quoted name up to its closing quote, and the text after the quote.
fn unquoted(text: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((name, &text[at + 1..])),
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            other => name.push(other),
        }
    }
    Err("the name's closing quote is missing".to_owned())
}

pub fn named<T: DeserializeOwned>(value: &str, names: &str) -> Result<T, String> {
    serde_json::from_value(value.into()).map_err(|_| format!("give {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_with_level_and_condition() {
        let cases: [(&str, Option<Level>, &str, Match); 25] = [
            ("http.method=GET", None, "http.method", Match::reads("GET")),
            ("resource:k8s.pod~web-*", Some(Level::Resource), "k8s.pod", Match::like("web-*")),
            ("event:exception.type", Some(Level::Event), "exception.type", Match::Has),
            ("event.name()=x", None, "event.name()", Match::reads("x")),
            ("size>=1.5", None, "size", Match::at_least(1.5)),
            ("size<2", None, "size", Match::below(2.0)),
            ("code!=200", None, "code", !Match::reads("200")),
            ("code<>200", None, "code", !Match::reads("200")),
            ("code==500", None, "code", Match::reads("500")),
            ("path!~/api*", None, "path", !Match::like("/api*")),
            ("path~=/api*", None, "path", Match::like("/api*")),
            ("!code", None, "code", Match::absent()),
            ("!resource:code", Some(Level::Resource), "code", Match::absent()),
            ("http.status_code.ge.500", None, "http.status_code", Match::at_least(500.0)),
            ("http.status_code.lt.500", None, "http.status_code", Match::below(500.0)),
            ("code.ne.200", None, "code", !Match::reads("200")),
            ("name.like.a*", None, "name", Match::like("a*")),
            ("name.unlike.a*", None, "name", !Match::like("a*")),
            ("token.eq.=x", None, "token", Match::reads("=x")),
            ("token=a==", None, "token", Match::reads("a==")),
            ("url=a?b=c&d<e", None, "url", Match::reads("a?b=c&d<e")),
            ("empty=", None, "empty", Match::reads("")),
            (r#""a=b"=c"#, None, "a=b", Match::reads("c")),
            (
                r#"resource:"a \"<~>\" b">5"#,
                Some(Level::Resource),
                r#"a "<~>" b"#,
                Match::above(5.0),
            ),
            (r#""resource.service.name""#, None, "resource.service.name", Match::Has),
        ];
        for (text, level, name, wanted) in cases {
            assert_eq!(attribute(text), Ok((level, name.to_owned(), wanted)), "{text}");
        }
    }

    #[test]
    fn what_can_never_hold_is_refused_with_what_to_write() {
        for (text, instead) in [
            ("resource.service.name=cart", "write resource:service.name"),
            ("span.http.method=GET", "write record:http.method"),
            ("service:x=1", "\"service\" is no level"),
            ("code=>5", "write >="),
            ("code=<5", "write <="),
            ("path=~/api.*", ".eq.~"),
            ("!code=5", "code!="),
            ("!!code", "one ! asks"),
            ("size>=big", "no number"),
            ("", "give [level:]name"),
            ("=x", "give [level:]name"),
            ("resource:", "give [level:]name"),
            ("\"a", "closing quote"),
            ("\"a\"b=c", "give [level:]name"),
            ("a~b\\", "backslash"),
        ] {
            let error = attribute(text).unwrap_err();
            assert!(error.contains(instead), "{text}: {error}");
        }
        assert!(pattern(&"*".repeat(257)).is_err());
    }
}
