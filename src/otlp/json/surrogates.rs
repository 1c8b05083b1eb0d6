//! Replaces unpaired UTF-16 surrogates. JavaScript and Windows write them if they truncate a string
//! within a surrogate pair.

use memchr::memchr;
use std::borrow::Cow;

/// Returns the code unit of an escape such as `\ud83d`, if one begins here.
fn escaped(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits
        .iter()
        .try_fold(0, |number, &digit| Some(number << 4 | (digit as char).to_digit(16)? as u16))
}

/// Returns the text with U+FFFD in place of each unpaired surrogate, or the text itself if there is
/// none. O(bytes).
pub(super) fn replaced(text: &[u8]) -> Cow<'_, [u8]> {
    let mut replaced_text = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(next) = memchr(b'\\', &text[at..]) {
        at += next;
        at += match escaped(&text[at..]) {
            Some(0xd800..=0xdbff) if matches!(escaped(&text[at + 6..]), Some(0xdc00..=0xdfff)) => {
                12
            }
            Some(0xd800..=0xdfff) => {
                replaced_text.to_mut()[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            Some(_) => 6,
            // Another escape, or a truncated one.
            None => 2.min(text.len() - at),
        };
    }
    replaced_text
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn unpaired_surrogates_are_replaced_and_pairs_are_kept() {
        for (text, replaced_text) in [
            (r#""plain""#, r#""plain""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\uD83Dx\uDE00""#, r#""\ufffdx\ufffd""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r"\", r"\"),
            (r"\ud83d\", r"\ufffd\"),
        ] {
            assert_eq!(replaced(text.as_bytes()), replaced_text.as_bytes(), "{text}");
        }
    }
}
