//! Serialization of values for which JSON numbers are unsuitable, following protobuf's JSON
//! mapping.

use serde::{Serialize, Serializer};

/// Many readers, JavaScript among them, round whole numbers beyond this.
const EXACT: u64 = 1 << 53;

/// Serializes nanoseconds since the Unix epoch as text, since current times exceed `EXACT`.
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

/// Serializes a whole number, as text if it exceeds `EXACT`.
pub(super) fn whole<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let in_text = serializer.is_human_readable() && number.unsigned_abs() > EXACT;
    if in_text { serializer.collect_str(number) } else { serializer.serialize_i64(*number) }
}

/// Serializes an unsigned whole number, as text if it exceeds `EXACT`.
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

/// Serializes a double, as `"NaN"`, `"Infinity"` or `"-Infinity"` where JSON has no number.
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

/// Wraps a time for [`nanos`].
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
