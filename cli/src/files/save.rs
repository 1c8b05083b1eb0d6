//! Writes what stores hold to a file, which is there in whole or not at all.

use super::export::{Export, encoding_of};
use crate::Fallible;
use flate2::Compression;
use flate2::write::GzEncoder;
use slipring::Telemetry;
use slipring::otlp::Encoding;
use slipring_sampling::KeptTrace;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Where to save, and how.
#[derive(Debug)]
pub struct Save {
    path: PathBuf,
    packing: Packing,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// What was saved.
pub struct Saved {
    /// The numbers of spans, log records and metric points.
    pub records: [u64; 3],
    /// How many records were evicted before they were written.
    pub missed: u64,
    pub bytes: u64,
}

impl Save {
    /// Prepares for saving to `path`. The name says how: `.pb`, `.binpb` or `.otlp` is protobuf,
    /// anything else JSON; `.zst` or `.gz` behind it packs the file.
    ///
    /// # Errors
    /// Returns an error if no file can be written there, before there is anything to lose.
    pub fn to(path: &Path) -> Fallible<Self> {
        let told = |error: io::Error| format!("{}: {error}", path.display());
        // A link stays one: what it leads to is replaced.
        let path = match std::fs::metadata(path) {
            Ok(known) if !known.is_file() => {
                return Err(format!("{} is no plain file; give another", path.display()).into());
            }
            Ok(_) => path.canonicalize().map_err(told)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(told(error).into()),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| format!("{} names no file", path.display()))?;
        let packing = match name.rsplit_once('.') {
            Some((_, "zst")) => Packing::Zstd,
            Some((_, "gz")) => Packing::Gzip,
            _ => Packing::None,
        };
        let save = Self { path, packing, encoding: encoding_of(&name) };
        save.beside().map_err(|error| {
            format!("nothing can be saved in {}: {error}", save.folder().display())
        })?;
        Ok(save)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    /// Creates a file in the same folder, which goes away unless it is kept. Only its owner may
    /// read it: telemetry tells much.
    fn beside(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(".slipring-").suffix(".part").tempfile_in(self.folder())
    }

    /// Writes all that the stores hold, and the records of kept traces that they do not hold any
    /// more. The file's former content is replaced at once, after
    /// everything has reached the disk.
    pub fn save(&self, telemetry: &Telemetry, kept: Vec<Arc<KeptTrace>>) -> Fallible<Saved> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        let file = self.beside().map_err(|error| told(&error))?;
        let mut export = Export::new(telemetry, None, self.encoding).and(kept);
        write(&mut export, file.as_file(), self.packing).map_err(|error| told(&error))?;
        file.as_file().sync_all().map_err(|error| told(&error))?;
        let bytes = file.as_file().metadata().map_err(|error| told(&error))?.len();
        file.persist(&self.path).map_err(|error| told(&error.error))?;
        // The name is in the folder, which has to reach the disk as well. Not every system can
        // open a folder.
        if let Ok(folder) = File::open(self.folder()) {
            let _ = folder.sync_all();
        }
        Ok(Saved { records: export.written(), missed: export.missed(), bytes })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write(export: &mut Export, file: &File, packing: Packing) -> Fallible<()> {
    fn all(export: &mut Export, mut out: impl Write) -> Fallible<()> {
        while let Some(request) = export.next()? {
            out.write_all(&request)?;
        }
        Ok(out.flush()?)
    }
    match packing {
        Packing::None => all(export, BufWriter::new(file)),
        Packing::Gzip => {
            let mut packed = GzEncoder::new(BufWriter::new(file), Compression::default());
            all(export, &mut packed)?;
            Ok(packed.finish()?.flush()?)
        }
        Packing::Zstd => {
            let mut packed = zstd::Encoder::new(BufWriter::new(file), 0)?;
            all(export, &mut packed)?;
            Ok(packed.finish()?.flush()?)
        }
    }
}
