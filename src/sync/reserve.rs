//! Fallible allocation of the arrays that a store is built from.
//!
//! If the system has no memory for them, building the store returns an error and does not abort.

use std::collections::TryReserveError;
#[cfg(not(loom))]
use std::marker::PhantomData;
#[cfg(not(loom))]
use std::ops::Deref;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU64;

/// Allocates a slice of `count` values that `make` produces.
pub(crate) fn reserve<T>(
    count: usize,
    make: impl FnMut() -> T,
) -> Result<Box<[T]>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.extend(std::iter::repeat_with(make).take(count));
    Ok(all.into_boxed_slice())
}

/// A type whose zero value is all zero bytes, so that a large array of it uses no memory until it
/// is touched.
///
/// # Safety
/// The type consists of atomic integers alone. All zero bytes are a valid value of it, and
/// [`zeroed`](Self::zeroed) returns that value.
pub(crate) unsafe trait Zeroed: Sized {
    /// Returns the value whose bytes are all zero.
    #[cfg_attr(not(loom), expect(dead_code, reason = "zero bytes are it"))]
    fn zeroed() -> Self;
}

/// A slice of zeroed values in pages that the system supplies on first use.
///
/// An allocator asks the system for zeroed pages only where little alignment is needed. For values
/// that are aligned to a cache line it would write each byte itself, and so touch every page at
/// once. So the values lie in a slice of words, from the first word on that is aligned for them.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Reserved<T> {
    words: Box<[AtomicU64]>,
    count: usize,
    of: PhantomData<T>,
}

#[cfg(loom)]
pub(crate) type Reserved<T> = Box<[T]>;

#[cfg(not(loom))]
impl<T: Zeroed> Deref for Reserved<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        let first = self.words.as_ptr().cast::<u8>();
        let first = first.wrapping_add(first.addr().wrapping_neg() % align_of::<T>()).cast::<T>();
        // SAFETY: `reserve_zeroed` allocated enough words for `count` values from `first` on. The
        // words are atomic, so they may be written through a shared reference. They began as zero
        // bytes, which are valid values of `T` by the contract of `Zeroed`, and only this slice
        // gives access to them.
        unsafe { std::slice::from_raw_parts(first, self.count) }
    }
}

/// Allocates a slice of `count` zeroed values.
///
/// The system supplies zeroed pages on first use, so this takes constant time, and memory only as
/// the slice is used.
#[cfg(not(loom))]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Reserved<T>, TryReserveError> {
    use std::alloc::{Layout, alloc_zeroed};

    const { assert!(!std::mem::needs_drop::<T>()) };
    let words = count
        .saturating_mul(size_of::<T>())
        .saturating_add(align_of::<T>())
        .div_ceil(size_of::<u64>());
    let none = || AtomicU64::new(0);
    let words = match Layout::array::<AtomicU64>(words) {
        Ok(layout) => {
            // SAFETY: The layout's size is not zero, as `alloc_zeroed` requires. Zero bytes are a
            // valid `AtomicU64`. The box takes over the allocation with the layout that it was made
            // with, since that is the layout of an `[AtomicU64]` of this length.
            let zeroed = unsafe {
                let start = alloc_zeroed(layout).cast::<AtomicU64>();
                (!start.is_null())
                    .then(|| Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, words)))
            };
            // On failure, `reserve` is tried for its error, which names the size asked for.
            zeroed.map_or_else(|| reserve(words, none), Ok)
        }
        Err(_) => reserve(words, none),
    };
    Ok(Reserved { words: words?, count, of: PhantomData })
}

/// Allocates a slice of `count` zeroed values one by one, since loom's atomics are not plain words.
#[cfg(loom)]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Reserved<T>, TryReserveError> {
    reserve(count, T::zeroed)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[repr(align(64))]
    struct Line([AtomicU64; 8]);

    // SAFETY: atomic integers, for which zero bytes are the value 0.
    unsafe impl Zeroed for Line {
        fn zeroed() -> Self {
            Self(std::array::from_fn(|_| AtomicU64::new(0)))
        }
    }

    /// Bytes of this process that are in memory.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn all_are_there_each_for_itself() {
        for count in [0, 1, 2, 1_000] {
            let lines: Reserved<Line> = reserve_zeroed(count).unwrap();
            assert_eq!((lines.len(), lines.as_ptr().addr() % 64), (count, 0));
            let all = || lines.iter().flat_map(|line| &line.0);
            assert!(all().all(|word| word.load(Ordering::Relaxed) == 0));
            all()
                .enumerate()
                .for_each(|(number, word)| word.store(number as u64, Ordering::Relaxed));
            assert!(
                all()
                    .enumerate()
                    .all(|(number, word)| word.load(Ordering::Relaxed) == number as u64)
            );
        }
        assert!(reserve_zeroed::<Line>(usize::MAX / 2).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_not_touched_takes_no_memory() {
        let before = resident();
        let lines: Reserved<Line> = reserve_zeroed(4 << 20).unwrap();
        lines[1 << 20].0[0].store(1, Ordering::Relaxed);
        // Other tests may take some meanwhile.
        let taken = resident().saturating_sub(before);
        assert!(taken < 128 << 20, "{taken} bytes of 256 MiB");
    }
}
