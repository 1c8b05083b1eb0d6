//! Accepts NaN and infinities without quotes, which are not valid JSON.

const NAMES: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// Returns the text with NaN and the infinities in quotes, as the protocol requires, or `None` if
/// none of them occurs outside of strings. O(bytes).
pub(super) fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::new();
    // The text before `copied` has been copied.
    let (mut copied, mut at, mut in_string) = (0, 0, false);
    while at < text.len() {
        match text[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            _ if in_string => {}
            _ => {
                if let Some(name) = NAMES.iter().find(|name| text[at..].starts_with(name)) {
                    quoted.extend_from_slice(&text[copied..at]);
                    quoted.push(b'"');
                    quoted.extend_from_slice(name);
                    quoted.push(b'"');
                    at += name.len();
                    copied = at;
                    continue;
                }
            }
        }
        at += 1;
    }
    (copied > 0).then(|| {
        quoted.extend_from_slice(&text[copied..]);
        quoted
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_names_outside_of_strings_are_quoted() {
        let quoted =
            |text: &str| quoted(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(
            quoted(r#"{"a":NaN,"b":[-Infinity,Infinity]}"#).unwrap(),
            r#"{"a":"NaN","b":["-Infinity","Infinity"]}"#
        );
        assert_eq!(
            quoted(r#"{"NaN\\":"\"NaN","b":NaN}"#).unwrap(),
            r#"{"NaN\\":"\"NaN","b":"NaN"}"#
        );
        assert_eq!(quoted(r#"{"a":"NaN","b":-1}"#), None);
        assert_eq!(quoted("\"\\"), None);
    }
}
