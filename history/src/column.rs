//! One column of a block: numbers of one form, compressed by `pco`.
//!
//! [pco](https://github.com/pcodec/pcodec) codes numbers by how their magnitudes are spread, after
//! it has subtracted from each the one before, and found whether doubles are multiples of something.
//! It loses no bit. What of that it would have to find out by trying is chosen here, which takes a
//! fraction of the time. A column of equal numbers takes one to nine bytes. A column that `pco` would
//! make larger stays as it is.

use crate::wire::{varint, write_varint};
use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};
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
/// Integers, as multiples of their common divisor above the first.
const WHOLE: u8 = 2;
/// Doubles that are whole, as integers.
const WHOLE_DOUBLES: u8 = 3;
const DOUBLES: u8 = 4;
const RAW: u8 = 5;

/// Below so many numbers, `pco`'s header takes more than it saves.
const FEW: usize = 4;

/// `pco`'s effort. Above this level columns of some hundred numbers get no smaller.
const LEVEL: usize = 6;

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
    let begin = out.len();
    if numbers.len() >= FEW && pack(numbers, form, out) {
        return;
    }
    out.truncate(begin);
    out.push(RAW);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// Appends a compressed column, and unpacks it again to see that the numbers come back: once they
/// are compressed, nothing else has them. Returns false if they do not come back, if `pco` panics,
/// or if they become no smaller. Unpacking takes a small part of the time that compressing does.
/// Earlier versions of `pco` wrote some subnormal doubles as what they then refused to read
/// ([#291](https://github.com/pcodec/pcodec/issues/291)).
fn pack(numbers: &[u64], form: Form, out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    let packed = || {
        if form != Form::Double {
            out.push(WHOLE);
            pack_whole(numbers, out)?;
        } else if let Some(whole) = whole(numbers) {
            out.push(WHOLE_DOUBLES);
            pack_whole(&whole, out)?;
        } else {
            let doubles: Vec<f64> = numbers.iter().map(|&bits| f64::from_bits(bits)).collect();
            out.push(DOUBLES);
            let config = ChunkConfig::default().with_delta_spec(delta_of_doubles(&doubles));
            write_packed(
                &simple_compress(&doubles, &config.with_compression_level(LEVEL)).ok()?,
                out,
            );
        }
        let mut bytes = out.get(begin..)?;
        let is_smaller = bytes.len() < size_of_val(numbers);
        (is_smaller && decode(&mut bytes, numbers.len()).as_deref() == Some(numbers)).then_some(())
    };
    catch_unwind(AssertUnwindSafe(packed)).ok().flatten().is_some()
}

fn write_packed(packed: &[u8], out: &mut Vec<u8>) {
    write_varint(packed.len() as u64, out);
    out.extend_from_slice(packed);
}

/// Returns the doubles as integers, if all are whole, and exact as integers. A negative zero is
/// not.
fn whole(bits: &[u64]) -> Option<Vec<u64>> {
    let whole = |&bits: &u64| {
        let double = f64::from_bits(bits);
        let number = double as i64;
        ((number as f64).to_bits() == bits && number.unsigned_abs() < 1 << 53)
            .then_some(number as u64)
    };
    bits.iter().map(whole).collect()
}

/// Appends integers: the first, the greatest common divisor of how much the others are above it,
/// and the quotients. Times are multiples of a millisecond or a second, however far apart.
fn pack_whole(numbers: &[u64], out: &mut Vec<u8>) -> Option<()> {
    let first = *numbers.first()?;
    let above = |&number: &u64| number.wrapping_sub(first) as i64;
    let mut divisor = 0;
    for number in numbers {
        divisor = gcd(divisor, above(number).unsigned_abs());
        if divisor == 1 {
            break;
        }
    }
    // A divisor of 2⁶³ is no positive number of 64 bits.
    let divisor = i64::try_from(divisor.max(1)).unwrap_or(1);
    let quotients: Vec<i64> = numbers.iter().map(|number| above(number) / divisor).collect();
    let config = ChunkConfig::default()
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(delta_of_whole(&quotients))
        .with_compression_level(LEVEL);
    out.extend_from_slice(&first.to_le_bytes());
    write_varint(divisor as u64, out);
    write_packed(&simple_compress(&quotients, &config).ok()?, out);
    Some(())
}

fn unpack_whole(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let (first, divisor) = (u64::from_le_bytes(*first), varint(bytes)? as i64);
    let quotients = unpack::<i64>(bytes, count)?;
    let number = |quotient: i64| first.wrapping_add(quotient.wrapping_mul(divisor) as u64);
    Some(quotients.into_iter().map(number).collect())
}

/// Returns the greatest common divisor. Quick if the second is a multiple of the first.
fn gcd(mut one: u64, mut other: u64) -> u64 {
    while one != 0 {
        (one, other) = (other % one, one);
    }
    other
}

/// Chooses how integers follow from each other: by the bits that their differences of each order
/// take. `pco` tries more, and takes many times as long.
fn delta_of_whole(numbers: &[i64]) -> DeltaSpec {
    let bits = |number: i64| u64::from(64 - number.unsigned_abs().leading_zeros());
    let middle = numbers.get(numbers.len() / 2).copied().unwrap_or_default();
    let (mut costs, mut before, mut delta_before) = ([0; 3], 0_i64, 0_i64);
    for &number in numbers {
        let delta = number.wrapping_sub(before);
        let orders = [number.wrapping_sub(middle), delta, delta.wrapping_sub(delta_before)];
        costs.iter_mut().zip(orders).for_each(|(cost, number)| *cost += bits(number));
        (before, delta_before) = (number, delta);
    }
    match costs {
        [plain, first, second] if plain <= first && plain <= second => DeltaSpec::NoOp,
        [_, first, second] if first <= second => DeltaSpec::TryConsecutive(1),
        _ => DeltaSpec::TryConsecutive(2),
    }
}

/// Chooses whether doubles follow from each other: whether they differ less from the one before
/// than from their mean.
fn delta_of_doubles(doubles: &[f64]) -> DeltaSpec {
    let mean = doubles.iter().sum::<f64>() / doubles.len() as f64;
    let spread: f64 = doubles.iter().map(|double| (double - mean).abs()).sum();
    let steps: f64 = doubles.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
    if steps < spread { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp }
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
        WHOLE => unpack_whole(bytes, count),
        WHOLE_DOUBLES => {
            let whole = unpack_whole(bytes, count)?;
            Some(whole.into_iter().map(|number| (number as i64 as f64).to_bits()).collect())
        }
        DOUBLES => Some(unpack::<f64>(bytes, count)?.into_iter().map(f64::to_bits).collect()),
        _ => None,
    }
}

fn unpack<T: pco::data_types::Number + Default>(bytes: &mut &[u8], count: usize) -> Option<Vec<T>> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    let (packed, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
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
            [&[][..], &[9], &[CONSTANT, 1], &[RAW, 1, 2], &[WHOLE, 200], &[DOUBLES, 2, 1, 2]]
        {
            assert_eq!(decode(&mut &*bytes, 5), None, "{bytes:?}");
        }
    }
}
