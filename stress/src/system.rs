//! Reads figures about this process from the system and the allocator. They are 0 where these do not
//! report them.

/// Returns the resident memory in bytes.
pub fn resident() -> u64 {
    status("VmRSS:") * 1024
}

/// Returns the bytes that are allocated and not freed.
pub fn allocated() -> u64 {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: The call has no conditions.
        let info = unsafe { libc::mallinfo2() };
        (info.uordblks + info.hblkhd) as u64
    }
    #[cfg(not(target_env = "gnu"))]
    0
}

/// Returns the number of threads.
pub fn threads() -> u64 {
    status("Threads:")
}

fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
