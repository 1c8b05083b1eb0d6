//! Rewrites a message so that it is regular.

use super::elements::{Element, Elements};
use super::read::Raw;
use super::schema::{NUMBERS, Schema, Type};
use super::write::Writer;

/// Rewrites a checked message so that it is regular and has the same meaning, as the encoding
/// defines it: <https://protobuf.dev/programming-guides/encoding/#last-one-wins>.
///
/// If a field occurs twice, the last one counts. Messages that occur twice are merged, lists of
/// numbers become one packed list, and of a `oneof` only the last member is kept. Unknown fields
/// are kept as they arrived. O(bytes · depth).
pub(crate) fn regular(schema: &'static Schema, message: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(message.len());
    write(schema, message, &mut Writer(&mut written));
    written
}

/// The offsets of the fields that count.
struct Last {
    /// The offset of the last field of each number.
    places: [usize; NUMBERS],
    /// The number of the `oneof`'s last member, and the offset of its first field after any other
    /// member.
    member: Option<(u32, usize)>,
}

impl Last {
    fn of(schema: &Schema, message: &[u8]) -> Self {
        let mut last = Last { places: [0; NUMBERS], member: None };
        for Element { number, start, .. } in Elements::of(message).flatten() {
            if let Some(place) = last.places.get_mut(number as usize) {
                *place = start;
                if schema.is_member(number)
                    && last.member.is_none_or(|(member, _)| member != number)
                {
                    last.member = Some((number, start));
                }
            }
        }
        last
    }

    /// Returns whether a later member of the `oneof` replaces this field.
    fn replaces(&self, schema: &Schema, element: &Element<'_>) -> bool {
        let counts = |(member, start)| element.number == member && element.start >= start;
        schema.is_member(element.number) && !self.member.is_some_and(counts)
    }
}

fn write(schema: &'static Schema, message: &[u8], writer: &mut Writer<'_>) {
    let last = Last::of(schema, message);
    for element in Elements::of(message).flatten() {
        let number = element.number;
        let known = schema.type_of(number);
        if last.replaces(schema, &element) {
            continue;
        }
        let is_last = || last.places[number as usize] == element.start;
        let alike = || Elements::of(message).flatten().filter(move |other| other.number == number);
        match known {
            Type::Many(inner) => {
                writer.nested(number, |writer| write(inner, element.raw.bytes(), writer))
            }
            Type::Unknown | Type::ManyTexts => {
                writer.0.extend_from_slice(&message[element.start..element.end])
            }
            Type::Fixed64 | Type::Fixed32 | Type::Varint | Type::Text | Type::Bytes
                if is_last() =>
            {
                writer.0.extend_from_slice(&message[element.start..element.end]);
            }
            Type::Message(inner) if is_last() => {
                let counting = alike().filter(|other| !last.replaces(schema, other));
                let merged: Vec<u8> =
                    counting.flat_map(|other| other.raw.bytes()).copied().collect();
                writer.nested(number, |writer| write(inner, &merged, writer));
            }
            Type::ManyFixed64 | Type::ManyVarint if is_last() => writer.nested(number, |writer| {
                alike().for_each(|other| match other.raw {
                    Raw::Bytes(packed) => writer.0.extend_from_slice(packed),
                    Raw::Fixed64(one) => writer.0.extend_from_slice(&one.to_le_bytes()),
                    one => writer.varint(one.number()),
                });
            }),
            _ => {}
        }
    }
}
