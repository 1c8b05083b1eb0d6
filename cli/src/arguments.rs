//! Parses the command line and reports what is wrong with it.

use crate::{Arguments, is_broken_pipe};
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Parses the command line. Returns the exit code if the command line is wrong or asks for help.
pub fn read() -> Result<Arguments, ExitCode> {
    let mut command = without_empty_variables(Arguments::command());
    let read = command.try_get_matches_from_mut(std::env::args_os());
    let read = read.and_then(|matches| Arguments::from_arg_matches(&matches));
    read.map_err(|error| report(&command, &error))
}

fn is_empty(arg: &clap::Arg) -> bool {
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
}

/// Treats empty environment variables as unset, because compose files pass unset variables as empty
/// ones.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        if is_empty(&arg) { arg.env(clap::builder::Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(without_empty_variables)
}

fn report(command: &clap::Command, error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if error.use_stderr() {
        let _ = error.print();
        if let Some(variable) = variable_of(command, error) {
            eprintln!("\nThe value comes from the environment variable {variable}.");
        }
        return code;
    }
    let (text, mut out) = (error.render(), io::stdout().lock());
    let text = if out.is_terminal() { text.ansi().to_string() } else { text.to_string() };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if !is_broken_pipe(&error) => {
            eprintln!("slipring: standard output: {error}");
            ExitCode::from(3)
        }
        _ => code,
    }
}

/// Returns the environment variable that an invalid value comes from, if it comes from one.
fn variable_of(command: &clap::Command, error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (argument, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let name = argument.strip_prefix("--")?.split([' ', '=']).next()?;
    let of_all = command.get_subcommands().flat_map(|command| command.get_arguments());
    let variable =
        of_all.filter(|arg| arg.get_long() == Some(name)).find_map(clap::Arg::get_env)?;
    let value_set = std::env::var_os(variable)?;
    let value_set = value_set.to_string_lossy();
    value_set
        .split(',')
        .chain([&*value_set])
        .any(|part| part == value)
        .then(|| variable.to_string_lossy().into_owned())
}
