//! Borrowed lists of the messages nested in a record.

use crate::wire::{Fields, field_of};
use std::fmt;
use std::marker::PhantomData;

/// A list of the parts of a record, such as a span's events, borrowed from the record. Each access
/// scans the list from its start. Reading allocates nothing.
pub struct ListRef<'a, T> {
    message: &'a [u8],
    number: u32,
    of: PhantomData<fn() -> T>,
}

/// An iterator over the parts of a [`ListRef`].
#[derive(Clone)]
pub struct ListIter<'a, T> {
    fields: Fields<'a>,
    number: u32,
    of: PhantomData<fn() -> T>,
}

impl<'a, T: From<&'a [u8]>> ListRef<'a, T> {
    pub(crate) fn of(message: &'a [u8], number: u32) -> Self {
        Self { message, number, of: PhantomData }
    }

    /// Iterates over the parts, in the order in which they arrived.
    pub fn iter(self) -> ListIter<'a, T> {
        ListIter { fields: Fields::of(self.message), number: self.number, of: PhantomData }
    }

    /// Returns the number of parts. O(bytes of the record).
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(self) -> bool {
        field_of(self.message, self.number).is_none()
    }

    /// Returns the first part, if there is one.
    pub fn first(self) -> Option<T> {
        self.iter().next()
    }
}

impl<'a, T: From<&'a [u8]>> Iterator for ListIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let number = self.number;
        self.fields.find(|field| field.number == number).map(|field| field.raw.bytes().into())
    }
}

impl<'a, T: From<&'a [u8]>> IntoIterator for ListRef<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for ListRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListRef<'_, T> {}

impl<'a, T: From<&'a [u8]> + PartialEq> PartialEq for ListRef<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: From<&'a [u8]> + Eq> Eq for ListRef<'a, T> {}

impl<'a, T: From<&'a [u8]> + fmt::Debug> fmt::Debug for ListRef<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> fmt::Debug for ListIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListIter").finish_non_exhaustive()
    }
}

#[cfg(feature = "serde")]
impl<'a, T: From<&'a [u8]> + serde::Serialize> serde::Serialize for ListRef<'a, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
