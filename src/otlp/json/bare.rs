//! NaN and infinities that stand in JSON without quotes, which is none then.

const NAMES: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// The same text with these names in quotes, as the protocol has them; `None` if there are none. O(bytes).
pub(super) fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::new();
    // What lies before this has been copied.
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

/// About how many values a text in JSON has, names of fields among them: what commas and colons part, and lists begin. O(bytes).
pub(super) fn values(text: &[u8]) -> usize {
    let (mut values, mut in_string, mut escaped) = (0, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_outside_of_strings_is_quoted() {
        let quoted = |text: &str| quoted(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(
            quoted(r#"{"a":NaN,"b":[-Infinity,Infinity]}"#).unwrap(),
            r#"{"a":"NaN","b":["-Infinity","Infinity"]}"#
        );
        assert_eq!(quoted(r#"{"NaN\\":"\"NaN","b":NaN}"#).unwrap(), r#"{"NaN\\":"\"NaN","b":"NaN"}"#);
        assert_eq!(quoted(r#"{"a":"NaN","b":-1}"#), None);
        assert_eq!(quoted("\"\\"), None);
    }
}
