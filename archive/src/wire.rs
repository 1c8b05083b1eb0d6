//! A record's protobuf, as far as files need it: top-level fields, and requests around records.

use std::ops::Range;

/// A field of a message. Of a field with a length, `payload` is what the length counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) kind: u8,
    pub(crate) start: usize,
    pub(crate) payload: Range<usize>,
}

pub(crate) const WITH_LENGTH: u8 = 2;

fn varint(message: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn field(message: &[u8], at: usize) -> Option<Field> {
    let mut end = at;
    let tag = varint(message, &mut end)?;
    let kind = (tag & 7) as u8;
    let start = end;
    let payload = match kind {
        0 => {
            varint(message, &mut end)?;
            start..end
        }
        1 => start..start + 8,
        5 => start..start + 4,
        WITH_LENGTH => {
            let length = usize::try_from(varint(message, &mut end)?).ok()?;
            end..end.checked_add(length)?
        }
        _ => return None,
    };
    (payload.end <= message.len()).then_some(Field { number: tag >> 3, kind, start: at, payload })
}

/// Iterates over the fields of a message, up to the first that is damaged.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = Field> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let field = field(message, at)?;
        at = field.payload.end;
        Some(field)
    })
}

pub(crate) fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(crate) fn write_message(bytes: &mut Vec<u8>, number: u64, message: &[u8]) {
    write_varint(bytes, number << 3 | u64::from(WITH_LENGTH));
    write_varint(bytes, message.len() as u64);
    bytes.extend_from_slice(message);
}

/// The fields that lead from a request to its records: resource, scope, span or log record.
pub(crate) const TO_RECORD: [&[u64]; 3] = [&[1], &[2], &[2]];

/// The same for points: resource, scope, metric, the metric's data, point.
pub(crate) const TO_POINT: [&[u64]; 5] = [&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

/// Returns a request that has these records in the place of its only record.
pub(crate) fn with_records(envelope: &[u8], path: &[&[u64]], records: &[Vec<u8>]) -> Vec<u8> {
    let Some((numbers, path)) = path.split_first() else { return envelope.to_vec() };
    let found =
        fields(envelope).find(|field| field.kind == WITH_LENGTH && numbers.contains(&field.number));
    let Some(found) = found else { return envelope.to_vec() };
    let mut bytes = envelope[..found.start].to_vec();
    if path.is_empty() {
        records.iter().for_each(|record| write_message(&mut bytes, found.number, record));
    } else {
        let inner = with_records(&envelope[found.payload.clone()], path, records);
        write_message(&mut bytes, found.number, &inner);
    }
    bytes.extend_from_slice(&envelope[found.payload.end..]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_the_first_that_is_damaged() {
        let mut message = Vec::new();
        write_message(&mut message, 1, b"abc");
        message.extend([0x10, 0x80, 0x01, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 1, 2, 3]);
        let found: Vec<_> = fields(&message).map(|one| (one.number, one.payload)).collect();
        assert_eq!(found, [(1, 2..5), (2, 6..8), (3, 9..17)]);
        assert_eq!(
            fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).count(),
            0
        );
    }

    #[test]
    fn records_take_the_place_of_the_only_one() {
        let envelope = [0x0a, 6, 0x0a, 0, 0x12, 0, 0x1a, 0];
        let bytes = with_records(&envelope, &[&[1], &[2]], &[vec![7], vec![]]);
        assert_eq!(bytes, [0x0a, 9, 0x0a, 0, 0x12, 1, 7, 0x12, 0, 0x1a, 0]);
        assert_eq!(with_records(&envelope, &[&[1], &[2]], &[]), [0x0a, 4, 0x0a, 0, 0x1a, 0]);
    }
}
