//! A look at the fields of a point's message, without decoding them.

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

    /// The highest field number that the protocol knows.
    fn last(self) -> u32 {
        match self {
            Shape::Number => 8,
            Shape::Histogram => 12,
            Shape::Exponential => 14,
        }
    }
}

/// What a point's message holds that its row in a block does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) exemplars: bool,
    pub(crate) unknown_fields: bool,
}

/// Appends the message's attributes to `key`, each with its length, and returns what a block leaves
/// out of it. Bytes that are no message, which no store holds, count as an unknown field.
pub(crate) fn look(message: &[u8], shape: Shape, key: &mut Vec<u8>) -> Left {
    let (mut left, mut rest) = (Left::default(), message);
    while !rest.is_empty() {
        let Some((number, payload)) = next_field(&mut rest) else {
            left.unknown_fields = true;
            return left;
        };
        if number == shape.attributes() {
            key.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            key.extend_from_slice(payload);
        } else if number == shape.exemplars() {
            left.exemplars = true;
        } else if number == 0 || number > shape.last() || number == 1 && shape != Shape::Exponential
        {
            left.unknown_fields = true;
        }
    }
    left
}

/// Takes the next field from the message. The payload is empty unless the field is length-delimited.
fn next_field<'m>(rest: &mut &'m [u8]) -> Option<(u32, &'m [u8])> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let skipped = match tag & 7 {
        0 => {
            varint(rest)?;
            0
        }
        1 => 8,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (payload, after) = rest.split_at_checked(length)?;
            *rest = after;
            return Some((number, payload));
        }
        5 => 4,
        _ => return None,
    };
    *rest = rest.get(skipped..)?;
    Some((number, &[]))
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
        assert_eq!(look(plain.bytes(), Shape::Number, &mut key), Left::default());
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
