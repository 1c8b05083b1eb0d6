//! How records are serialised for reading, where JSON's own numbers would not do: as protobuf's
//! JSON mapping has it.

use serde::{Serialize, Serializer};

/// Beyond that many readers, JavaScript's among them, round whole numbers.
const EXACT: u64 = 1 << 53;

/// Writes nanoseconds since the Unix epoch: as text, since they lie beyond what is exact.
pub(crate) fn nanos<S: Serializer>(nanos: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.collect_str(nanos)
    } else {
        serializer.serialize_u64(*nanos)
    }
}

pub(crate) fn option_nanos<S: Serializer>(
    nanos: &Option<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    nanos.map(Nanos).serialize(serializer)
}

pub(crate) fn range<S: Serializer>(
    times: &std::ops::Range<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Range {
        start: Nanos,
        end: Nanos,
    }
    Range { start: Nanos(times.start), end: Nanos(times.end) }.serialize(serializer)
}

/// Writes a whole number: as text if it lies beyond what is exact.
pub(super) fn whole<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let in_text = serializer.is_human_readable() && number.unsigned_abs() > EXACT;
    if in_text { serializer.collect_str(number) } else { serializer.serialize_i64(*number) }
}

/// The same, of what is not below 0.
pub(crate) fn count<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let in_text = serializer.is_human_readable() && *number > EXACT;
    if in_text { serializer.collect_str(number) } else { serializer.serialize_u64(*number) }
}

pub(super) fn counts<S: Serializer>(counts: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    struct Each(u64);

    impl Serialize for Each {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            count(&self.0, serializer)
        }
    }
    serializer.collect_seq(counts.iter().map(|&number| Each(number)))
}

/// Writes a double: as `"NaN"`, `"Infinity"` and `"-Infinity"` where JSON has no number.
pub(crate) fn double<S: Serializer>(double: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *double {
        number if number.is_finite() || !serializer.is_human_readable() => {
            serializer.serialize_f64(number)
        }
        number if number.is_nan() => serializer.serialize_str("NaN"),
        number if number > 0.0 => serializer.serialize_str("Infinity"),
        _ => serializer.serialize_str("-Infinity"),
    }
}

pub(super) fn option_double<S: Serializer>(
    double: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    double.map(Double).serialize(serializer)
}

pub(super) fn doubles<S: Serializer>(doubles: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(doubles.iter().map(|&double| Double(double)))
}

/// The same, as a value.
pub(crate) struct Nanos(pub(crate) u64);

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        nanos(&self.0, serializer)
    }
}

struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        double(&self.0, serializer)
    }
}
