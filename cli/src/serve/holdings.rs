//! What a server has read from files before it starts, and what it writes to one when it stops.

use crate::Fallible;
use crate::files::load::Load;
use crate::files::save::Save;
use crate::files::{Loaded, size};
use crate::stop::Stop;
use crate::text::{counted, mebibytes, printable};
use clap::Args;
use slipring::Telemetry;
use slipring_sampling::KeptTrace;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Files that a server begins and ends with.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Files")]
pub struct Files {
    /// Files to read before any request is taken, as `replay` reads them. The file of `--save` may
    /// be missing at first
    #[arg(long, env = "SLIPRING_LOAD", value_name = "FILE", num_args = 1.., value_delimiter = ',')]
    load: Vec<PathBuf>,
    /// Where to write all that is held when the server stops: OTLP/JSON lines, or protobuf for
    /// names in .pb; packed for names in .zst or .gz. Replaces the file only when all is written
    #[arg(long, env = "SLIPRING_SAVE", value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Files {
    /// Prepares for saving, if it is asked for.
    pub fn saving(&self) -> Fallible<Option<Save>> {
        self.save.as_deref().map(Save::to).transpose()
    }

    /// Reads the files, and logs what was in them.
    pub fn load(&self, telemetry: &Telemetry) -> Fallible<()> {
        let is_first = |file: &PathBuf| self.save.as_ref() == Some(file) && !file.exists();
        let files: Vec<_> = self.load.iter().filter(|file| !is_first(file)).cloned().collect();
        if files.is_empty() {
            return Ok(());
        }
        tell(&load(&files, &size::sizes(&files)?, telemetry)?);
        Ok(())
    }
}

/// Reads files into stores, in their order.
pub fn load(files: &[PathBuf], sizes: &[Option<u64>], telemetry: &Telemetry) -> Fallible<Loaded> {
    let (stop, started) = (Stop::never(), Instant::now());
    let tally = Load::in_order(files, sizes, &stop).fill(telemetry)?;
    telemetry.flush()?;
    crate::memory::give_back();
    Ok(tally.into_report(started.elapsed(), false))
}

/// Logs what was read, and what was damaged.
pub fn tell(loaded: &Loaded) {
    tracing::info!("{}", loaded.summary());
    for problem in loaded.problems() {
        tracing::warn!("{problem}");
    }
}

/// Writes all that is held and kept, and logs how much that is.
pub fn save(save: &Save, telemetry: &Telemetry, kept: Vec<Arc<KeptTrace>>) -> Fallible<()> {
    let saved = save.save(telemetry, kept)?;
    let [spans, logs, points] = saved.records;
    tracing::info!(
        "saved {}, {} and {} to {}, {}",
        counted(spans, "span"),
        counted(logs, "log record"),
        counted(points, "metric point"),
        shown(save.path()),
        mebibytes(saved.bytes),
    );
    if saved.missed > 0 {
        let missed = counted(saved.missed, "record");
        tracing::warn!("{missed} left the stores before they were saved");
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}
