//! Checks a message against its schema, completely and once, so that reading it afterwards cannot
//! fail.
//!
//! A message is accepted if `prost` accepts it and it nests no deeper than [`depth`](super::depth)
//! allows. A message is *regular* if no field that should occur once occurs twice, and if each list
//! of numbers is packed in one field. All known writers write regular messages. In a regular
//! message, readers may use the first field that they find.

use super::depth::DEEPEST;
use super::read::{Field, Fields, Raw, is_number};
use super::schema::{KEY_VALUE, NUMBERS, Schema, Type};
use std::fmt;

/// An error from checking a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireError {
    Underflow,
    Varint,
    Tag,
    WireType(u32),
    Group,
    Utf8,
    TooDeep,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Underflow => f.write_str("buffer underflow: the message is truncated"),
            WireError::Varint => f.write_str("invalid varint"),
            WireError::Tag => {
                f.write_str("invalid tag: field numbers range from 1 to 2²⁹ - 1")
            }
            WireError::WireType(number) => {
                write!(f, "field {number} has the wrong wire type: OTLP defines it with another")
            }
            WireError::Group => f.write_str(
                "a group without its end tag, an end tag without its group, or groups nested too deep",
            ),
            WireError::Utf8 => f.write_str("a string is not valid UTF-8"),
            WireError::TooDeep => f.write_str(
                "recursion limit reached: a value nests more than 32 lists or 28 maps deep",
            ),
        }
    }
}

/// The result of checking a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Each field that should occur once does, and lists of numbers are packed in one field.
    Regular,
    /// The message is valid, but must be rewritten by [`regular`](super::regular()) before it is
    /// read in place.
    Irregular,
}

/// Checks a message and the messages nested in it, and calls `see` with each field of the outer
/// message. O(bytes), without allocations.
#[inline]
pub(crate) fn check<'a>(
    schema: &'static Schema,
    message: &'a [u8],
    mut see: impl FnMut(Field<'a>),
) -> Result<Checked, WireError> {
    let mut regular = true;
    walk(schema, message, 0, &mut regular, &mut see)?;
    Ok(if regular { Checked::Regular } else { Checked::Irregular })
}

#[inline(always)]
fn walk<'a>(
    schema: &'static Schema,
    message: &'a [u8],
    depth: usize,
    regular: &mut bool,
    see: &mut impl FnMut(Field<'a>),
) -> Result<(), WireError> {
    let mut fields = Fields::of(message);
    let mut seen = 0_u32;
    while let &[key, ref rest @ ..] = fields.rest() {
        // Most fields have a key of one byte, and are 8 bytes, or bytes whose length takes one.
        if key < 0x80 {
            let (number, left) = (u32::from(key >> 3), rest.len() + 1);
            match (key & 7, schema.type_of(number)) {
                (1, Type::Fixed64) => {
                    let (value, rest) = rest.split_first_chunk().ok_or(WireError::Underflow)?;
                    fields = Fields::of(rest);
                    *regular &= is_first(schema, number, &mut seen);
                    see(Field { number, raw: Raw::Fixed64(u64::from_le_bytes(*value)), left });
                    continue;
                }
                (2, known @ (Type::Text | Type::Bytes | Type::Message(_) | Type::Many(_))) => {
                    if let &[length @ 0..0x80, ref rest @ ..] = rest {
                        let (bytes, rest) =
                            rest.split_at_checked(length.into()).ok_or(WireError::Underflow)?;
                        fields = Fields::of(rest);
                        match known {
                            Type::Text => utf8(bytes)?,
                            Type::Message(schema) | Type::Many(schema) => {
                                inner(schema, bytes, depth, regular)?
                            }
                            _ => {}
                        }
                        if !matches!(known, Type::Many(_)) {
                            *regular &= is_first(schema, number, &mut seen);
                        }
                        see(Field { number, raw: Raw::Bytes(bytes), left });
                        continue;
                    }
                }
                _ => {}
            }
        }
        let field = next(&mut fields)?;
        let Field { number, raw, .. } = field;
        let known = schema.type_of(number);
        let mut once = true;
        match (known, raw) {
            (Type::Unknown, _) => {
                see(field);
                continue;
            }
            (Type::Fixed64, Raw::Fixed64(_))
            | (Type::Fixed32, Raw::Fixed32(_))
            | (Type::Varint, Raw::Varint(_)) => {}
            (Type::Bytes, Raw::Bytes(_)) => {}
            (Type::Text, Raw::Bytes(text)) => utf8(text)?,
            (Type::ManyTexts, Raw::Bytes(text)) => {
                utf8(text)?;
                once = false;
            }
            (Type::Message(schema), Raw::Bytes(message)) => inner(schema, message, depth, regular)?,
            (Type::Many(schema), Raw::Bytes(message)) => {
                inner(schema, message, depth, regular)?;
                once = false;
            }
            (Type::ManyFixed64, Raw::Bytes(numbers)) => {
                if !numbers.len().is_multiple_of(8) {
                    return Err(WireError::Underflow);
                }
            }
            (Type::ManyVarint, Raw::Bytes(numbers)) => {
                let mut numbers = Fields::of(numbers);
                while !numbers.rest().is_empty() {
                    varint(&mut numbers)?;
                }
            }
            // An unpacked list. `prost` accepts it, so this does too.
            (Type::ManyFixed64, Raw::Fixed64(_)) | (Type::ManyVarint, Raw::Varint(_)) => {
                *regular = false
            }
            _ => return Err(WireError::WireType(number)),
        }
        if once {
            *regular &= is_first(schema, number, &mut seen);
        }
        see(field);
    }
    Ok(())
}

/// Notes a field that should occur once. Returns whether neither it nor another member of its
/// `oneof` was seen before.
#[inline(always)]
fn is_first(schema: &Schema, number: u32, seen: &mut u32) -> bool {
    let bit = 1 << number;
    let together = if schema.one_of & bit != 0 { schema.one_of } else { bit };
    let first = *seen & together == 0;
    *seen |= bit;
    first
}

const _: () = assert!(NUMBERS <= 32);

fn inner(
    schema: &'static Schema,
    message: &[u8],
    depth: usize,
    regular: &mut bool,
) -> Result<(), WireError> {
    let depth = depth + schema.nests;
    if schema.value && depth > DEEPEST {
        return Err(WireError::TooDeep);
    }
    if std::ptr::eq(schema, &KEY_VALUE) && depth <= DEEPEST && is_plain_attribute(message) {
        return Ok(());
    }
    walk(schema, message, depth, regular, &mut |_| ())
}

/// Returns whether an attribute is written as nearly all are, and valid: its name, and a value of
/// one field that is a text, a number or a boolean, both in ASCII and with lengths of one byte. Any
/// other is checked field by field.
#[inline]
fn is_plain_attribute(message: &[u8]) -> bool {
    const NAME: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    const TEXT: u8 = 1 << 3 | 2;
    const BOOL: u8 = 2 << 3;
    const INT: u8 = 3 << 3;
    const DOUBLE: u8 = 4 << 3 | 1;
    let &[NAME, length @ 0..0x80, ref rest @ ..] = message else { return false };
    let Some((name, &[VALUE, length @ 0..0x80, ref value @ ..])) =
        rest.split_at_checked(length.into())
    else {
        return false;
    };
    if value.len() != usize::from(length) {
        return false;
    }
    let is_valid = match *value {
        [TEXT, length @ 0..0x80, ref text @ ..] => {
            text.len() == usize::from(length) && is_ascii(text)
        }
        // Up to nine bytes fit into 64 bits, whatever they are.
        [BOOL | INT, ref number @ ..] => number.split_last().is_some_and(|(last, others)| {
            *last < 0x80 && others.len() < 9 && others.iter().all(|byte| *byte >= 0x80)
        }),
        [DOUBLE, ref double @ ..] => double.len() == 8,
        _ => false,
    };
    is_valid && is_ascii(name)
}

#[inline]
fn utf8(text: &[u8]) -> Result<(), WireError> {
    if is_ascii(text) || std::str::from_utf8(text).is_ok() { Ok(()) } else { Err(WireError::Utf8) }
}

/// Returns whether a text is ASCII, as most are. Of short texts, std's check looks at each byte.
#[inline]
fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let bits = if let Some(last) = text.last_chunk() {
        let (words, _) = text.as_chunks();
        words.iter().fold(u64::from_ne_bytes(*last), |bits, word| bits | u64::from_ne_bytes(*word))
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        u64::from(u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last))
    } else {
        text.iter().fold(0, |bits, byte| bits | u64::from(*byte))
    };
    bits & HIGH == 0
}

#[inline]
fn varint(fields: &mut Fields<'_>) -> Result<u64, WireError> {
    let before = fields.rest();
    fields.varint().ok_or_else(|| no_varint(before))
}

#[cold]
fn no_varint(bytes: &[u8]) -> WireError {
    if bytes.len() < 10 && bytes.iter().all(|byte| *byte >= 0x80) {
        WireError::Underflow
    } else {
        WireError::Varint
    }
}

/// Reads the next field. There must be at least one byte left.
#[inline(always)]
pub(super) fn next<'a>(fields: &mut Fields<'a>) -> Result<Field<'a>, WireError> {
    let left = fields.rest().len();
    let key = varint(fields)?;
    let number = key >> 3;
    if !is_number(number) {
        return Err(WireError::Tag);
    }
    let raw = match key & 7 {
        0 => Raw::Varint(varint(fields)?),
        1 => Raw::Fixed64(u64::from_le_bytes(fields.array().ok_or(WireError::Underflow)?)),
        2 => {
            let length = varint(fields)?;
            Raw::Bytes(fields.take(length).ok_or(WireError::Underflow)?)
        }
        3 => {
            fields.pass_group(number).ok_or(WireError::Group)?;
            Raw::Group
        }
        4 => return Err(WireError::Group),
        5 => Raw::Fixed32(u32::from_le_bytes(fields.array().ok_or(WireError::Underflow)?)),
        _ => return Err(WireError::WireType(number as u32)),
    };
    Ok(Field { number: number as u32, raw, left })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks an attribute field by field. Returns whether it is valid and regular.
    fn is_sound(message: &[u8]) -> bool {
        let mut regular = true;
        walk(&KEY_VALUE, message, 0, &mut regular, &mut |_| ()).is_ok() && regular
    }

    #[test]
    fn an_attribute_that_passes_at_once_passes_field_by_field() {
        let of = |name: &str, value: &[u8]| {
            let head = [&[0x0a, name.len() as u8][..], name.as_bytes()].concat();
            [&head[..], &[0x12, value.len() as u8], value].concat()
        };
        let text = |text: &str| [&[0x0a, text.len() as u8][..], text.as_bytes()].concat();
        let most = [&[0x18][..], &[0xff; 9], &[1]].concat();
        let usual = [
            of("http.route", &text("/cart")),
            of("", &text("")),
            of("long", &text(&"x".repeat(125))),
            of("retry", &[0x10, 1]),
            of("code", &[0x18, 0xc8, 1]),
            of("code", &[&[0x18][..], &[0x80; 8], &[1]].concat()),
            of("ratio", &[0x21, 1, 2, 3, 4, 5, 6, 7, 8]),
        ];
        let mut passed = 0;
        for message in &usual {
            assert!(is_plain_attribute(message) && is_sound(message), "{message:?}");
            let mut check = |changed: &[u8]| {
                if is_plain_attribute(changed) {
                    passed += 1;
                    assert!(is_sound(changed), "{changed:?}");
                }
            };
            for at in 0..message.len() {
                check(&message[..at]);
                for byte in 0..=u8::MAX {
                    let (before, after) = message.split_at(at);
                    check(&[before, &[byte], &after[1..]].concat());
                    check(&[before, &[byte], after].concat());
                }
            }
        }
        assert!(passed > 10_000, "{passed}");
        // What this does not know is left to the other check, whatever it says.
        for other in [of("code", &most), of("none", &[]), of("café", &text("x"))] {
            assert!(!is_plain_attribute(&other) && is_sound(&other), "{other:?}");
        }
    }
}
