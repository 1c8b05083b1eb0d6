//! Kinds and statuses of spans.

/// The relation of a span to its parent and its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
#[non_exhaustive]
pub enum SpanKind {
    /// Not specified. Readers may treat it as internal.
    #[default]
    Unspecified = 0,
    /// An operation within a process.
    Internal = 1,
    /// The handling of a remote request.
    Server = 2,
    /// The sending of a remote request.
    Client = 3,
    /// The sending of a message to a broker.
    Producer = 4,
    /// The receipt of a message from a broker.
    Consumer = 5,
}

/// The outcome of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
#[non_exhaustive]
pub enum StatusCode {
    /// Not specified.
    #[default]
    Unset = 0,
    /// Success, confirmed by a developer or an operator.
    Ok = 1,
    /// Failure.
    Error = 2,
}

/// The status of a span, borrowed from it. An absent status reads as unset and without a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StatusRef<'a> {
    /// The outcome of the span.
    pub code: StatusCode,
    /// A description of the error for developers. Empty if there is none.
    pub message: &'a str,
}

impl SpanKind {
    /// Returns the kind with this number in the protocol, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        use SpanKind::*;
        let kinds = [Unspecified, Internal, Server, Client, Producer, Consumer];
        kinds.into_iter().find(|kind| kind.number() == number)
    }

    /// Returns its number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

impl StatusCode {
    /// Returns the code with this number in the protocol, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Unset, Self::Ok, Self::Error].into_iter().find(|code| code.number() == number)
    }

    /// Returns its number in the protocol.
    pub fn number(self) -> i32 {
        self as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_protocols() {
        for number in 0..6 {
            assert_eq!(SpanKind::from_number(number).map(SpanKind::number), Some(number));
        }
        assert_eq!((SpanKind::from_number(6), SpanKind::from_number(-1)), (None, None));
        assert_eq!(SpanKind::from_number(3), Some(SpanKind::Client));
        assert_eq!(StatusCode::from_number(2), Some(StatusCode::Error));
        assert_eq!(StatusCode::from_number(3), None);
    }
}
