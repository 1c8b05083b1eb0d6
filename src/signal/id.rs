//! Trace and span ids, as W3C's Trace Context defines them.

use std::fmt;
use std::str::FromStr;

use super::Key;
use crate::wire::Raw;

/// A trace id: 16 bytes that identify a trace globally. All zero means "no trace".
///
/// Displayed as lower-case hexadecimal digits, two per byte. Parsing accepts either case.
///
/// ```
/// use slipring::TraceId;
///
/// let id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse()?;
/// assert_eq!(u128::from(id), 0x4bf92f3577b34da6a3ce929d0e0e4736);
/// assert_eq!("4BF9".parse::<TraceId>().unwrap_err().to_string(), "an id of 32 hexadecimal digits has 4");
/// # Ok::<(), slipring::error::ParseIdError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// A span id: 8 bytes that identify a span within its trace. All zero means "no span".
///
/// Displayed as lower-case hexadecimal digits, two per byte. Parsing accepts either case.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

/// An error from parsing a text as an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text has too many digits or too few.
    #[error("an id of {expected} hexadecimal digits has {found}")]
    WrongLength {
        /// The number of digits that such an id has.
        expected: usize,
        /// The number of digits in the text.
        found: usize,
    },
    /// The text contains a character that is not a hexadecimal digit.
    #[error("an id has {found:?}, which is not a hexadecimal digit, as its character {position}")]
    NotHexadecimal {
        /// The character's position in the text, counted from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

// The ids are byte arrays, not integers, so that they have alignment 1: an `Option` of an id is
// then one byte larger than the id, instead of growing by a whole alignment unit.
macro_rules! id {
    ($id:ident, $bytes:literal, $integer:ty) => {
        impl $id {
            /// Returns the id's bytes, in the order in which they are transmitted.
            pub fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }

            /// Returns whether the id is all zero, which means that it identifies nothing.
            pub fn is_zero(self) -> bool {
                self.0 == [0; $bytes]
            }
        }

        impl $id {
            /// Reads the id in a field. Returns `None` if it has another length or is all zero.
            pub(crate) fn of_wire(field: Option<Raw<'_>>) -> Option<Self> {
                let id = Self(field?.bytes().try_into().ok()?);
                (!id.is_zero()).then_some(id)
            }
        }

        impl From<[u8; $bytes]> for $id {
            fn from(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        /// Converts a number into the id with the same hexadecimal digits.
        impl From<$integer> for $id {
            fn from(number: $integer) -> Self {
                Self(number.to_be_bytes())
            }
        }

        impl From<$id> for $integer {
            fn from(id: $id) -> Self {
                Self::from_be_bytes(id.0)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:0width$x}", <$integer>::from(*self), width = 2 * $bytes)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($id))
            }
        }

        impl FromStr for $id {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse(text).map(Self)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id!(TraceId, 16, u128);
id!(SpanId, 8, u64);

impl TraceId {
    /// Returns the id as an index key, or `None` if it is all zero.
    pub(super) fn key(self) -> Option<Key<'static>> {
        (!self.is_zero()).then(|| self.into())
    }
}

impl From<TraceId> for Key<'_> {
    fn from(id: TraceId) -> Self {
        Key::Id(id.into())
    }
}

fn parse<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let mut bytes = [0; N];
    let mut digits = 0;
    for (position, found) in text.chars().enumerate() {
        let digit = found.to_digit(16).ok_or(ParseIdError::NotHexadecimal { position, found })?;
        if let Some(byte) = bytes.get_mut(position / 2) {
            *byte = *byte << 4 | digit as u8;
        }
        digits += 1;
    }
    if digits != 2 * N {
        return Err(ParseIdError::WrongLength { expected: 2 * N, found: digits });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00f067aa0ba902b7";

    #[test]
    fn reads_what_it_wrote_and_either_case() {
        let id: SpanId = DIGITS.parse().unwrap();
        assert_eq!(id.to_string(), DIGITS);
        assert_eq!(DIGITS.to_uppercase().parse(), Ok(id));
        assert_eq!(u64::from(id), 0x00f0_67aa_0ba9_02b7);
        assert_eq!(id.to_bytes()[..2], [0x00, 0xf0]);
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong_length = |found| Err(ParseIdError::WrongLength { expected: 16, found });
        assert_eq!(DIGITS[1..].parse::<SpanId>(), wrong_length(15));
        assert_eq!(format!("{DIGITS}0").parse::<SpanId>(), wrong_length(17));
        assert_eq!("".parse::<SpanId>(), wrong_length(0));
        let not_hexadecimal = Err(ParseIdError::NotHexadecimal { position: 2, found: 'é' });
        assert_eq!("00é067aa0ba902b7".parse::<SpanId>(), not_hexadecimal);
    }

    #[test]
    fn only_zero_is_no_key() {
        assert_eq!(TraceId::default().key(), None);
        assert_eq!(TraceId::from(1).key(), Some(Key::Id(1)));
        assert!(SpanId::default().is_zero());
    }
}
