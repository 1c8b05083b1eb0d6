//! A look at the fields of a point's message, without decoding the point.

use crate::row::Common;
use slipring::MetricPoint;

/// The form of a point's message, and of its rows in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Shape {
    Number,
    Histogram,
    Exponential,
}

impl Shape {
    /// The field number of the attributes.
    fn attributes(self) -> u32 {
        match self {
            Shape::Number => 7,
            Shape::Histogram => 9,
            Shape::Exponential => 1,
        }
    }

    /// The field number of the exemplars.
    fn exemplars(self) -> u32 {
        match self {
            Shape::Number => 5,
            Shape::Histogram => 8,
            Shape::Exponential => 11,
        }
    }

    /// The field number of the flags.
    fn flags(self) -> u32 {
        match self {
            Shape::Number => 8,
            Shape::Histogram | Shape::Exponential => 10,
        }
    }

    /// The highest field number that the protocol knows.
    fn last(self) -> u32 {
        match self {
            Shape::Number => 8,
            Shape::Histogram => 12,
            Shape::Exponential => 14,
        }
    }
}

/// What a look at a point's message found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) start: u64,
    pub(crate) flags: u32,
    /// Whether it has what its row in a block leaves out.
    pub(crate) exemplars: bool,
    pub(crate) unknown_fields: bool,
}

impl Seen {
    pub(crate) fn common(&self, point: &MetricPoint) -> Common {
        Common { time: point.time_unix_nanos(), start: self.start, flags: self.flags }
    }
}

/// Appends the message's attributes to `key`, each with its length, and returns what else its row
/// in a block needs to know. Bytes that are no message, which no store holds, count as an unknown
/// field.
pub(crate) fn look(message: &[u8], shape: Shape, key: &mut Vec<u8>) -> Seen {
    let (mut seen, mut rest) = (Seen::default(), message);
    while !rest.is_empty() {
        let Some((number, field)) = next_field(&mut rest) else {
            seen.unknown_fields = true;
            return seen;
        };
        match field {
            Field::Bytes(payload) if number == shape.attributes() => {
                key.extend_from_slice(&(payload.len() as u32).to_le_bytes());
                key.extend_from_slice(payload);
            }
            Field::Number(start) if number == 2 => seen.start = start,
            Field::Number(flags) if number == shape.flags() => seen.flags = flags as u32,
            _ if number == shape.exemplars() => seen.exemplars = true,
            _ if number == 0 || number > shape.last() => seen.unknown_fields = true,
            _ if number == 1 && shape != Shape::Exponential => seen.unknown_fields = true,
            _ => {}
        }
    }
    seen
}

enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// Takes the next field from the message.
fn next_field<'m>(rest: &mut &'m [u8]) -> Option<(u32, Field<'m>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let field = match tag & 7 {
        0 => Field::Number(varint(rest)?),
        1 => {
            let (bytes, after) = rest.split_first_chunk()?;
            *rest = after;
            Field::Number(u64::from_le_bytes(*bytes))
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (payload, after) = rest.split_at_checked(length)?;
            *rest = after;
            Field::Bytes(payload)
        }
        5 => {
            let (bytes, after) = rest.split_first_chunk()?;
            *rest = after;
            Field::Number(u32::from_le_bytes(*bytes).into())
        }
        _ => return None,
    };
    Some((number, field))
}

/// Takes a variable-length number from the bytes.
pub(crate) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Appends a variable-length number.
pub(crate) fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::MetricPoint;
    use slipring::metric::Exemplar;

    #[test]
    fn attributes_exemplars_and_unknown_fields_are_told_apart() {
        let plain = MetricPoint::builder().attribute("a", 1).time_unix_nanos(7).value(3).build();
        let mut key = Vec::new();
        assert_eq!(look(plain.bytes(), Shape::Number, &mut key), Seen::default());
        assert!(key.len() > 4);
        let with = plain.to_builder().exemplar(&Exemplar::default()).build();
        let mut other = Vec::new();
        assert!(look(with.bytes(), Shape::Number, &mut other).exemplars);
        assert_eq!(key, other);
        for more in [&[0x78, 1][..], &[0x7a, 1, 0], &[0x0b]] {
            let bytes = [plain.bytes(), more].concat();
            assert!(look(&bytes, Shape::Number, &mut Vec::new()).unknown_fields, "{more:?}");
        }
    }

    #[test]
    fn varints_come_back() {
        for number in [0, 1, 127, 128, 300, u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(number, &mut bytes);
            assert_eq!(varint(&mut &bytes[..]), Some(number));
        }
        assert_eq!(varint(&mut &[0x80; 11][..]), None);
    }
}
