//! Reads this process's memory and processor time from the system.

use std::time::Duration;

/// Returns the process's resident memory in bytes, or 0 where the system does not report it.
pub fn resident() -> u64 {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// Returns the machine's available memory in bytes, or 0 where the system does not report it.
pub fn available() -> u64 {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

fn kibibytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

/// Returns the processor time that all threads of this process have used, in user and kernel mode.
pub fn processor_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `getrusage` writes the whole structure through a pointer that is valid for it.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0;
    assert!(!failed, "getrusage failed");
    // SAFETY: the call succeeded, so it initialized the whole structure.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_reports_memory_and_processor_time() {
        let before = processor_time();
        while processor_time() == before {
            std::hint::spin_loop();
        }
        assert!(resident() > 100_000 && available() > 0);
    }
}
