//! Memory that a store takes when it is built: if the system has none, that is an error, not the end of the program.

use std::collections::TryReserveError;

/// So many of what `make` makes.
pub(crate) fn reserve<T>(count: usize, make: impl FnMut() -> T) -> Result<Box<[T]>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.extend(std::iter::repeat_with(make).take(count));
    Ok(all.into_boxed_slice())
}

/// What zero bytes stand for, so that a large array of it costs no memory until it is touched.
///
/// # Safety
/// A value of zero bytes is valid, and is what `zeroed` makes.
pub(crate) unsafe trait Zeroed: Sized {
    /// The value of zero bytes.
    fn zeroed() -> Self;
}

/// So many zeroed values. The system hands out zeroed pages untouched, so this takes no time, and memory only as it is used.
#[cfg(not(loom))]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Box<[T]>, TryReserveError> {
    use std::alloc::{Layout, alloc_zeroed};

    match Layout::array::<T>(count) {
        Ok(layout) if layout.size() > 0 => {
            // SAFETY: the layout is not of size zero. Zero bytes are a valid `T` by the trait's contract, and the slice takes
            // over the allocation with the layout that it was made with.
            let zeroed = unsafe {
                let start = alloc_zeroed(layout).cast::<T>();
                (!start.is_null()).then(|| Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, count)))
            };
            // The second try gives the error that names what was asked for.
            zeroed.map_or_else(|| reserve(count, T::zeroed), Ok)
        }
        _ => reserve(count, T::zeroed),
    }
}

/// loom's atomics are no plain words.
#[cfg(loom)]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Box<[T]>, TryReserveError> {
    reserve(count, T::zeroed)
}
