//! Trace ids as Jaeger reads and shows them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use slipring::TraceId;

/// Digits of half an id.
const HALF: usize = 16;

/// Reads an id of up to 32 hexadecimal digits, without the zeros that it begins with or with them.
pub fn hexadecimal(text: &str) -> Result<TraceId, String> {
    if text.len() > 2 * HALF {
        return Err(format!("TraceID cannot be longer than 32 hex characters: {text}"));
    }
    let number = |digits: &str| {
        // A sign is no digit, though numbers may have one.
        let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| is_number);
        number.ok_or_else(|| format!("strconv.ParseUint: parsing {digits:?}: invalid syntax"))
    };
    // A character of several bytes may lie across the middle. It is no digit.
    let (high, low) = match text.len().checked_sub(HALF).filter(|&length| length > 0) {
        Some(length) => text.split_at_checked(length).unwrap_or((text, "")),
        None => ("0", text),
    };
    Ok(TraceId::from(u128::from(number(high)?) << 64 | u128::from(number(low)?)))
}

/// Reads an id in hexadecimal digits or in base64, of 16 bytes or of 8.
pub fn any(text: &str) -> Result<TraceId, String> {
    let wrong = match hexadecimal(text) {
        Ok(id) => return Ok(id),
        Err(wrong) if text.len() > 24 => return Err(wrong),
        Err(wrong) => wrong,
    };
    let decoded = [STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|encoding| encoding.decode(text).ok());
    let bytes = decoded.ok_or(wrong)?;
    let number = match bytes.len() {
        16 | 8 => bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)),
        _ => return Err("invalid length for TraceID".to_owned()),
    };
    Ok(TraceId::from(number))
}

/// Shows an id as the older API does: one of 64 bits has 16 digits.
pub fn shown(id: TraceId) -> String {
    let number = u128::from(id);
    if number >> 64 == 0 { format!("{number:016x}") } else { format!("{number:032x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_without_leading_zeros_and_in_base64() {
        for (text, number) in [
            ("1", 1_u128),
            ("1F00", 0x1f00),
            ("00000000000000000000000000000001", 1),
            ("10000000000000002", 1 << 64 | 2),
            ("AAAAAAAAAAIAAAAAAAAAAQ==", 2 << 64 | 1),
            ("AAAAAAAAAAIAAAAAAAAAAQ", 2 << 64 | 1),
            ("AAAAAAAAAAc=", 7),
            ("-_AAAAAAAAAAAAAAAAAAAQ", 0xfbf0 << 112 | 1),
        ] {
            assert_eq!(any(text), Ok(TraceId::from(number)), "{text}");
        }
        for (text, wrong) in [
            ("x200", r#"strconv.ParseUint: parsing "x200": invalid syntax"#),
            ("", r#"strconv.ParseUint: parsing "": invalid syntax"#),
            ("+1", r#"strconv.ParseUint: parsing "+1": invalid syntax"#),
            ("0000000é000000000000000", r#"strconv.ParseUint: parsing "0000000é"#),
            ("1234567é9012345678", "strconv.ParseUint: parsing"),
        ] {
            assert!(hexadecimal(text).unwrap_err().starts_with(wrong), "{text}");
        }
        assert_eq!(any("AA==").unwrap_err(), "invalid length for TraceID");
        let long = "0".repeat(33);
        let wrong = format!("TraceID cannot be longer than 32 hex characters: {long}");
        assert_eq!(any(&long).unwrap_err(), wrong);
    }

    #[test]
    fn an_id_of_64_bits_is_shown_in_16_digits() {
        assert_eq!(shown(TraceId::from(1)), "0000000000000001");
        assert_eq!(shown(TraceId::from(1 << 64)), "00000000000000010000000000000000");
    }
}
