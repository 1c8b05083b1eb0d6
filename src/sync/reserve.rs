//! Memory that a store takes when it is built: if the system has none, that is an error, not the end of the program.

use std::collections::TryReserveError;
#[cfg(not(loom))]
use std::marker::PhantomData;
#[cfg(not(loom))]
use std::ops::Deref;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU64;

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
/// It is made of atomic integers alone, of which a value of zero bytes is what `zeroed` makes.
pub(crate) unsafe trait Zeroed: Sized {
    /// The value of zero bytes.
    #[cfg_attr(not(loom), expect(dead_code, reason = "zero bytes are it"))]
    fn zeroed() -> Self;
}

/// Values that were zeroed by the system, in pages that it hands out as they are touched.
///
/// An allocator does so only for what needs no great alignment: of lines of a cache it would write
/// each byte itself, and so touch all of them at once. So they lie in words, of which there are
/// some more than it takes, from the first suitable one on.
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
        // SAFETY: from there on, so many fit into the words (see `reserve_zeroed`). Words are
        // atomic, so they may be written by way of a shared reference; they began as zero bytes,
        // and nothing else looks at them. They are atomics of such a `T` by the trait's contract.
        unsafe { std::slice::from_raw_parts(first, self.count) }
    }
}

/// So many zeroed values. This takes no time, and memory only as it is used.
#[cfg(not(loom))]
pub(crate) fn reserve_zeroed<T: Zeroed>(count: usize) -> Result<Reserved<T>, TryReserveError> {
    use std::alloc::{Layout, alloc_zeroed};

    const { assert!(!std::mem::needs_drop::<T>()) };
    let words = count.saturating_mul(size_of::<T>()).saturating_add(align_of::<T>()).div_ceil(size_of::<u64>());
    let none = || AtomicU64::new(0);
    let words = match Layout::array::<AtomicU64>(words) {
        Ok(layout) => {
            // SAFETY: the layout is not of size zero. Zero bytes are a valid `AtomicU64`, and the
            // slice takes over the allocation with the layout that it was made with.
            let zeroed = unsafe {
                let start = alloc_zeroed(layout).cast::<AtomicU64>();
                (!start.is_null()).then(|| Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, words)))
            };
            // The second try gives the error that names what was asked for.
            zeroed.map_or_else(|| reserve(words, none), Ok)
        }
        Err(_) => reserve(words, none),
    };
    Ok(Reserved { words: words?, count, of: PhantomData })
}

/// loom's atomics are no plain words.
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
            all().enumerate().for_each(|(number, word)| word.store(number as u64, Ordering::Relaxed));
            assert!(all().enumerate().all(|(number, word)| word.load(Ordering::Relaxed) == number as u64));
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
