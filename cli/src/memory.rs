//! Estimates the stores' memory, reads the machine's limits, and returns free memory to the system.

use crate::text::mebibytes;
use serde::Serialize;
use slipring::Signal;
use std::{fmt, fs};

/// The bytes that the engine needs per record for its slot head and its indexes, rounded up.
const BOOKKEEPING: u64 = 128;

/// Returns the bytes that `records` records take in slots and indexes, without their heap data.
pub fn of_slots<T: Signal>(records: usize) -> u64 {
    (records as u64).saturating_mul(size_of::<T>() as u64 + BOOKKEEPING)
}

/// Returns the bytes of memory that this process may use: the smaller of the machine's memory and
/// the container's limit. Returns `None` where the system reports neither.
pub fn of_machine() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    });
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .min();
    machine.into_iter().chain(limit).min()
}

/// The resident memory of this process in bytes, now and at its peak.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resident {
    resident_bytes: u64,
    most_resident_bytes: u64,
}

impl Resident {
    /// Reads the current values. Returns `None` where the system does not report them.
    pub fn now() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        Some(Self { resident_bytes: bytes("VmRSS:")?, most_resident_bytes: bytes("VmHWM:")? })
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [now, most] = [self.resident_bytes, self.most_resident_bytes].map(mebibytes);
        write!(f, "{now} now, {most} at most")
    }
}

/// Returns free memory to the system. glibc's allocator would otherwise keep it.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes no pointers and is thread-safe, so it has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}
