//! Patterns with `*` and `?`.

use crate::error::QueryError;

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    This(char),
    AnyOne,
    AnyMany,
}

pub(super) fn parts_of(pattern: &str) -> Result<Vec<Part>, QueryError> {
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
pub(super) fn is_like(text: &str, parts: &[Part]) -> bool {
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
    use crate::query::Match;
    use crate::signal::Value;
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
        let wrong = |pattern: &str| Match::like(pattern).fits(&Value::Empty).unwrap_err().to_string();
        assert!(wrong("a\\").contains("at its end"), "{}", wrong("a\\"));
        assert!(wrong("\\n").contains("'n'"), "{}", wrong("\\n"));
        assert_eq!(Match::above(f64::NAN).fits(&Value::Int(1)), Err(QueryError::NotANumber));
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
