//! A record's bytes without what other columns of its row hold.
//!
//! Ids are random, and times and values nearly so: held twice, they would cost twice. So their places
//! in the record's bytes are filled with zeros, which compress to nothing, and filled again when the
//! record is read. What would not come back byte for byte is stored as it is, after a zero byte. No
//! message of the protocol begins with one.

use crate::wire::{fields, write_message};

/// Marks bytes that were stored as they are.
const AS_IT_IS: u8 = 0;

/// What a row's columns know of the fields of its record: the field's number, and the payload that
/// it would have.
#[derive(Default)]
pub(crate) struct Known {
    payloads: Vec<(u64, Vec<u8>)>,
}

impl Known {
    pub(crate) fn clear(&mut self) {
        self.payloads.clear();
    }

    pub(crate) fn number(&mut self, field: u64, number: u64) {
        self.payloads.push((field, number.to_le_bytes().to_vec()));
    }

    /// Adds an id from its digits, and nothing if there are none.
    pub(crate) fn id(&mut self, field: u64, digits: &str) {
        if !digits.is_empty()
            && let Some(bytes) = from_hex(digits)
        {
            self.payloads.push((field, bytes));
        }
    }

    /// Adds a text that is wrapped as the protocol's `AnyValue`.
    pub(crate) fn any_text(&mut self, field: u64, text: &str) {
        let mut payload = Vec::with_capacity(text.len() + 4);
        write_message(&mut payload, 1, text.as_bytes());
        self.payloads.push((field, payload));
    }

    fn of(&self, field: u64, length: usize) -> Option<&[u8]> {
        let known = self.payloads.iter().find(|(number, _)| *number == field);
        known.map(|(_, payload)| payload.as_slice()).filter(|payload| payload.len() == length)
    }

    /// Writes what `blanked` needs to hold of a record, so that `fill` makes `record` of it.
    pub(crate) fn blank(&self, record: &[u8], blanked: &mut Vec<u8>) {
        blanked.clear();
        blanked.extend_from_slice(record);
        for field in fields(record) {
            let payload = &mut blanked[field.payload];
            if self.of(field.number, payload.len()).is_some_and(|known| known == payload) {
                payload.fill(0);
            }
        }
        if record.first() == Some(&AS_IT_IS) || self.filled(blanked) != record {
            blanked.clear();
            blanked.push(AS_IT_IS);
            blanked.extend_from_slice(record);
        }
    }

    /// Returns the record of which `blank` wrote these bytes.
    pub(crate) fn fill(&self, blanked: &[u8]) -> Vec<u8> {
        match blanked.split_first() {
            Some((&AS_IT_IS, record)) => record.to_vec(),
            _ => self.filled(blanked),
        }
    }

    fn filled(&self, blanked: &[u8]) -> Vec<u8> {
        let mut record = blanked.to_vec();
        for field in fields(blanked) {
            let payload = &mut record[field.payload];
            if let Some(known) = self.of(field.number, payload.len())
                && payload.iter().all(|byte| *byte == 0)
            {
                payload.copy_from_slice(known);
            }
        }
        record
    }
}

/// Returns the bytes of an id from its digits.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_columns_know_is_blanked_and_filled_again() {
        let mut known = Known::default();
        known.id(1, "000102030405060708090a0b0c0d0e0f");
        known.number(7, 300);
        known.any_text(5, "hello");
        let mut record = Vec::new();
        write_message(&mut record, 1, &(0..16).collect::<Vec<u8>>());
        record.extend([0x39, 44, 1, 0, 0, 0, 0, 0, 0, 0x42, 3, 1, 2, 3]);
        let mut blanked = Vec::new();
        known.blank(&record, &mut blanked);
        assert_eq!(blanked.iter().filter(|byte| **byte == 0).count(), 16 + 8);
        assert_eq!(known.fill(&blanked), record);
    }

    #[test]
    fn zeros_that_are_not_what_columns_know_are_stored_as_they_are() {
        let mut known = Known::default();
        known.number(7, 300);
        let record = [0x39, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut blanked = Vec::new();
        known.blank(&record, &mut blanked);
        assert_eq!(blanked[0], AS_IT_IS);
        assert_eq!(known.fill(&blanked), record);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            record in proptest::collection::vec(any::<u8>(), 0..80),
            number in any::<u64>(),
            text in ".{0,8}",
        ) {
            let mut known = Known::default();
            known.number(u64::from(record.first().copied().unwrap_or(8)) >> 3, number);
            known.any_text(5, &text);
            let mut blanked = Vec::new();
            known.blank(&record, &mut blanked);
            prop_assert_eq!(known.fill(&blanked), record);
        }
    }
}
