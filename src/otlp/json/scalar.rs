//! Reads single values, as protobuf's JSON mapping defines them. Strings are accepted as numbers.
//! Numbers are not accepted as strings.

use super::schema::Integer;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::Unexpected;
use serde_json::Value;

/// A description of what is wrong with a record, with the field.
pub(super) type Reason = String;

/// A value that is neither a list nor an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    /// Returns a name for the value's JSON type.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Scalar::Null => "null",
            Scalar::Bool(_) => "a boolean",
            Scalar::Unsigned(_) | Scalar::Signed(_) | Scalar::Double(_) => "a number",
            Scalar::Text(_) => "a string",
        }
    }

    /// Converts the value for `serde`'s errors.
    pub(super) fn unexpected(self) -> Unexpected<'a> {
        match self {
            Scalar::Null => Unexpected::Unit,
            Scalar::Bool(boolean) => Unexpected::Bool(boolean),
            Scalar::Unsigned(number) => Unexpected::Unsigned(number),
            Scalar::Signed(number) => Unexpected::Signed(number),
            Scalar::Double(number) => Unexpected::Float(number),
            Scalar::Text(text) => Unexpected::Str(text),
        }
    }

    /// Formats the value for a message, shortened if it is long.
    fn quoted(self) -> String {
        const MOST: usize = 40;
        let value = match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(boolean) => boolean.into(),
            Scalar::Unsigned(number) => number.into(),
            Scalar::Signed(number) => number.into(),
            Scalar::Double(number) => number.into(),
            Scalar::Text(text) => text.into(),
        };
        let text = value.to_string();
        if text.chars().count() <= MOST {
            text
        } else {
            text.chars().take(MOST).chain(['…']).collect()
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Reason> {
        match self {
            Scalar::Text(text) => Ok(text),
            other => Err(format!("{} instead of a string", other.type_name())),
        }
    }

    pub(super) fn boolean(self) -> Result<bool, Reason> {
        match self {
            Scalar::Bool(boolean) => Ok(boolean),
            other => Err(format!("{} instead of true or false", other.type_name())),
        }
    }

    /// Returns a whole number, as the bits of its type.
    pub(super) fn integer(self, integer: Integer) -> Result<u64, Reason> {
        let number = match self {
            Scalar::Unsigned(number) => Some(i128::from(number)),
            Scalar::Signed(number) => Some(number.into()),
            // Formatting a double gives the digits that it was written with, as long as they are no
            // more than a double can represent.
            Scalar::Double(number) => decimal(&format!("{number:e}")),
            // Parsing a `u64` is several times as fast as parsing an `i128`.
            Scalar::Text(text) => match text.parse::<u64>() {
                Ok(number) => Some(number.into()),
                Err(_) => text.parse().ok().or_else(|| decimal(text)),
            },
            _ => None,
        };
        let number =
            number.ok_or_else(|| format!("{} instead of a whole number", self.quoted()))?;
        integer.bits(number).ok_or_else(|| format!("{number} is out of range"))
    }

    /// Returns a number that may also be given by its name.
    pub(super) fn enumerator(self, by_name: fn(&str) -> Option<i32>) -> Result<u64, Reason> {
        match self {
            Scalar::Text(name) => by_name(name)
                .map_or_else(|| self.integer(Integer::I32), |number| Ok(number as i64 as u64)),
            _ => self.integer(Integer::I32),
        }
    }

    pub(super) fn double(self) -> Result<f64, Reason> {
        let number = match self {
            Scalar::Unsigned(number) => Some(number as f64),
            Scalar::Signed(number) => Some(number as f64),
            Scalar::Double(number) => Some(number),
            Scalar::Text("NaN") => Some(f64::NAN),
            Scalar::Text("Infinity") => Some(f64::INFINITY),
            Scalar::Text("-Infinity") => Some(f64::NEG_INFINITY),
            // Rust's parser also accepts names such as `inf` and `nan`, which the mapping does not
            // have.
            Scalar::Text(text)
                if text.ends_with(|last: char| last.is_ascii_digit() || last == '.') =>
            {
                text.parse().ok()
            }
            _ => None,
        };
        number.ok_or_else(|| format!("{} instead of a number", self.quoted()))
    }
}

impl Integer {
    /// Returns the number as protobuf encodes it, or `None` if it is out of the type's range.
    fn bits(self, number: i128) -> Option<u64> {
        match self {
            Integer::U32 | Integer::Fixed32 => u32::try_from(number).ok().map(u64::from),
            Integer::U64 | Integer::Fixed64 => u64::try_from(number).ok(),
            Integer::I32 => i32::try_from(number).ok().map(|number| i64::from(number) as u64),
            Integer::I64 | Integer::SignedFixed64 => {
                i64::try_from(number).ok().map(|number| number as u64)
            }
            Integer::Zigzag => i32::try_from(number)
                .ok()
                .map(|number| ((number << 1) ^ (number >> 31)) as u32 as u64),
        }
    }
}

/// Parses a whole number that is written with a fraction or an exponent, such as `1.7958e18`,
/// without rounding.
fn decimal(text: &str) -> Option<i128> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (digits, is_negative) =
        number.strip_prefix('-').map_or((number, false), |digits| (digits, true));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty()
        && whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit());
    // The exponent that remains once the digits of the fraction, without trailing zeros, are part
    // of the whole number.
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let (digits, zeros) = match u32::try_from(zeros) {
        Ok(zeros) => (digits, zeros),
        // A negative exponent removes trailing zeros of the digits.
        Err(_) => (digits.strip_suffix(&"0".repeat(zeros.unsigned_abs().min(64) as usize))?, 0),
    };
    if !is_number {
        return None;
    }
    let number: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let number = if number == 0 { 0 } else { number.checked_mul(10_i128.checked_pow(zeros)?)? };
    Some(if is_negative { -number } else { number })
}

/// Appends the bytes that a text of hexadecimal digits encodes. The number of digits must be even.
pub(super) fn hexadecimal(text: &str, bytes: &mut Vec<u8>) -> Result<(), Reason> {
    let wrong =
        || format!("{} is not an even number of hexadecimal digits", Scalar::Text(text).quoted());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let digits = |&[high, low]: &[u8; 2]| (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
    let all = pairs.iter().map(digits).fold(0, |all, (high, low)| all | high | low);
    if all > 0xf {
        return Err(wrong());
    }
    bytes.extend(pairs.iter().map(digits).map(|(high, low)| high << 4 | low));
    Ok(())
}

/// The value of each byte as a hexadecimal digit, or a value above 15 if it is not one.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digits[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// Decodes base64 in either alphabet, with or without padding.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, Reason> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, EITHER)
        .decode(text)
        .map_err(|error| format!("the value is not valid base64: {error}"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn bits(scalar: Scalar<'_>, integer: Integer) -> Result<u64, Reason> {
        scalar.integer(integer)
    }

    #[test]
    fn numbers_are_accepted_as_numbers_or_strings() {
        use Integer::{Fixed64, I32, I64, U64, Zigzag};
        use Scalar::{Bool, Double, Signed, Text, Unsigned};
        for scalar in
            [Unsigned(12), Text("12"), Double(12.0), Text("1.2e1"), Double(1.2e1), Text("+12")]
        {
            assert_eq!(bits(scalar, U64), Ok(12), "{scalar:?}");
        }
        for scalar in
            [Double(1.7958e18), Text("1.7958e18"), Text("17958E+14"), Text("1795800000000000000.0")]
        {
            assert_eq!(bits(scalar, Fixed64), Ok(1_795_800_000_000_000_000), "{scalar:?}");
        }
        assert_eq!(bits(Double(1.795800000123456e18), U64), Ok(1_795_800_000_123_456_000));
        assert_eq!(bits(Text("-1.5e1"), I64), Ok(-15_i64 as u64));
        assert_eq!(
            [Text("0e99"), Text("1200e-2"), Double(0.0)].map(|zero| bits(zero, U64)),
            [Ok(0), Ok(12), Ok(0)]
        );
        for text in [
            "1.5",
            "1e400",
            "1e-1",
            "1.25e1",
            "e5",
            ".e5",
            "1e",
            "--1",
            "1.x",
            "1e99999999999",
            "120e-2",
        ] {
            assert!(bits(Text(text), U64).is_err(), "{text}");
        }
        assert_eq!(bits(Text("18446744073709551615"), U64), Ok(u64::MAX));
        assert_eq!(bits(Unsigned(u64::MAX), U64), Ok(u64::MAX));
        assert_eq!(bits(Text("-9223372036854775808"), I64), Ok(i64::MIN as u64));
        assert_eq!(
            [Signed(-1), Signed(1), Text("-2")].map(|number| bits(number, Zigzag)),
            [Ok(1), Ok(2), Ok(3)]
        );
        for scalar in [
            Text("-1"),
            Signed(-1),
            Text("18446744073709551616"),
            Double(1.5),
            Text("x"),
            Bool(true),
            Scalar::Null,
        ] {
            assert!(bits(scalar, U64).is_err(), "{scalar:?}");
        }
        assert_eq!(bits(Unsigned(1 << 40), I32), Err("1099511627776 is out of range".to_owned()));
        assert!(Text("NaN").double().is_ok_and(f64::is_nan));
        assert_eq!(Text("-Infinity").double(), Ok(f64::NEG_INFINITY));
        assert_eq!(
            [Text("1.5e3"), Unsigned(1500), Double(1.5e3)].map(Scalar::double),
            [Ok(1500.0), Ok(1500.0), Ok(1500.0)]
        );
        for text in ["inf", "nan", "infinity", "", "-", "1.5x"] {
            assert!(Text(text).double().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_decoded_from_hexadecimal_and_bytes_from_base64() {
        let read = |text: &str| {
            let mut bytes = Vec::new();
            hexadecimal(text, &mut bytes).map(|()| bytes)
        };
        assert_eq!(read("00fF"), Ok(vec![0, 255]));
        assert_eq!(read(""), Ok(vec![]));
        for text in ["0", "0g", "é", "::", "@@", "``"] {
            assert!(
                read(text).unwrap_err().ends_with("is not an even number of hexadecimal digits"),
                "{text}"
            );
        }
        for text in ["+/8=", "+/8", "-_8", "-_8="] {
            assert_eq!(base64(text), Ok(vec![0xfb, 0xff]), "{text}");
        }
        assert!(base64("+_8").is_err());
    }

    #[test]
    fn messages_quote_long_values_in_part() {
        let long = "x".repeat(1_000);
        assert!(bits(Scalar::Text(&long), Integer::U64).unwrap_err().len() < 100);
        assert!(Scalar::Text(&long).double().unwrap_err().len() < 100);
    }
}
