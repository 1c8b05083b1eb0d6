//! Writes a message as protobuf while its JSON is read.
//!
//! Nothing is built in between: a field's bytes are appended as soon as its value has been read, in
//! the order of the fields in JSON. A repeated field replaces its earlier value, as in most JSON
//! readers.

use super::scalar::{Scalar, Wrong, base64, hexadecimal};
use super::schema::{Field, KEY_VALUE, Message, Of, Presence, VALUE, Whole};
use super::visit::{Name, Take, Via, pass, pass_list, pass_object};
use crate::wire::depth::DEEPEST;
use crate::wire::{Elements, Writer, Wrong as WireWrong, field_of};
use serde::de::{Error, MapAccess, SeqAccess};

/// The maximum number of repeated fields in a message. Erasing the earlier value takes O(bytes of
/// the message), so the number of repetitions must not grow with the text.
const MOST_AGAIN: usize = 16;

/// The protobuf output.
#[derive(Default)]
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// The sum of the depth costs of the enclosing lists and maps: see `wire::depth`.
    depth: usize,
}

impl Written {
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
    fn whole(&mut self, field: &Field, of: Whole, bits: u64) {
        if bits == 0 && field.presence == Presence::Implicit {
            return;
        }
        match of {
            Whole::Fixed64 | Whole::SignedFixed64 => {
                self.writer().always_fixed64(field.number, bits)
            }
            Whole::Fixed32 => self.writer().fixed32(field.number, bits as u32),
            Whole::U32 | Whole::U64 | Whole::I32 | Whole::I64 | Whole::Zigzag => {
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

    fn id(&mut self, field: &Field, digits: &str) -> Result<(), Wrong> {
        if digits.is_empty() {
            return Ok(());
        }
        let nested = self.writer().begin(field.number);
        hexadecimal(digits, &mut self.bytes)?;
        self.writer().end(nested);
        Ok(())
    }

    fn scalar(&mut self, field: &Field, scalar: Scalar<'_>) -> Result<(), Wrong> {
        match field.of {
            Of::Text => self.bytes(field, scalar.text()?.as_bytes()),
            Of::Id => self.id(field, scalar.text()?)?,
            Of::LenientId => {
                let before = self.bytes.len();
                if self.id(field, scalar.text()?).is_err() {
                    self.bytes.truncate(before);
                }
            }
            Of::Bytes => self.bytes(field, &base64(scalar.text()?)?),
            Of::Bool => self.whole(field, Whole::U32, scalar.boolean()?.into()),
            Of::Double => self.whole(field, Whole::Fixed64, scalar.double()?.to_bits()),
            Of::Whole(of) => self.whole(field, of, scalar.whole(of)?),
            Of::Named(number_of) => self.whole(field, Whole::I32, scalar.named(number_of)?),
            Of::Message(_) => return Err(format!("{} instead of an object", scalar.kind())),
            Of::Many(_) | Of::Texts | Of::Doubles | Of::Wholes(_) => {
                return Err(format!("{} instead of a list", scalar.kind()));
            }
        }
        Ok(())
    }

    /// Appends an element of a list of scalars.
    fn element(&mut self, field: &Field, scalar: Scalar<'_>) -> Result<(), Wrong> {
        match field.of {
            Of::Texts => self.writer().always_bytes(field.number, scalar.text()?.as_bytes()),
            Of::Doubles => self.bytes.extend_from_slice(&scalar.double()?.to_le_bytes()),
            Of::Wholes(of @ Whole::Fixed64) => {
                self.bytes.extend_from_slice(&scalar.whole(of)?.to_le_bytes())
            }
            Of::Wholes(of) => {
                let bits = scalar.whole(of)?;
                self.writer().varint(bits);
            }
            _ => return Err(format!("{} instead of an object", scalar.kind())),
        }
        Ok(())
    }
}

/// Returns the error for a list or an object in place of what the field holds.
fn instead(what: &str, of: Of) -> Wrong {
    let expected = match of {
        Of::Text | Of::Id | Of::LenientId | Of::Bytes => "a string",
        Of::Bool => "true or false",
        Of::Double => "a number",
        Of::Whole(_) | Of::Named(_) => "a whole number",
        Of::Message(_) => "an object",
        Of::Many(_) | Of::Texts | Of::Doubles | Of::Wholes(_) => "a list",
    };
    format!("{what} instead of {expected}")
}

/// Returns the index of the field with this name. The search begins at `next`, since most writers
/// keep the fields in order.
pub(super) fn place(fields: &[Field], next: usize, name: &str) -> Option<usize> {
    let is_it = |field: &Field| field.name == name;
    let (before, after) = fields.split_at(next);
    after.iter().position(is_it).map(|place| next + place).or_else(|| before.iter().position(is_it))
}

/// Appends the fields of a message.
pub(super) struct Fields<'a> {
    pub(super) written: &'a mut Written,
    pub(super) message: &'static Message,
}

impl<'de> Take<'de> for Fields<'_> {
    type Out = Result<(), Wrong>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(()),
            other => Err(format!("{} instead of an object", other.kind())),
        })
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error> {
        pass_list(list)?;
        Ok(Err("a list instead of an object".to_owned()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        let Self { written, message } = self;
        if std::ptr::eq(message, &VALUE) && written.depth > DEEPEST {
            pass_object(object)?;
            return Ok(Err(WireWrong::TooDeep.to_string()));
        }
        written.depth += message.nests;
        let taken = Said::new(written, message).take(object);
        written.depth -= message.nests;
        taken
    }
}

/// A message that is being read.
struct Said<'a> {
    written: &'a mut Written,
    message: &'static Message,
    /// The offset in the output at which the message begins.
    start: usize,
    /// The fields that were read, as bits of their indexes.
    fields: u32,
    again: usize,
    /// The rank of the `oneof` field that was read.
    one: Option<u8>,
    wrong: Option<Wrong>,
    /// Whether the error is in a field of the `oneof`. It is then dropped if a field of a better
    /// rank follows.
    one_is_wrong: bool,
}

impl<'a> Said<'a> {
    fn new(written: &'a mut Written, message: &'static Message) -> Self {
        let start = written.bytes.len();
        Self {
            written,
            message,
            start,
            fields: 0,
            again: 0,
            one: None,
            wrong: None,
            one_is_wrong: false,
        }
    }

    fn take<'de, A: MapAccess<'de>>(
        mut self,
        mut object: A,
    ) -> Result<Result<(), Wrong>, A::Error> {
        let mut next = 0;
        let fields = self.message.fields;
        while let Some(found) =
            object.next_key_seed(Name(|name: &str| place(fields, next, name)))?
        {
            let Some(found) = found else {
                pass(&mut object)?;
                continue;
            };
            next = found + 1;
            self.field(&mut object, found)?;
        }
        Ok(self.wrong.map_or(Ok(()), Err))
    }

    #[inline]
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        object: &mut A,
        place: usize,
    ) -> Result<(), A::Error> {
        let field = &self.message.fields[place];
        let rank = match field.presence {
            Presence::OneOf(rank) => Some(rank),
            _ => None,
        };
        let is_worse = rank.is_some_and(|rank| self.one.is_some_and(|known| rank > known));
        let counts = self.wrong.is_none() || (self.one_is_wrong && rank.is_some());
        if is_worse || !counts {
            return pass(object);
        }
        if self.fields & 1 << place != 0 {
            self.comes_again(field);
        }
        self.fields |= 1 << place;
        let before = self.written.bytes.len();
        match object.next_value_seed(Via(Value { written: self.written, field }))? {
            Ok(is_there) => {
                // If a member of a better rank follows, both are in the output, and protobuf
                // readers use the last one.
                if is_there && rank.is_some() {
                    self.one = rank;
                    if std::mem::take(&mut self.one_is_wrong) {
                        self.wrong = None;
                    }
                }
            }
            Err(wrong) => {
                self.wrong = Some(self.named(field, &wrong));
                self.one_is_wrong = rank.is_some();
                self.one = rank.or(self.one);
                self.written.bytes.truncate(before);
            }
        }
        Ok(())
    }

    #[cold]
    fn comes_again(&mut self, field: &Field) {
        self.again += 1;
        if self.again > MOST_AGAIN {
            self.wrong = Some(format!("{}: fields come again and again", field.name));
            self.one_is_wrong = false;
        } else {
            self.written.erase(self.start, field.number);
        }
    }

    /// Prefixes an error with the field's name, or with the key if the field is an attribute's
    /// value.
    #[cold]
    fn named(&self, field: &Field, wrong: &str) -> Wrong {
        let is_attribute = std::ptr::eq(self.message, &KEY_VALUE) && field.name == "value";
        let key = field_of(&self.written.bytes[self.start..], 1).filter(|_| is_attribute);
        format!("{}: {wrong}", key.map_or(field.name, |key| key.text()))
    }
}

/// Appends a field, unless it is `null`. The output says whether it was anything else.
pub(super) struct Value<'a> {
    pub(super) written: &'a mut Written,
    pub(super) field: &'static Field,
}

impl<'de> Take<'de> for Value<'_> {
    type Out = Result<bool, Wrong>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(false),
            _ => self.written.scalar(self.field, scalar).map(|()| true),
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { written, field } = self;
        let taken = match field.of {
            Of::Many(_) | Of::Texts => elements(written, field, &mut list)?,
            Of::Doubles | Of::Wholes(_) => {
                let before = written.bytes.len();
                let packed = written.writer().begin(field.number);
                let empty = written.bytes.len();
                let taken = elements(written, field, &mut list)?;
                if written.bytes.len() == empty {
                    written.bytes.truncate(before);
                } else if taken.is_ok() {
                    written.writer().end(packed);
                }
                taken
            }
            of => Err(instead("a list", of)),
        };
        if taken.is_err() {
            pass_list(list)?;
        }
        Ok(taken.map(|()| true))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        let Self { written, field } = self;
        let Of::Message(message) = field.of else {
            pass_object(object)?;
            return Ok(Err(instead("an object", field.of)));
        };
        let nested = written.writer().begin(field.number);
        let taken = Fields { written, message }.object(object)?;
        written.writer().end(nested);
        Ok(taken.map(|()| true))
    }
}

/// Appends the elements up to the first invalid one.
fn elements<'de, A: SeqAccess<'de>>(
    written: &mut Written,
    field: &'static Field,
    list: &mut A,
) -> Result<Result<(), Wrong>, A::Error> {
    loop {
        match list.next_element_seed(Via(Element { written, field }))? {
            None => return Ok(Ok(())),
            Some(Ok(())) => {}
            Some(Err(wrong)) => return Ok(Err(wrong)),
        }
    }
}

/// Appends an element of a list field.
struct Element<'a> {
    written: &'a mut Written,
    field: &'static Field,
}

impl<'de> Take<'de> for Element<'_> {
    type Out = Result<(), Wrong>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        let is_message = matches!(self.field.of, Of::Many(_));
        if is_message && matches!(scalar, Scalar::Null) {
            // A `null` element becomes an empty message.
            self.written.writer().always_bytes(self.field.number, b"");
            return Ok(Ok(()));
        }
        Ok(self.written.element(self.field, scalar))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error> {
        pass_list(list)?;
        Ok(Err(instead("a list", of_element(self.field.of))))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        let Self { written, field } = self;
        let Of::Many(message) = field.of else {
            pass_object(object)?;
            return Ok(Err(instead("an object", of_element(field.of))));
        };
        let nested = written.writer().begin(field.number);
        let taken = Fields { written, message }.object(object)?;
        written.writer().end(nested);
        Ok(taken)
    }
}

fn of_element(of: Of) -> Of {
    match of {
        Of::Many(message) => Of::Message(message),
        Of::Texts => Of::Text,
        Of::Doubles => Of::Double,
        Of::Wholes(of) => Of::Whole(of),
        of => of,
    }
}
