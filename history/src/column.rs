//! One column of a block: numbers of one form, compressed by `pco`.
//!
//! [pco](https://github.com/pcodec/pcodec) chooses for each column how numbers follow from each
//! other (deltas of some order, or none), whether they are multiples of something, and how their
//! magnitudes are spread, and codes them so. It loses no bit. A column of equal numbers takes one
//! to nine bytes; a column that `pco` would make larger stays as it is.

use crate::wire::{varint, write_varint};
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress_into};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a column's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Unsigned,
    Signed,
    /// The bits of doubles.
    Double,
    /// Integers or the bits of doubles, as each row says: see `row::FLAGS`.
    Value,
}

/// How a column is stored: its first byte.
const ZERO: u8 = 0;
const CONSTANT: u8 = 1;
const UNSIGNED: u8 = 2;
const SIGNED: u8 = 3;
const DOUBLE: u8 = 4;
const RAW: u8 = 5;

/// Below so many numbers, `pco`'s header takes more than it saves.
const FEW: usize = 4;

/// Appends a column.
pub(crate) fn encode(numbers: &[u64], form: Form, out: &mut Vec<u8>) {
    let first = numbers.first().copied().unwrap_or_default();
    if numbers.iter().all(|&number| number == first) {
        out.push(if first == 0 { ZERO } else { CONSTANT });
        if first != 0 {
            out.extend_from_slice(&first.to_le_bytes());
        }
        return;
    }
    if numbers.len() >= FEW
        && let Some((tag, packed)) = pack(numbers, form)
    {
        out.push(tag);
        write_varint(packed.len() as u64, out);
        out.extend_from_slice(&packed);
        return;
    }
    out.push(RAW);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// Compresses numbers, and unpacks them again to see that they come back: once they are compressed,
/// nothing else has them. `None` if they do not come back, if `pco` panics, or if they become no
/// smaller. Unpacking takes a small part of the time that compressing does. Earlier versions of
/// `pco` wrote some subnormal doubles as what they then refused to read
/// ([#291](https://github.com/pcodec/pcodec/issues/291)).
fn pack(numbers: &[u64], form: Form) -> Option<(u8, Vec<u8>)> {
    let config = ChunkConfig::default();
    let pack = || match form {
        Form::Unsigned | Form::Value => (UNSIGNED, simple_compress(numbers, &config)),
        Form::Signed => {
            let signed: Vec<i64> = numbers.iter().map(|&number| number as i64).collect();
            (SIGNED, simple_compress(&signed, &config))
        }
        Form::Double => {
            let doubles: Vec<f64> = numbers.iter().map(|&bits| f64::from_bits(bits)).collect();
            (DOUBLE, simple_compress(&doubles, &config))
        }
    };
    let checked = || {
        let (tag, packed) = pack();
        let packed = packed.ok().filter(|packed| packed.len() < size_of_val(numbers))?;
        (unpack_as(tag, &packed, numbers.len()).as_deref() == Some(numbers))
            .then_some((tag, packed))
    };
    catch_unwind(AssertUnwindSafe(checked)).ok().flatten()
}

/// Takes a column of so many numbers from the bytes. `None` if they are no such column.
pub(crate) fn decode(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let (&tag, rest) = bytes.split_first()?;
    *bytes = rest;
    match tag {
        ZERO => Some(vec![0; count]),
        CONSTANT => {
            let (number, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Some(vec![u64::from_le_bytes(*number); count])
        }
        RAW => {
            let (numbers, rest) = bytes.split_at_checked(count.checked_mul(8)?)?;
            *bytes = rest;
            let (numbers, _) = numbers.as_chunks::<8>();
            Some(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
        }
        _ => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (packed, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            unpack_as(tag, packed, count)
        }
    }
}

fn unpack_as(tag: u8, packed: &[u8], count: usize) -> Option<Vec<u64>> {
    match tag {
        UNSIGNED => unpack::<u64>(packed, count),
        SIGNED => {
            unpack::<i64>(packed, count).map(|all| all.into_iter().map(|one| one as u64).collect())
        }
        DOUBLE => {
            unpack::<f64>(packed, count).map(|all| all.into_iter().map(f64::to_bits).collect())
        }
        _ => None,
    }
}

fn unpack<T: pco::data_types::Number + Default>(packed: &[u8], count: usize) -> Option<Vec<T>> {
    // pco writes whole batches of 256 only, except at the end of its data.
    let mut numbers = vec![T::default(); count];
    let progress = simple_decompress_into(packed, &mut numbers).ok()?;
    (progress.n_processed == count && progress.finished).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn comes_back(numbers: &[u64], form: Form) -> usize {
        let mut bytes = Vec::new();
        encode(numbers, form, &mut bytes);
        let mut rest = &bytes[..];
        assert_eq!(decode(&mut rest, numbers.len()).as_deref(), Some(numbers), "{form:?}");
        assert!(rest.is_empty());
        bytes.len()
    }

    const FORMS: [Form; 4] = [Form::Unsigned, Form::Signed, Form::Double, Form::Value];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_bit_of_every_number_comes_back(
            numbers in prop::collection::vec(any::<u64>(), 0..700),
            form in prop::sample::select(&FORMS[..]),
        ) {
            comes_back(&numbers, form);
        }

        #[test]
        fn doubles_of_all_kinds_come_back(
            doubles in prop::collection::vec(
                prop_oneof![
                    any::<f64>(),
                    (0_i64..1000).prop_map(|number| number as f64 / 10.0),
                    (0_u64..1000).prop_map(|number| f64::from_bits(number * 77)),
                    prop::sample::select(&[0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN_POSITIVE][..]),
                    any::<u32>().prop_map(|low| f64::from_bits(0x7ff8_0000_0000_0000 | u64::from(low))),
                ],
                0..700,
            ),
        ) {
            let bits: Vec<u64> = doubles.iter().map(|double| double.to_bits()).collect();
            comes_back(&bits, Form::Double);
        }
    }

    #[test]
    fn regular_columns_are_small_and_random_ones_not_larger_than_they_were() {
        let times: Vec<u64> =
            (0..512).map(|at| 1_700_000_000_000_000_000 + at * 10_000_000_000).collect();
        assert!(comes_back(&times, Form::Unsigned) < 60);
        assert_eq!(comes_back(&[7; 512], Form::Double), 9);
        assert_eq!(comes_back(&[0; 512], Form::Double), 1);
        let random: Vec<u64> =
            (0..512_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)).collect();
        assert!(comes_back(&random, Form::Unsigned) <= 1 + 8 * 512);
    }

    #[test]
    fn bytes_that_are_no_column_are_refused() {
        for bytes in
            [&[][..], &[9], &[CONSTANT, 1], &[RAW, 1, 2], &[UNSIGNED, 200], &[DOUBLE, 2, 1, 2]]
        {
            assert_eq!(decode(&mut &*bytes, 5), None, "{bytes:?}");
        }
    }
}
