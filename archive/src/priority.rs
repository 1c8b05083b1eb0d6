//! The priority of threads whose work can wait.

/// Sets the nice value of the calling thread to 10, so that others go first where processors are short:
/// `docs/HISTORY.md` has what that gives. On systems other than Linux, nothing changes.
pub(crate) fn lower() {
    // On Linux, this is about the calling thread alone. On other systems it would be the process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}
