//! Reads records as elements of their scope: whole spans and log records, and metrics point by
//! point.

use super::super::{Kind, Rejected};
use super::counted::Counted;
use super::message::{Fields, Value, Written, place};
use super::scalar::{Scalar, Wrong};
use super::schema::{self, Message};
use super::visit::{Name, Take, Via, pass, pass_list, pass_object};
use serde::de::{Error, MapAccess, SeqAccess};

/// Appends an element of a scope's list in field 2. The output is the number of records: 1, or the
/// points of a metric.
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) written: &'a mut Written,
    pub(super) rejected: &'a mut Rejected,
}

impl Record<'_> {
    fn rejected_as_none(self) -> u64 {
        self.rejected.add(1, "something else instead of an object");
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

impl<'de> Take<'de> for Record<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<u64, E> {
        match self.message() {
            Some(message) => {
                One { number: 2, message, written: self.written, rejected: self.rejected }
                    .scalar(scalar)
            }
            None => Ok(self.rejected_as_none()),
        }
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        match self.message() {
            Some(message) => {
                One { number: 2, message, written: self.written, rejected: self.rejected }
                    .list(list)
            }
            None => pass_list(list).map(|()| self.rejected_as_none()),
        }
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<u64, A::Error> {
        let message = self.message();
        let Self { written, rejected, .. } = self;
        match message {
            Some(message) => One { number: 2, message, written, rejected }.object(object),
            None => metric(written, rejected, object),
        }
    }
}

/// Appends a single record in a field, or rejects it.
struct One<'a> {
    number: u32,
    message: &'static Message,
    written: &'a mut Written,
    rejected: &'a mut Rejected,
}

impl One<'_> {
    fn take<E>(
        self,
        take: impl FnOnce(Fields<'_>) -> Result<Result<(), Wrong>, E>,
    ) -> Result<u64, E> {
        let Self { number, message, written, rejected } = self;
        let before = written.bytes.len();
        let nested = written.writer().begin(number);
        match take(Fields { written, message })? {
            Ok(()) => written.writer().end(nested),
            Err(wrong) => {
                written.bytes.truncate(before);
                rejected.add(1, &wrong);
            }
        }
        Ok(1)
    }
}

impl<'de> Take<'de> for One<'_> {
    type Out = u64;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<u64, E> {
        self.take(|fields| fields.scalar(scalar))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<u64, A::Error> {
        self.take(|fields| fields.list(list))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<u64, A::Error> {
        self.take(|fields| fields.object(object))
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
    Described(usize),
    Data(&'static Data),
    Unknown,
}

fn part(next: usize, name: &str) -> Part {
    match place(schema::METRIC.fields, next, name) {
        Some(place) => Part::Described(place),
        None => DATA.iter().find(|data| data.name == name).map_or(Part::Unknown, Part::Data),
    }
}

fn metric<'de, A: MapAccess<'de>>(
    written: &mut Written,
    rejected: &mut Rejected,
    mut object: A,
) -> Result<u64, A::Error> {
    let start = written.bytes.len();
    let nested = written.writer().begin(2);
    let (mut wrong, mut next, mut points) = (None::<Wrong>, 0, Counted::default());
    // Of several data fields, the one with the highest number counts. This matches a message in
    // protobuf whose fields are in the order of their numbers, since the last member of a `oneof`
    // counts there.
    let mut data_so_far = 0;
    while let Some(part) = object.next_key_seed(Name(|name: &str| part(next, name)))? {
        let why = match part {
            Part::Described(place) => {
                next = place + 1;
                let field = &schema::METRIC.fields[place];
                let taken = object.next_value_seed(Via(Value { written, field }))?;
                taken.err().map(|wrong| format!("{}: {wrong}", field.name))
            }
            Part::Data(data) if data.number < data_so_far => {
                pass(&mut object)?;
                None
            }
            Part::Data(data) => {
                let mut of_data = Counted::default();
                match object.next_value_seed(Via(OfData {
                    data,
                    written,
                    counted: &mut of_data,
                }))? {
                    Ok(false) => None,
                    taken => {
                        (data_so_far, points) = (data.number, of_data);
                        taken.err().map(|wrong| format!("{}: {wrong}", data.name))
                    }
                }
            }
            Part::Unknown => {
                pass(&mut object)?;
                None
            }
        };
        wrong = wrong.or(why);
    }
    match wrong {
        None => {
            written.writer().end(nested);
            rejected.merge(&points.rejected);
            Ok(points.records)
        }
        Some(wrong) => {
            written.bytes.truncate(start);
            let records = points.records.max(1);
            rejected.add(records, &wrong);
            Ok(records)
        }
    }
}

/// Appends a metric's data, unless it is `null`. The output says whether it was anything else.
struct OfData<'a> {
    data: &'static Data,
    written: &'a mut Written,
    counted: &'a mut Counted,
}

impl<'de> Take<'de> for OfData<'_> {
    type Out = Result<bool, Wrong>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(false),
            other => Err(format!("{} instead of an object", other.kind())),
        })
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Out, A::Error> {
        pass_list(list)?;
        Ok(Err("a list instead of an object".to_owned()))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Out, A::Error> {
        let Self { data, written, counted } = self;
        let nested = written.writer().begin(data.number);
        let mut wrong = None::<Wrong>;
        let fields = data.aggregation.fields;
        let part =
            |name: &str| if name == "dataPoints" { Ok(()) } else { Err(place(fields, 0, name)) };
        while let Some(part) = object.next_key_seed(Name(part))? {
            let why = match part {
                Ok(()) => {
                    let points = Points { message: data.point, written, counted };
                    object
                        .next_value_seed(Via(points))?
                        .err()
                        .map(|wrong| format!("dataPoints: {wrong}"))
                }
                Err(Some(place)) => {
                    let field = &fields[place];
                    let taken = object.next_value_seed(Via(Value { written, field }))?;
                    taken.err().map(|wrong| format!("{}: {wrong}", field.name))
                }
                Err(None) => {
                    pass(&mut object)?;
                    None
                }
            };
            wrong = wrong.or(why);
        }
        written.writer().end(nested);
        Ok(wrong.map_or(Ok(true), Err))
    }
}

/// Appends a metric's points.
struct Points<'a> {
    message: &'static Message,
    written: &'a mut Written,
    counted: &'a mut Counted,
}

impl<'de> Take<'de> for Points<'_> {
    type Out = Result<(), Wrong>;

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Out, E> {
        Ok(match scalar {
            Scalar::Null => Ok(()),
            other => Err(format!("{} instead of a list", other.kind())),
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Out, A::Error> {
        let Self { message, written, counted } = self;
        let rejected = &mut counted.rejected;
        while let Some(one) =
            list.next_element_seed(Via(One { number: 1, message, written, rejected }))?
        {
            counted.records += one;
        }
        Ok(Ok(()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Out, A::Error> {
        pass_object(object)?;
        Ok(Err("an object instead of a list".to_owned()))
    }
}
