//! Texts that a record must contain to meet a condition.

use memchr::memmem::Finder;

/// A text that a record's bytes must contain, or else a condition does not hold.
///
/// A text value lies in a record's bytes as it is. So if a condition can hold only for values with
/// this text, one fast search through the bytes stands for the look at each attribute.
#[derive(Clone, Debug)]
pub struct Needle(Box<Finder<'static>>);

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        Self(Finder::new(text.as_bytes()).into_owned().into())
    }

    /// Returns whether these bytes contain the text. O(bytes).
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.find(bytes).is_some()
    }
}

/// Returns whether only a text can be displayed with this in it: no number, boolean, bytes or empty
/// value is.
pub(super) fn is_of_texts_only(text: &str) -> bool {
    // The others consist of digits and signs, of `true`, `false`, `inf` and `NaN`, and of digits in
    // hexadecimal.
    text.contains(|letter| !"0123456789abcdefinlstruENI+-.".contains(letter))
}
