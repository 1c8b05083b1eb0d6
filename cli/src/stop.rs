//! Stops a command early on SIGINT or SIGTERM.

use crate::Fallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether the user has asked to stop. A second signal ends the program at once.
#[derive(Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Installs the signal handler. May be called once per program.
    pub fn listen() -> Fallible<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let handler = Arc::clone(&asked);
        ctrlc::set_handler(move || {
            if handler.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })?;
        Ok(Self(asked))
    }

    /// Never tells so. A signal then does what the system does by itself: it ends the program.
    pub fn never() -> Self {
        Self(Arc::default())
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
