//! What stores will take, what the machine has, and what goes back to it.

use crate::text::mebibytes;
use serde::Serialize;
use slipring::Signal;
use std::{fmt, fs};

/// Bytes that the engine notes of each record, in its slot and in its indexes, and a little to
/// spare.
const NOTED: u64 = 128;

/// What so many records take in slots and indexes, without what they hold on the heap.
pub fn of_slots<T: Signal>(records: usize) -> u64 {
    (records as u64).saturating_mul(size_of::<T>() as u64 + NOTED)
}

/// Bytes of memory that this process may use, if the system says: the machine's, or what its
/// container is given.
pub fn of_machine() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    });
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let given = limits
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .min();
    machine.into_iter().chain(given).min()
}

/// What of this process is in memory, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resident {
    resident_bytes: u64,
    most_resident_bytes: u64,
}

impl Resident {
    /// `None` where the system does not say.
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

/// Gives free memory back to the system, where the allocator keeps it otherwise.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
