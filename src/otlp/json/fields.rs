//! Reading the fields of a message, as protobuf's JSON mapping has them: what is absent or `null` is its default, numbers may be
//! strings, and the other way round nothing is guessed.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// What is wrong with a record: which field, and how.
pub(super) type Wrong = String;

/// A message's fields; each is taken once.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn of(value: Value) -> Result<Self, Wrong> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null => Ok(Self(Map::new())),
            other => Err(format!("{} instead of an object", kind(&other))),
        }
    }

    /// The field, unless it is absent or `null`.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Whether there is something to take.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    fn read<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
        self.take(name).map(read).transpose().map_err(|wrong| format!("{name}: {wrong}"))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Wrong> {
        Ok(self.read(name, text)?.unwrap_or_default())
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<bool, Wrong> {
        let boolean =
            |value: Value| value.as_bool().ok_or_else(|| format!("{} instead of true or false", kind(&value)));
        Ok(self.read(name, boolean)?.unwrap_or_default())
    }

    /// A whole number of any size.
    pub(super) fn whole<N: TryFrom<i128> + Default>(&mut self, name: &str) -> Result<N, Wrong> {
        Ok(self.read(name, whole)?.unwrap_or_default())
    }

    pub(super) fn double(&mut self, name: &str) -> Result<Option<f64>, Wrong> {
        self.read(name, double)
    }

    /// An id, in hexadecimal digits of either case; of none, no bytes.
    pub(super) fn id(&mut self, name: &str) -> Result<Vec<u8>, Wrong> {
        Ok(self.read(name, |value| hexadecimal(&text(value)?))?.unwrap_or_default())
    }

    /// An id where one that is none does not count: of a text that is no hexadecimal, no bytes.
    pub(super) fn lenient_id(&mut self, name: &str) -> Result<Vec<u8>, Wrong> {
        Ok(self.read(name, |value| Ok(hexadecimal(&text(value)?).unwrap_or_default()))?.unwrap_or_default())
    }

    /// A number that has a name; which is read, too.
    pub(super) fn named(&mut self, name: &str, number_of: fn(&str) -> Option<i32>) -> Result<i32, Wrong> {
        let read = |value: Value| match value.as_str().and_then(number_of) {
            Some(number) => Ok(number),
            None => whole(value),
        };
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    pub(super) fn message<T>(&mut self, name: &str, of: fn(Fields) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
        self.read(name, |value| of(Self::of(value)?))
    }

    pub(super) fn list<T>(&mut self, name: &str, of: impl Fn(Value) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
        let read = |value: Value| match value {
            Value::Array(values) => values.into_iter().map(&of).collect(),
            other => Err(format!("{} instead of a list", kind(&other))),
        };
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    pub(super) fn messages<T>(&mut self, name: &str, of: fn(Fields) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
        self.list(name, |value| of(Self::of(value)?))
    }
}

/// What JSON calls it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as a message quotes it.
fn quoted(value: &Value) -> String {
    const MOST: usize = 40;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

pub(super) fn text(value: Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{} instead of a string", kind(&other))),
    }
}

pub(super) fn whole<N: TryFrom<i128>>(value: Value) -> Result<N, Wrong> {
    let number = match &value {
        Value::Number(number) => {
            let whole = number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from));
            // Displayed, a double has the digits that it was written with, as long as these are no more than it holds.
            whole.or_else(|| decimal(&format!("{:e}", number.as_f64()?)))
        }
        Value::String(text) => text.parse().ok().or_else(|| decimal(text)),
        _ => None,
    };
    let number = number.ok_or_else(|| format!("{} instead of a whole number", quoted(&value)))?;
    N::try_from(number).map_err(|_| format!("{number} is out of range"))
}

/// A whole number that is written with a fraction or an exponent, such as `1.7958e18`, exactly.
fn decimal(text: &str) -> Option<i128> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (digits, is_negative) = number.strip_prefix('-').map_or((number, false), |digits| (digits, true));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit());
    // What is left of the exponent once the fraction's digits, but for zeros at their end, are whole.
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let (digits, zeros) = match u32::try_from(zeros) {
        Ok(zeros) => (digits, zeros),
        // A whole number whose own zeros the exponent takes away.
        Err(_) => (digits.strip_suffix(&"0".repeat(zeros.unsigned_abs().min(64) as usize))?, 0),
    };
    if !is_number {
        return None;
    }
    let number: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let number = if number == 0 { 0 } else { number.checked_mul(10_i128.checked_pow(zeros)?)? };
    Some(if is_negative { -number } else { number })
}

pub(super) fn double(value: Value) -> Result<f64, Wrong> {
    let number = match &value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            // Rust would also read its own names for these.
            text if text.ends_with(|last: char| last.is_ascii_digit() || last == '.') => text.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| format!("{} instead of a number", quoted(&value)))
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, Wrong> {
    let wrong = || format!("{} is no even number of hexadecimal digits", quoted(&Value::from(text)));
    let digit = |digit: u8| (digit as char).to_digit(16).map(|digit| digit as u8).ok_or_else(wrong);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    pairs.iter().map(|&[high, low]| Ok(digit(high)? << 4 | digit(low)?)).collect()
}

/// Bytes in base64, of either alphabet, padded or not.
pub(super) fn bytes(value: Value) -> Result<Vec<u8>, Wrong> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text(value)?;
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, EITHER).decode(&text).map_err(|error| format!("no base64: {error}"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_come_as_numbers_or_strings() {
        for value in [json!(12), json!("12"), json!(12.0), json!("1.2e1"), json!(1.2e1)] {
            assert_eq!(whole::<u64>(value.clone()), Ok(12), "{value}");
        }
        for value in [json!(1.7958e18), json!("1.7958e18"), json!("17958E+14"), json!("1795800000000000000.0")] {
            assert_eq!(whole::<u64>(value.clone()), Ok(1_795_800_000_000_000_000), "{value}");
        }
        assert_eq!(whole::<u64>(json!(1.795800000123456e18)), Ok(1_795_800_000_123_456_000));
        assert_eq!(whole::<i64>(json!("-1.5e1")), Ok(-15));
        assert_eq!([json!("0e99"), json!("1200e-2"), json!(0.0)].map(whole::<u64>), [Ok(0), Ok(12), Ok(0)]);
        for value in ["1.5", "1e400", "1e-1", "1.25e1", "e5", ".e5", "1e", "--1", "1.x", "1e99999999999", "120e-2"] {
            assert!(whole::<u64>(json!(value)).is_err(), "{value}");
        }
        assert_eq!(whole(json!("18446744073709551615")), Ok(u64::MAX));
        assert_eq!(whole(json!(u64::MAX)), Ok(u64::MAX));
        assert_eq!(whole(json!("-9223372036854775808")), Ok(i64::MIN));
        for value in
            [json!("-1"), json!(-1), json!("18446744073709551616"), json!(1.5), json!("x"), json!(true), json!([])]
        {
            assert!(whole::<u64>(value.clone()).is_err(), "{value}");
        }
        assert_eq!(whole::<i32>(json!(1_u64 << 40)), Err("1099511627776 is out of range".to_owned()));
        assert!(double(json!("NaN")).is_ok_and(f64::is_nan));
        assert_eq!(double(json!("-Infinity")), Ok(f64::NEG_INFINITY));
        assert_eq!([json!("1.5e3"), json!(1500), json!(1.5e3)].map(double), [Ok(1500.0), Ok(1500.0), Ok(1500.0)]);
        assert!(["inf", "nan", "infinity", "", "-", "1.5x"].map(|text| double(json!(text))).iter().all(Result::is_err));
    }

    #[test]
    fn ids_are_hexadecimal_and_bytes_base64() {
        let mut fields = Fields::of(json!({ "a": "00fF", "b": "0", "c": "0g", "d": null, "e": "é" })).unwrap();
        assert_eq!(fields.id("a"), Ok(vec![0, 255]));
        assert_eq!(fields.id("d"), Ok(vec![]));
        for name in ["b", "c", "e"] {
            assert!(fields.id(name).unwrap_err().starts_with(&format!("{name}: ")), "{name}");
        }
        for text in ["+/8=", "+/8", "-_8", "-_8="] {
            assert_eq!(bytes(json!(text)), Ok(vec![0xfb, 0xff]), "{text}");
        }
        assert!(bytes(json!("+_8")).is_err());
    }

    #[test]
    fn what_is_wrong_is_named_and_short() {
        let mut fields = Fields::of(json!({ "list": [{}, 7], "long": "x".repeat(1_000) })).unwrap();
        let wrong = fields.messages("list", |_| Ok(())).unwrap_err();
        assert_eq!(wrong, "list: a number instead of an object");
        assert!(fields.whole::<u64>("long").unwrap_err().len() < 100);
        assert!(Fields::of(json!([])).is_err());
    }
}
