//! Fallible allocation of the arrays that a store is built from.
//!
//! If the system has no memory for them, building the store returns an error and does not abort.

use std::collections::TryReserveError;

/// Allocates a slice of `count` values that `make` produces.
pub(crate) fn reserve<T>(count: usize, make: impl FnMut() -> T) -> Result<Box<[T]>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.extend(std::iter::repeat_with(make).take(count));
    Ok(all.into_boxed_slice())
}

/// A type whose zero value is all zero bytes, so that a large array of it uses no memory until it
/// is touched.
///
/// # Safety
/// All zero bytes are a valid value of the type, and [`zeroed`](Self::zeroed) returns that value.
pub(crate) unsafe trait Zeroed: Sized {
    /// Returns the value whose bytes are all zero.
    fn zeroed() -> Self;
}

/// Allocates a slice of `count` zeroed values.
///
/// The system supplies zeroed pages on first use, so this takes constant time, and memory only as
/// the slice is used.
#[cfg(not(loom))]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Box<[T]>, TryReserveError> {
    use std::alloc::{Layout, alloc_zeroed};

    match Layout::array::<T>(count) {
        Ok(layout) if layout.size() > 0 => {
            // SAFETY: The layout's size is not zero, as `alloc_zeroed` requires. Zero bytes are a
            // valid `T` by the contract of `Zeroed`. The box takes over the allocation with the
            // layout that it was made with, since that is the layout of a `[T]` of this length.
            let zeroed = unsafe {
                let start = alloc_zeroed(layout).cast::<T>();
                (!start.is_null()).then(|| Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, count)))
            };
            // On failure, `reserve` is tried for its error, which names the size asked for.
            zeroed.map_or_else(|| reserve(count, T::zeroed), Ok)
        }
        _ => reserve(count, T::zeroed),
    }
}

/// Allocates a slice of `count` zeroed values one by one, since loom's atomics are not plain words.
#[cfg(loom)]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Box<[T]>, TryReserveError> {
    reserve(count, T::zeroed)
}
