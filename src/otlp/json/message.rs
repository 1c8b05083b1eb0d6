//! Writes a message as protobuf while its JSON is read.
//!
//! Nothing is built in between: a field's bytes are appended as soon as its value has been read, in
//! the order of the fields in JSON. A repeated field replaces its earlier value, as in most JSON
//! readers.

use super::place::{has_snake_name, is_snake_of};
use super::scalar::{Reason, Scalar, base64, hexadecimal};
use super::schema::{Field, FieldType, Integer, KEY_VALUE, Message, Presence, VALUE};
use super::visit::{FieldName, Length, Seed, Visit, skip, skip_list, skip_object};
use crate::wire::depth::DEEPEST;
use crate::wire::{Elements, WireError, Writer, field_of};
use serde::de::{Error, MapAccess, SeqAccess};

/// The maximum number of repeated fields in a message. Erasing the earlier value takes O(bytes of
/// the message), so the number of repetitions must not grow with the text.
const MOST_REPEATED: usize = 16;

/// The protobuf output.
#[derive(Default)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// The sum of the depth costs of the enclosing lists and maps: see `wire::depth`.
    depth: usize,
}

impl Output {
    pub(super) fn writer(&mut self) -> Writer<'_> {
        Writer(&mut self.bytes)
    }

    /// Removes a field from the message that begins at `start`. O(bytes of the message).
    fn erase(&mut self, start: usize, number: u32) {
        let message = self.bytes.split_off(start);
        for element in Elements::of(&message).flatten().filter(|element| element.number != number) {
            self.bytes.extend_from_slice(&message[element.start..element.end]);
        }
    }

    /// Appends a numeric field.
    fn integer(&mut self, field: &Field, integer: Integer, bits: u64) {
        if bits == 0 && field.presence == Presence::Implicit {
            return;
        }
        match integer {
            Integer::Fixed64 | Integer::SignedFixed64 => {
                self.writer().always_fixed64(field.number, bits)
            }
            Integer::Fixed32 => self.writer().fixed32(field.number, bits as u32),
            Integer::U32 | Integer::U64 | Integer::I32 | Integer::I64 | Integer::Zigzag => {
                self.writer().always_number(field.number, bits);
            }
        }
    }

    fn bytes(&mut self, field: &Field, bytes: &[u8]) {
        match field.presence {
            Presence::Implicit => self.writer().bytes(field.number, bytes),
            _ => self.writer().always_bytes(field.number, bytes),
        }
    }

    fn id(&mut self, field: &Field, digits: &str) -> Result<(), Reason> {
        if digits.is_empty() {
            return Ok(());
        }
        let nested = self.writer().begin(field.number);
        hexadecimal(digits, &mut self.bytes)?;
        self.writer().end(nested);
        Ok(())
    }

    fn scalar(&mut self, field: &Field, scalar: Scalar<'_>) -> Result<(), Reason> {
        match field.value_type {
            FieldType::Text => self.bytes(field, scalar.text()?.as_bytes()),
            FieldType::Id => self.id(field, scalar.text()?)?,
            FieldType::LenientId => {
                let before = self.bytes.len();
                if self.id(field, scalar.text()?).is_err() {
                    self.bytes.truncate(before);
                }
            }
            FieldType::Bytes => self.bytes(field, &base64(scalar.text()?)?),
            FieldType::Bool => self.integer(field, Integer::U32, scalar.boolean()?.into()),
            FieldType::Double => self.integer(field, Integer::Fixed64, scalar.double()?.to_bits()),
            FieldType::Integer(integer) => self.integer(field, integer, scalar.integer(integer)?),
            FieldType::Enum(by_name) => {
                self.integer(field, Integer::I32, scalar.enumerator(by_name)?)
            }
            FieldType::Message(_) => {
                return Err(format!("{} instead of an object", scalar.type_name()));
            }
            FieldType::Messages(_)
            | FieldType::Texts
            | FieldType::Doubles
            | FieldType::Integers(_) => {
                return Err(format!("{} instead of a list", scalar.type_name()));
            }
        }
        Ok(())
    }

    /// Appends an element of a list of scalars.
    fn element(&mut self, field: &Field, scalar: Scalar<'_>) -> Result<(), Reason> {
        match field.value_type {
            FieldType::Texts => self.writer().always_bytes(field.number, scalar.text()?.as_bytes()),
            FieldType::Doubles => self.bytes.extend_from_slice(&scalar.double()?.to_le_bytes()),
            FieldType::Integers(integer @ Integer::Fixed64) => {
                self.bytes.extend_from_slice(&scalar.integer(integer)?.to_le_bytes())
            }
            FieldType::Integers(integer) => {
                let bits = scalar.integer(integer)?;
                self.writer().varint(bits);
            }
            _ => return Err(format!("{} instead of an object", scalar.type_name())),
        }
        Ok(())
    }
}

/// Returns the error for a list or an object where the field holds something else.
fn wrong_type(found: &str, value_type: FieldType) -> Reason {
    let expected = match value_type {
        FieldType::Text | FieldType::Id | FieldType::LenientId | FieldType::Bytes => "a string",
        FieldType::Bool => "true or false",
        FieldType::Double => "a number",
        FieldType::Integer(_) | FieldType::Enum(_) => "a whole number",
        FieldType::Message(_) => "an object",
        FieldType::Messages(_) | FieldType::Texts | FieldType::Doubles | FieldType::Integers(_) => {
            "a list"
        }
    };
    format!("{found} instead of {expected}")
}

/// Returns the index of the field with this name. The search begins at `next`, since most writers
/// keep the fields in order.
pub(super) fn index_of(fields: &[Field], next: usize, name: &str) -> Option<usize> {
    let has_name = |field: &Field| field.name == name;
    let (before, after) = fields.split_at(next);
    after
        .iter()
        .position(has_name)
        .map(|index| next + index)
        .or_else(|| before.iter().position(has_name))
}

/// A name in a message.
enum Name {
    /// The name of the field with this index.
    Field(usize),
    /// The snake-case name of the field with this index.
    Snake(usize),
    Unknown,
}

fn name_of(fields: &[Field], next: usize, name: &str) -> Name {
    index_of(fields, next, name).map_or_else(|| other_name(fields, name), Name::Field)
}

#[cold]
fn other_name(fields: &[Field], name: &str) -> Name {
    snake_index_of(fields, name).map_or(Name::Unknown, Name::Snake)
}

/// Returns the index of the field with this snake-case name.
pub(super) fn snake_index_of(fields: &[Field], name: &str) -> Option<usize> {
    fields.iter().position(|field| is_snake_of(name, field.name))
}

/// Appends the fields of a message.
pub(super) struct Fields<'a> {
    pub(super) output: &'a mut Output,
    pub(super) message: &'static Message,
}

impl<'de> Visit<'de> for Fields<'_> {
    type Out = Result<(), Reason>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(()),
            other => Err(format!("{} instead of an object", other.type_name())),
        })
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error> {
        skip_list(list)?;
        Ok(Err("a list instead of an object".to_owned()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        let Self { output, message } = self;
        if std::ptr::eq(message, &VALUE) && output.depth > DEEPEST {
            skip_object(object)?;
            return Ok(Err(WireError::TooDeep.to_string()));
        }
        output.depth += message.nests;
        let result = MessageReader::new(output, message).read(object);
        output.depth -= message.nests;
        result
    }
}

/// A message that is being read.
struct MessageReader<'a> {
    output: &'a mut Output,
    message: &'static Message,
    /// The offset in the output at which the message begins.
    start: usize,
    /// The fields that were read, as bits of their indexes.
    seen: u32,
    /// The fields whose names are in snake case, as bits of their indexes.
    snake: u32,
    repeated: usize,
    /// The rank of the `oneof` field that was read.
    one_of: Option<u8>,
    wrong: Option<Reason>,
    /// Whether the error is in a field of the `oneof`. If so, a field of a better rank that follows
    /// clears it.
    one_of_is_wrong: bool,
}

impl<'a> MessageReader<'a> {
    fn new(output: &'a mut Output, message: &'static Message) -> Self {
        let start = output.bytes.len();
        Self {
            output,
            message,
            start,
            seen: 0,
            snake: 0,
            repeated: 0,
            one_of: None,
            wrong: None,
            one_of_is_wrong: false,
        }
    }

    fn read<'de, A: MapAccess<'de>>(
        mut self,
        mut object: A,
    ) -> Result<Result<(), Reason>, A::Error> {
        let mut next = 0;
        let fields = self.message.fields;
        while let Some(found) =
            object.next_key_seed(FieldName(|name: &str| name_of(fields, next, name)))?
        {
            match found {
                Name::Field(found) => {
                    next = found + 1;
                    self.field(&mut object, found)?;
                }
                Name::Snake(found) => {
                    let is_present = object.next_value_seed(Seed(Length))?.is_some();
                    self.snake |= u32::from(is_present) << found;
                }
                Name::Unknown => skip(&mut object)?,
            }
        }
        // Nothing is lost if the field has its right name too.
        let lost = self.snake & !self.seen;
        if self.wrong.is_none() && lost != 0 {
            self.wrong = Some(has_snake_name(fields[lost.trailing_zeros() as usize].name));
        }
        Ok(self.wrong.map_or(Ok(()), Err))
    }

    #[inline]
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        object: &mut A,
        index: usize,
    ) -> Result<(), A::Error> {
        let field = &self.message.fields[index];
        let rank = match field.presence {
            Presence::OneOf(rank) => Some(rank),
            _ => None,
        };
        let is_worse = rank.is_some_and(|rank| self.one_of.is_some_and(|known| rank > known));
        let is_needed = self.wrong.is_none() || (self.one_of_is_wrong && rank.is_some());
        if is_worse || !is_needed {
            return skip(object);
        }
        if self.seen & 1 << index != 0 {
            self.repeated_field(field);
        }
        self.seen |= 1 << index;
        let before = self.output.bytes.len();
        match object.next_value_seed(Seed(Value { output: self.output, field }))? {
            Ok(is_present) => {
                // If a member of a better rank follows, both are in the output, and protobuf
                // readers use the last one.
                if is_present && rank.is_some() {
                    self.one_of = rank;
                    if std::mem::take(&mut self.one_of_is_wrong) {
                        self.wrong = None;
                    }
                }
            }
            Err(wrong) => {
                self.wrong = Some(self.with_field_name(field, &wrong));
                self.one_of_is_wrong = rank.is_some();
                self.one_of = rank.or(self.one_of);
                self.output.bytes.truncate(before);
            }
        }
        Ok(())
    }

    #[cold]
    fn repeated_field(&mut self, field: &Field) {
        self.repeated += 1;
        if self.repeated > MOST_REPEATED {
            self.wrong = Some(format!(
                "{}: the object repeats fields more than {MOST_REPEATED} times; write each field once",
                field.name
            ));
            self.one_of_is_wrong = false;
        } else {
            self.output.erase(self.start, field.number);
        }
    }

    /// Prefixes an error with the field's name, or with the key if the field is an attribute's
    /// value.
    #[cold]
    fn with_field_name(&self, field: &Field, wrong: &str) -> Reason {
        let is_attribute = std::ptr::eq(self.message, &KEY_VALUE) && field.name == "value";
        let key = field_of(&self.output.bytes[self.start..], 1).filter(|_| is_attribute);
        format!("{}: {wrong}", key.map_or(field.name, |key| key.text()))
    }
}

/// Appends a field, unless it is `null`. The result is `Ok(false)` for `null`.
pub(super) struct Value<'a> {
    pub(super) output: &'a mut Output,
    pub(super) field: &'static Field,
}

impl<'de> Visit<'de> for Value<'_> {
    type Out = Result<bool, Reason>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(false),
            _ => self.output.scalar(self.field, scalar).map(|()| true),
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { output, field } = self;
        let result = match field.value_type {
            FieldType::Messages(_) | FieldType::Texts => elements(output, field, &mut list)?,
            FieldType::Doubles | FieldType::Integers(_) => {
                let before = output.bytes.len();
                let packed = output.writer().begin(field.number);
                let empty = output.bytes.len();
                let result = elements(output, field, &mut list)?;
                if output.bytes.len() == empty {
                    output.bytes.truncate(before);
                } else if result.is_ok() {
                    output.writer().end(packed);
                }
                result
            }
            other => Err(wrong_type("a list", other)),
        };
        if result.is_err() {
            skip_list(list)?;
        }
        Ok(result.map(|()| true))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        let Self { output, field } = self;
        let FieldType::Message(message) = field.value_type else {
            skip_object(object)?;
            return Ok(Err(wrong_type("an object", field.value_type)));
        };
        let nested = output.writer().begin(field.number);
        let result = Fields { output, message }.object(object)?;
        output.writer().end(nested);
        Ok(result.map(|()| true))
    }
}

/// Appends the elements up to the first invalid one.
fn elements<'de, A: SeqAccess<'de>>(
    output: &mut Output,
    field: &'static Field,
    list: &mut A,
) -> Result<Result<(), Reason>, A::Error> {
    loop {
        match list.next_element_seed(Seed(Element { output, field }))? {
            None => return Ok(Ok(())),
            Some(Ok(())) => {}
            Some(Err(wrong)) => return Ok(Err(wrong)),
        }
    }
}

/// Appends an element of a list field.
struct Element<'a> {
    output: &'a mut Output,
    field: &'static Field,
}

impl<'de> Visit<'de> for Element<'_> {
    type Out = Result<(), Reason>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        let is_message = matches!(self.field.value_type, FieldType::Messages(_));
        if is_message && matches!(scalar, Scalar::Null) {
            // A `null` element becomes an empty message.
            self.output.writer().always_bytes(self.field.number, b"");
            return Ok(Ok(()));
        }
        Ok(self.output.element(self.field, scalar))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error> {
        skip_list(list)?;
        Ok(Err(wrong_type("a list", element_type(self.field.value_type))))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        let Self { output, field } = self;
        let FieldType::Messages(message) = field.value_type else {
            skip_object(object)?;
            return Ok(Err(wrong_type("an object", element_type(field.value_type))));
        };
        let nested = output.writer().begin(field.number);
        let result = Fields { output, message }.object(object)?;
        output.writer().end(nested);
        Ok(result)
    }
}

/// Returns the type of an element of a list field.
fn element_type(value_type: FieldType) -> FieldType {
    match value_type {
        FieldType::Messages(message) => FieldType::Message(message),
        FieldType::Texts => FieldType::Text,
        FieldType::Doubles => FieldType::Double,
        FieldType::Integers(integer) => FieldType::Integer(integer),
        other => other,
    }
}
