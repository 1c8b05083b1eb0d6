//! Moments that were given a name, so that what came since can be asked for.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Moments that are kept; the one that was named first goes first.
const MOST: usize = 64;
/// Bytes of a name at most.
const LONGEST: usize = 64;

/// Names with the server's tokens.
#[derive(Default)]
pub struct Moments(Mutex<VecDeque<(String, String)>>);

impl Moments {
    /// Gives a moment a name, in place of another one of this name. Returns the name of the moment
    /// that had to go, if one had to.
    pub fn name(&self, name: &str, token: String) -> Result<Option<String>, String> {
        if name.is_empty() || name.len() > LONGEST {
            return Err(format!("a moment's name has 1 to {LONGEST} bytes"));
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _)| other != name);
        all.push_back((name.to_owned(), token));
        Ok(if all.len() > MOST { all.pop_front().map(|(name, _)| name) } else { None })
    }

    /// Returns a moment's token, or what is wrong with its name.
    pub fn of(&self, name: &str) -> Result<String, String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = all.iter().find(|(other, _)| other == name) {
            return Ok(token.clone());
        }
        let known: Vec<&str> = all.iter().rev().take(8).map(|(name, _)| &**name).collect();
        Err(if known.is_empty() {
            format!("no moment is named {name:?}; name one by `snapshot` first")
        } else {
            format!("no moment is named {name:?}; there are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_taken_anew() {
        let moments = Moments::default();
        assert!(moments.of("a").unwrap_err().contains("snapshot"));
        assert_eq!(moments.name("a", "1".into()), Ok(None));
        assert_eq!(moments.name("a", "2".into()), Ok(None));
        assert_eq!(moments.of("a"), Ok("2".into()));
        for number in 1..MOST {
            assert_eq!(moments.name(&number.to_string(), "3".into()), Ok(None));
        }
        assert_eq!(moments.name("z", "4".into()), Ok(Some("a".into())));
        assert!(moments.of("a").unwrap_err().contains("there are z"));
        assert!(moments.name("", "5".into()).is_err());
        assert!(moments.name(&"n".repeat(65), "5".into()).is_err());
    }
}
