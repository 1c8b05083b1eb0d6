//! Reads records as elements of their scope: whole spans and log records, and metrics point by
//! point.

use super::super::{Kind, Rejected};
use super::counted::Counts;
use super::message::{Fields, Output, Value, index_of, snake_index_of};
use super::place::{has_snake_name, is_snake_of};
use super::scalar::{Reason, Scalar};
use super::schema::{self, Field, Message};
use super::visit::{FieldName, Length, Seed, Visit, skip, skip_list, skip_object};
use serde::de::{Error, MapAccess, SeqAccess};

/// Appends an element of a scope's list in field 2. The result is the number of records: 1, or the
/// number of points of a metric.
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) output: &'a mut Output,
    pub(super) rejected: &'a mut Rejected,
}

impl Record<'_> {
    fn reject_as_not_an_object(self) -> u64 {
        self.rejected.add(1, "a value of another type instead of an object");
        1
    }

    fn message(&self) -> Option<&'static Message> {
        match self.kind {
            Kind::Traces => Some(&schema::SPAN),
            Kind::Logs => Some(&schema::LOG),
            Kind::Metrics => None,
        }
    }
}

impl<'de> Visit<'de> for Record<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<u64, E> {
        match self.message() {
            Some(message) => {
                SingleRecord { number: 2, message, output: self.output, rejected: self.rejected }
                    .scalar(scalar)
            }
            None => Ok(self.reject_as_not_an_object()),
        }
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        match self.message() {
            Some(message) => {
                SingleRecord { number: 2, message, output: self.output, rejected: self.rejected }
                    .list(list)
            }
            None => skip_list(list).map(|()| self.reject_as_not_an_object()),
        }
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<u64, A::Error> {
        let message = self.message();
        let Self { output, rejected, .. } = self;
        match message {
            Some(message) => SingleRecord { number: 2, message, output, rejected }.object(object),
            None => metric(output, rejected, object),
        }
    }
}

/// Appends a single record in a field, or rejects it.
struct SingleRecord<'a> {
    number: u32,
    message: &'static Message,
    output: &'a mut Output,
    rejected: &'a mut Rejected,
}

impl SingleRecord<'_> {
    fn append<E>(
        self,
        read: impl FnOnce(Fields<'_>) -> Result<Result<(), Reason>, E>,
    ) -> Result<u64, E> {
        let Self { number, message, output, rejected } = self;
        let before = output.bytes.len();
        let nested = output.writer().begin(number);
        match read(Fields { output, message })? {
            Ok(()) => output.writer().end(nested),
            Err(wrong) => {
                output.bytes.truncate(before);
                rejected.add(1, &wrong);
            }
        }
        Ok(1)
    }
}

impl<'de> Visit<'de> for SingleRecord<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<u64, E> {
        self.append(|fields| fields.scalar(scalar))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        self.append(|fields| fields.list(list))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<u64, A::Error> {
        self.append(|fields| fields.object(object))
    }
}

/// A type of metrics: the name and the number of its data's field, the fields of the data other
/// than the points, and the type of its points.
struct Data {
    name: &'static str,
    number: u32,
    aggregation: &'static Message,
    point: &'static Message,
}

static DATA: [Data; 5] = [
    Data { name: "gauge", number: 5, aggregation: &schema::PLAIN, point: &schema::NUMBER },
    Data { name: "sum", number: 7, aggregation: &schema::SUM, point: &schema::NUMBER },
    Data {
        name: "histogram",
        number: 9,
        aggregation: &schema::HISTOGRAMS,
        point: &schema::HISTOGRAM,
    },
    Data {
        name: "exponentialHistogram",
        number: 10,
        aggregation: &schema::HISTOGRAMS,
        point: &schema::EXPONENTIAL,
    },
    Data { name: "summary", number: 11, aggregation: &schema::PLAIN, point: &schema::SUMMARY },
];

/// A field of a metric.
enum Part {
    /// A field other than the data, by its index in `schema::METRIC`.
    Field(usize),
    Data(&'static Data),
    /// The data, under its snake-case name.
    SnakeData(&'static Data),
    /// `dataPoints`, which belongs in the data.
    DataPoints,
    Unknown,
}

fn part(next: usize, name: &str) -> Part {
    match index_of(schema::METRIC.fields, next, name) {
        Some(index) => Part::Field(index),
        None => {
            DATA.iter().find(|data| data.name == name).map_or_else(|| other_part(name), Part::Data)
        }
    }
}

#[cold]
fn other_part(name: &str) -> Part {
    if name == "dataPoints" || is_snake_of(name, "dataPoints") {
        return Part::DataPoints;
    }
    // Of the other fields, none has a name of several words.
    DATA.iter().find(|data| is_snake_of(name, data.name)).map_or(Part::Unknown, Part::SnakeData)
}

fn metric<'de, A: MapAccess<'de>>(
    output: &mut Output,
    rejected: &mut Rejected,
    mut object: A,
) -> Result<u64, A::Error> {
    let start = output.bytes.len();
    let nested = output.writer().begin(2);
    let (mut wrong, mut next, mut points) = (None::<Reason>, 0, Counts::default());
    // Of several data fields, the one with the highest number counts. This matches a message in
    // protobuf whose fields are in the order of their numbers, since the last member of a `oneof`
    // counts there.
    let mut data_so_far = 0;
    // Points that are not where they belong.
    let mut misplaced = 0;
    while let Some(part) = object.next_key_seed(FieldName(|name: &str| part(next, name)))? {
        let why = match part {
            Part::Field(index) => {
                next = index + 1;
                let field = &schema::METRIC.fields[index];
                let result = object.next_value_seed(Seed(Value { output, field }))?;
                result.err().map(|wrong| format!("{}: {wrong}", field.name))
            }
            Part::Data(data) if data.number < data_so_far => {
                skip(&mut object)?;
                None
            }
            Part::Data(data) => {
                let mut these = Counts::default();
                match object.next_value_seed(Seed(MetricData {
                    data,
                    output,
                    counts: &mut these,
                }))? {
                    Ok(false) => None,
                    result => {
                        (data_so_far, points) = (data.number, these);
                        result.err().map(|wrong| format!("{}: {wrong}", data.name))
                    }
                }
            }
            Part::SnakeData(data) => {
                let before = output.bytes.len();
                let mut these = Counts::default();
                let read = MetricData { data, output, counts: &mut these };
                let result = object.next_value_seed(Seed(read))?;
                output.bytes.truncate(before);
                misplaced += these.records;
                (result != Ok(false)).then(|| has_snake_name(data.name))
            }
            Part::DataPoints => {
                let length = object.next_value_seed(Seed(Length))?;
                misplaced += length.unwrap_or(0);
                length.map(|_| {
                    "dataPoints in the metric; they belong in its gauge, sum, histogram, exponentialHistogram or summary"
                        .to_owned()
                })
            }
            Part::Unknown => {
                skip(&mut object)?;
                None
            }
        };
        wrong = wrong.or(why);
    }
    points.records += misplaced;
    match wrong {
        None => {
            output.writer().end(nested);
            rejected.merge(&points.rejected);
            Ok(points.records)
        }
        Some(wrong) => {
            output.bytes.truncate(start);
            let records = points.records.max(1);
            rejected.add(records, &wrong);
            Ok(records)
        }
    }
}

/// A field of a metric's data.
enum DataPart {
    Points,
    /// The points, under their snake-case name.
    SnakePoints,
    /// A field other than the points, by its index.
    Field(usize),
    /// The same, under its snake-case name.
    SnakeField(usize),
    Unknown,
}

impl DataPart {
    fn of_name(fields: &[Field], name: &str) -> Self {
        if name == "dataPoints" {
            return Self::Points;
        }
        match index_of(fields, 0, name) {
            Some(index) => Self::Field(index),
            None if is_snake_of(name, "dataPoints") => Self::SnakePoints,
            None => snake_index_of(fields, name).map_or(Self::Unknown, Self::SnakeField),
        }
    }
}

/// Appends a metric's data, unless it is `null`. The result is `Ok(false)` for `null`.
struct MetricData<'a> {
    data: &'static Data,
    output: &'a mut Output,
    counts: &'a mut Counts,
}

impl<'de> Visit<'de> for MetricData<'_> {
    type Out = Result<bool, Reason>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(false),
            other => Err(format!("{} instead of an object", other.type_name())),
        })
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error> {
        skip_list(list)?;
        Ok(Err("a list instead of an object".to_owned()))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Out, A::Error> {
        let Self { data, output, counts } = self;
        let nested = output.writer().begin(data.number);
        let mut wrong = None::<Reason>;
        let fields = data.aggregation.fields;
        let part = |name: &str| DataPart::of_name(fields, name);
        while let Some(part) = object.next_key_seed(FieldName(part))? {
            let why = match part {
                DataPart::Points => {
                    let points = Points { message: data.point, output, counts };
                    object
                        .next_value_seed(Seed(points))?
                        .err()
                        .map(|wrong| format!("dataPoints: {wrong}"))
                }
                DataPart::SnakePoints => {
                    let (before, so_far) = (output.bytes.len(), counts.records);
                    let points = Points { message: data.point, output, counts };
                    let result = object.next_value_seed(Seed(points))?;
                    output.bytes.truncate(before);
                    let is_lost = result.is_err() || counts.records > so_far;
                    is_lost.then(|| has_snake_name("dataPoints"))
                }
                DataPart::Field(index) => {
                    let field = &fields[index];
                    let result = object.next_value_seed(Seed(Value { output, field }))?;
                    result.err().map(|wrong| format!("{}: {wrong}", field.name))
                }
                DataPart::SnakeField(index) => {
                    let length = object.next_value_seed(Seed(Length))?;
                    length.map(|_| has_snake_name(fields[index].name))
                }
                DataPart::Unknown => {
                    skip(&mut object)?;
                    None
                }
            };
            wrong = wrong.or(why);
        }
        output.writer().end(nested);
        Ok(wrong.map_or(Ok(true), Err))
    }
}

/// Appends a metric's points.
struct Points<'a> {
    message: &'static Message,
    output: &'a mut Output,
    counts: &'a mut Counts,
}

impl<'de> Visit<'de> for Points<'_> {
    type Out = Result<(), Reason>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(()),
            other => Err(format!("{} instead of a list", other.type_name())),
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { message, output, counts } = self;
        let rejected = &mut counts.rejected;
        while let Some(count) =
            list.next_element_seed(Seed(SingleRecord { number: 1, message, output, rejected }))?
        {
            counts.records += count;
        }
        Ok(Ok(()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        skip_object(object)?;
        Ok(Err("an object instead of a list".to_owned()))
    }
}
