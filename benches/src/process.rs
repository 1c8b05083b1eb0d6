//! What the system says about this process.

use std::time::Duration;

/// Bytes of memory in use, or 0 where the system does not say.
pub fn resident() -> u64 {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// Bytes of memory that can still be had, or 0 where the system does not say.
pub fn available() -> u64 {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

fn kibibytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

/// Processor time that all threads of this process have used, in user and kernel.
pub fn processor_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `getrusage` writes the whole structure through a pointer that is valid for it.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0;
    assert!(!failed, "every process may ask for its own usage");
    // SAFETY: the call has succeeded, and so filled it in.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_answers() {
        let before = processor_time();
        while processor_time() == before {
            std::hint::spin_loop();
        }
        assert!(resident() > 100_000 && available() > 0);
    }
}
