//! Stopping early, on an interrupt or a termination.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has asked to stop; a second time ends the program at once.
#[derive(Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on. Once in a program.
    pub fn listen() -> Result<Self, ctrlc::Error> {
        let asked = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&asked);
        ctrlc::set_handler(move || {
            if heard.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })?;
        Ok(Self(asked))
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
