//! One live line on a terminal, which counts what arrives. Elsewhere it shows nothing.

use super::app::App;
use crate::text::{counted, thousands};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// How often the line is written.
const PACE: Duration = Duration::from_secs(1);

/// The live line on standard error. It makes room for log messages, which stay above it.
#[derive(Clone)]
pub struct Arrivals(ProgressBar);

impl Arrivals {
    pub fn new() -> Self {
        let style = ProgressStyle::with_template("{wide_msg}").expect("the template is sound");
        Self(ProgressBar::new_spinner().with_style(style))
    }

    /// Counts until the future is dropped.
    pub async fn count(self, app: Arc<App>) {
        if self.0.is_hidden() {
            return;
        }
        let mut before = None;
        let mut ticks = tokio::time::interval(PACE);
        loop {
            ticks.tick().await;
            let stats = app.telemetry.stats();
            let stats = [&stats.traces, &stats.logs, &stats.metrics];
            let now = stats.map(|stats| stats.offered);
            let held = stats.map(|stats| stats.count).iter().sum();
            // What was loaded has not arrived just now.
            self.0.set_message(line(now, before.unwrap_or(now), held));
            before = Some(now);
        }
    }

    /// Removes the line.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Formats the counts of each signal, with what came since the line before.
fn line(now: [u64; 3], before: [u64; 3], held: u64) -> String {
    let names = ["span", "log record", "metric point"];
    let each = (0..3).map(|signal| {
        let came = now[signal].saturating_sub(before[signal]);
        format!("{} (+{}/s)", counted(now[signal], names[signal]), thousands(came))
    });
    let each: Vec<_> = each.collect();
    format!("{}; {} held", each.join(", "), thousands(held))
}

impl<'a> MakeWriter<'a> for Arrivals {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Above<'a> {
        Above(self)
    }
}

/// Writes a message above the line.
pub struct Above<'a>(&'a Arrivals);

impl Write for Above<'_> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.0.0.suspend(|| io::stderr().write_all(message)).map(|()| message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_what_came_and_how_fast() {
        assert_eq!(
            line([1_200, 1, 0], [200, 0, 0], 1_201),
            "1,200 spans (+1,000/s), 1 log record (+1/s), 0 metric points (+0/s); 1,201 held"
        );
    }
}
