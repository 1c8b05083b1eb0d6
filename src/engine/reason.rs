//! The reasons for which records leave a store.

use std::fmt;

/// Why a record left its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
#[repr(u8)]
pub enum EvictReason {
    /// Newer records took its place: the store, or the record's
    /// [class](crate::StoreBuilder::class), keeps only so many records.
    #[default]
    Capacity,
    /// The store was cleared or shut down.
    Cleared,
    /// It had been in the store for the [longest time allowed](crate::StoreBuilder::max_age).
    Age,
    /// Newer records took its bytes: the store keeps only [so many
    /// bytes](crate::StoreBuilder::max_bytes).
    Bytes,
}

impl EvictReason {
    pub(crate) const ALL: [Self; 4] = [Self::Capacity, Self::Cleared, Self::Age, Self::Bytes];

    /// Returns the reason whose discriminant is `number`.
    pub(crate) fn numbered(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl fmt::Display for EvictReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capacity => "capacity",
            Self::Cleared => "cleared",
            Self::Age => "age",
            Self::Bytes => "bytes",
        })
    }
}
