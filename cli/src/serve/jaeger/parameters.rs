//! The parameters of a question, as Go's `url.Values` holds them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;

/// All parameters of a URL. Those that nobody reads are ignored, as in Jaeger.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns every value of this name.
    pub fn all<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first value of this name, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Returns the first of these names that has a value, and the value. Later names are former
    /// spellings.
    pub fn either<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_an_empty_one_is_none() {
        let asked = Parameters::of("a=1&a=2&b=&b=3&c=%7B%7D+x");
        assert_eq!((asked.get("a"), asked.get("b"), asked.get("d")), (Some("1"), None, None));
        assert_eq!(asked.get("c"), Some("{} x"));
        assert_eq!(asked.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(asked.either(&["b", "d", "a"]), Some(("a", "1")));
    }
}
