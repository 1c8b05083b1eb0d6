//! Where a field lies in its record's bytes.

use crate::wire::{Fields, Raw, field_of};

/// The offset of a field in its record, in `N` bytes, so that reading the field need not look for
/// it. Byte arrays lose no space to alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset<const N: usize>([u8; N]);

impl<const N: usize> Default for Offset<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Offset<N> {
    /// Stands for an offset that does not fit.
    const FAR: usize = (1 << (8 * N)) - 1;

    /// Returns the offset of a field, from the length of the record and of its bytes from the field
    /// on.
    #[inline]
    pub(crate) fn of(length: usize, left: usize) -> Self {
        // 0 stands for a field that the record does not have.
        let bytes = (length - left + 1).min(Self::FAR).to_le_bytes();
        Self(std::array::from_fn(|at| bytes[at]))
    }

    /// Returns whether the record has the field.
    #[inline]
    pub(crate) fn is_set(self) -> bool {
        self.0 != [0; N]
    }

    #[inline(always)]
    fn get(self) -> usize {
        self.0.iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte))
    }

    /// Reads the field. Calls `search` if its offset does not fit. O(1) otherwise.
    #[inline]
    pub(crate) fn read<'r>(
        self,
        record: &'r [u8],
        search: impl FnOnce(&'r [u8]) -> Option<Raw<'r>>,
    ) -> Option<Raw<'r>> {
        match self.get() {
            0 => None,
            at if at == Self::FAR => search(record),
            at => Fields::of(record.get(at - 1..)?).next().map(|field| field.raw),
        }
    }

    /// Returns the number of a field with 8 bytes, or 0 if the record does not have the field. As
    /// [`read`](Self::read), without decoding a key of one byte, which known fields have.
    #[inline]
    pub(crate) fn fixed64<'r>(
        self,
        record: &'r [u8],
        search: impl FnOnce(&'r [u8]) -> Option<Raw<'r>>,
    ) -> u64 {
        let at = self.get();
        if at == 0 {
            return 0;
        }
        if at != Self::FAR
            && let Some(field) = record.get(at - 1..)
            && let Some([0..0x80, number @ ..]) = field.first_chunk::<9>()
        {
            return u64::from_le_bytes(*number);
        }
        self.read(record, search).map_or(0, Raw::number)
    }

    /// Returns the bytes of a field that has `M` of them. As [`read`](Self::read), without decoding
    /// a key and a length of one byte.
    #[inline]
    pub(crate) fn bytes<const M: usize>(self, record: &[u8], number: u32) -> Option<[u8; M]> {
        let at = self.get();
        if at == 0 {
            return None;
        }
        if at != Self::FAR
            && let [0..0x80, length, bytes @ ..] = record.get(at - 1..)?
            && usize::from(*length) == M
        {
            return bytes.first_chunk().copied();
        }
        self.read(record, |record| field_of(record, number))?.bytes().try_into().ok()
    }
}

impl Offset<2> {
    #[inline]
    pub(crate) fn from_bits(bits: u16) -> Self {
        Self(bits.to_le_bytes())
    }

    #[inline]
    pub(crate) fn bits(self) -> u16 {
        u16::from_le_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;

    /// Writes a record with a text of this length before the field of number 7.
    fn record(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.bytes(1, &vec![b'a'; length]);
        writer.number(7, 5);
        bytes
    }

    fn offset<const N: usize>(record: &[u8]) -> Offset<N> {
        let field = Fields::of(record).find(|field| field.number == 7);
        field.map_or(Offset::default(), |field| Offset::of(record.len(), field.left))
    }

    #[test]
    fn a_field_is_read_where_it_lies_and_looked_for_where_its_offset_does_not_fit() {
        for length in [0, 1, 200, 250, 251, 252, 253, 300, 65_000, 65_529, 65_530, 65_531, 70_000] {
            let record = record(length);
            let at = record.len() - 2;
            let (near, far) = (offset::<1>(&record), offset::<2>(&record));
            let searched = std::cell::Cell::new(0);
            let search = |record| {
                searched.set(searched.get() + 1);
                field_of(record, 7)
            };
            assert_eq!(near.read(&record, search).map(Raw::number), Some(5), "{length}");
            assert_eq!(searched.get(), u32::from(at >= 254), "{length}");
            assert_eq!(far.read(&record, search).map(Raw::number), Some(5), "{length}");
            let far_searched = u32::from(at >= 254) + u32::from(at >= 65_534);
            assert_eq!(searched.get(), far_searched, "{length}");
            assert!(near.is_set() && far.is_set());
        }
    }

    fn search(record: &[u8]) -> Option<Raw<'_>> {
        field_of(record, 7)
    }

    #[test]
    fn numbers_and_bytes_of_a_known_length_are_read_in_any_encoding() {
        for length in [0, 3, 300, 66_000] {
            let mut before = Vec::new();
            Writer(&mut before).bytes(1, &vec![b'a'; length]);
            // Keys and lengths of one byte, and the same in more bytes than they need.
            let keys: [(&[u8], &[u8]); 2] =
                [(&[0x39], &[0x3a, 4]), (&[0xb9, 0], &[0xba, 0, 0x84, 0])];
            for (number_key, bytes_key) in keys {
                let number = [&before[..], number_key, &7_u64.to_le_bytes()].concat();
                assert_eq!(offset::<1>(&number).fixed64(&number, search), 7);
                assert_eq!(offset::<2>(&number).fixed64(&number, search), 7);
                let bytes = [&before[..], bytes_key, b"abcd"].concat();
                assert_eq!(offset::<1>(&bytes).bytes(&bytes, 7), Some(*b"abcd"));
                assert_eq!(offset::<2>(&bytes).bytes(&bytes, 7), Some(*b"abcd"));
                assert_eq!(offset::<2>(&bytes).bytes::<5>(&bytes, 7), None);
            }
        }
        assert_eq!(Offset::<2>::default().fixed64(b"", search), 0);
        assert_eq!(Offset::<2>::default().bytes::<4>(b"", 7), None);
    }

    #[test]
    fn a_field_that_the_record_does_not_have_is_not_looked_for() {
        let none = Offset::<2>::default();
        assert!(!none.is_set());
        assert!(none.read(&record(3), |_| panic!("there is no such field")).is_none());
    }
}
