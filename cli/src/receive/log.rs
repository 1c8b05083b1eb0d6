//! What is logged, as the variable `SLIPRING_LOG` has it.

use crate::Fallible;
use tracing_subscriber::EnvFilter;

/// Returns the filter that `SLIPRING_LOG` asks for, or `info`.
pub fn filter() -> Fallible<EnvFilter> {
    parse(std::env::var("SLIPRING_LOG").unwrap_or_default().trim())
}

/// Parses the log filter: a level, or a level per target. Rejects a word that is neither, which
/// `EnvFilter` would accept as a target that does not exist.
fn parse(text: &str) -> Fallible<EnvFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = if text.is_empty() { "info" } else { text };
    let is_known = |one: &str| {
        one.contains('=')
            || one.contains('[')
            || LEVELS.contains(&one.to_ascii_lowercase().as_str())
    };
    let unknown = text.split(',').map(str::trim).find(|one| !one.is_empty() && !is_known(one));
    let wrong = |what: String| {
        format!(
            "SLIPRING_LOG={text}: {what}; give off, error, warn, info, debug or trace, or target=level"
        )
    };
    if let Some(unknown) = unknown {
        return Err(wrong(format!("{unknown:?} is no level")).into());
    }
    EnvFilter::try_new(text).map_err(|error| wrong(error.to_string()).into())
}
