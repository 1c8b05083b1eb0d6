//! What kind of span it is, and how it ended.

/// How a span stands to its parent and its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum SpanKind {
    /// Not said; readers may take it for internal.
    #[default]
    Unspecified = 0,
    /// An operation within a process.
    Internal = 1,
    /// Handles a remote request.
    Server = 2,
    /// Makes a remote request.
    Client = 3,
    /// Hands a message to a broker.
    Producer = 4,
    /// Takes a message from a broker.
    Consumer = 5,
}

/// Whether a span ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum StatusCode {
    /// Not said.
    #[default]
    Unset = 0,
    /// Well, as a developer or an operator decided.
    Ok = 1,
    /// Badly.
    Error = 2,
}

/// How a span ended, borrowed from it. Unset and without a message is also what an absent status
/// means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StatusRef<'a> {
    /// Well, badly, or not said.
    pub code: StatusCode,
    /// What went wrong, for a developer to read; empty if nothing did.
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
