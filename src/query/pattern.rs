//! Patterns with the wildcards `*` and `?`.

use crate::error::QueryError;

/// One element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(char),
    AnyChar,
    AnyRun,
}

pub(super) fn parts_of(pattern: &str) -> Result<Vec<Part>, QueryError> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '*' => Part::AnyRun,
            '?' => Part::AnyChar,
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '?' | '\\')) => Part::Literal(escaped),
                found => return Err(QueryError::BadPattern { pattern: pattern.to_owned(), found }),
            },
            other => Part::Literal(other),
        });
    }
    Ok(parts)
}

/// Returns whether the pattern matches the whole text.
///
/// Tries the shortest run for each `*`, and a longer run for the last `*` seen when the rest does
/// not match. Earlier `*`s need no second try: the last one can take whatever a longer run of
/// theirs would take.
pub(super) fn is_like(text: &str, parts: &[Part]) -> bool {
    let (mut part, mut rest) = (0, text.chars());
    let mut retry = None;
    loop {
        let before = rest.clone();
        let fits = match (parts.get(part), rest.next()) {
            (Some(Part::AnyRun), _) => {
                rest = before.clone();
                retry = Some((part + 1, before));
                true
            }
            (Some(Part::AnyChar), Some(_)) => true,
            (Some(Part::Literal(wanted)), Some(found)) => *wanted == found,
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
    fn a_pattern_matches_the_whole_text() {
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
    fn an_invalid_pattern_is_an_error_that_says_why() {
        let wrong =
            |pattern: &str| Match::like(pattern).fits(&Value::Empty).unwrap_err().to_string();
        assert!(wrong("a\\").contains("at its end"), "{}", wrong("a\\"));
        assert!(wrong("\\n").contains("'n'"), "{}", wrong("\\n"));
        assert_eq!(Match::above(f64::NAN).fits(&Value::Int(1)), Err(QueryError::NotANumber));
    }

    /// Reference implementation by exhaustive search.
    fn is_like_slowly(text: &[char], parts: &[Part]) -> bool {
        match (parts, text) {
            ([], _) => text.is_empty(),
            ([Part::AnyRun, parts @ ..], _) => {
                (0..=text.len()).any(|taken| is_like_slowly(&text[taken..], parts))
            }
            ([Part::AnyChar, parts @ ..], [_, text @ ..]) => is_like_slowly(text, parts),
            ([Part::Literal(wanted), parts @ ..], [found, text @ ..]) => {
                wanted == found && is_like_slowly(text, parts)
            }
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_an_exhaustive_search_matches(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let parts = parts_of(&pattern).unwrap();
            prop_assert_eq!(is_like(&text, &parts), is_like_slowly(&text.chars().collect::<Vec<_>>(), &parts));
        }
    }
}
