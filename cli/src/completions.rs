//! `slipring completions`: what a shell needs to complete the command line.

use crate::{End, Fallible, shown};
use clap::{Args, Command};
use clap_complete::Shell;
use std::io::{self, Write};

/// Prints a script with which a shell completes commands and flags.
///
/// Example: slipring completions bash > ~/.local/share/bash-completion/completions/slipring
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments, mut command: Command) -> Fallible<End> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "slipring", &mut script);
    shown(io::stdout().lock().write_all(&script))?;
    Ok(End::Well)
}
