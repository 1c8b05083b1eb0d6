//! The signals by which the system's users tell the server to stop or to read its files again.

use std::io;

/// What was asked.
pub enum Asked {
    Stop,
    /// Reads files again, such as those of the certificate and the token.
    Reload,
}

#[cfg(unix)]
pub use unix::Signals;
#[cfg(windows)]
pub use windows::Signals;

#[cfg(unix)]
mod unix {
    use super::{Asked, io};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// SIGINT and SIGTERM stop; SIGHUP reloads, or stops where there is nothing to reload.
    pub struct Signals {
        interrupt: Signal,
        terminate: Signal,
        hang_up: Signal,
        has_files: bool,
    }

    impl Signals {
        pub fn listen(has_files: bool) -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
                has_files,
            })
        }

        /// Waits for the next signal.
        pub async fn next(&mut self) -> Asked {
            tokio::select! {
                _ = self.interrupt.recv() => Asked::Stop,
                _ = self.terminate.recv() => Asked::Stop,
                _ = self.hang_up.recv() => if self.has_files { Asked::Reload } else { Asked::Stop },
            }
        }
    }
}

#[cfg(windows)]
mod windows {
    use super::{Asked, io};
    use tokio::signal::windows::{
        CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
    };

    /// Ctrl-C, a closed console and the system's shutdown stop; Ctrl-Break reloads, or stops where
    /// there is nothing to reload.
    pub struct Signals {
        interrupt: CtrlC,
        close: CtrlClose,
        shutdown: CtrlShutdown,
        break_: CtrlBreak,
        has_files: bool,
    }

    impl Signals {
        pub fn listen(has_files: bool) -> io::Result<Self> {
            Ok(Self {
                interrupt: ctrl_c()?,
                close: ctrl_close()?,
                shutdown: ctrl_shutdown()?,
                break_: ctrl_break()?,
                has_files,
            })
        }

        /// Waits for the next signal.
        pub async fn next(&mut self) -> Asked {
            tokio::select! {
                _ = self.interrupt.recv() => Asked::Stop,
                _ = self.close.recv() => Asked::Stop,
                _ = self.shutdown.recv() => Asked::Stop,
                _ = self.break_.recv() => if self.has_files { Asked::Reload } else { Asked::Stop },
            }
        }
    }
}
