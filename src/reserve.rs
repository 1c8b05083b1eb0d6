//! Memory that a store takes when it is built: if the system has none, that is an error, not the end of the program.

use std::collections::TryReserveError;

/// So many of what `make` makes.
pub(crate) fn reserve<T>(count: usize, make: impl FnMut() -> T) -> Result<Box<[T]>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.extend(std::iter::repeat_with(make).take(count));
    Ok(all.into_boxed_slice())
}
