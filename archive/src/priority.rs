//! The priority of threads whose work can wait.

/// Lets other threads go first where processors are short: the calling thread counts ten levels less. On
/// systems that cannot do so for one thread, nothing changes.
pub(crate) fn lower() {
    // On Linux, this is about the calling thread alone. On other systems it would be the process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}
