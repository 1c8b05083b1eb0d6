//! The results of a part, written as JSON and plots into a folder and as tables to standard output.

mod machine;
mod plot;
mod table;

pub use machine::Origin;
pub use table::{Better, Cell, Row, Shown, Table, median, short};

use serde::Serialize;
use std::io;
use std::path::Path;

/// The results of one part of the benches.
#[derive(Debug, Serialize)]
pub struct Part {
    /// The base name of its files.
    pub name: &'static str,
    /// The title.
    pub title: &'static str,
    /// Where and how it was measured.
    pub origin: Origin,
    /// The measured figures.
    pub tables: Vec<Table>,
}

impl Part {
    /// Writes `<name>.json`, `<name>.md` and, for each table that is plotted, `<table>.svg`, into
    /// the folder.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        std::fs::write(folder.join(self.name).with_extension("json"), json + "\n")?;
        std::fs::write(folder.join(self.name).with_extension("md"), self.to_string())?;
        for table in self.tables.iter().filter(|table| table.shown != Shown::Listed) {
            plot::draw(&folder.join(&table.name).with_extension("svg"), table, &self.origin)
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.origin)?;
        self.tables.iter().try_for_each(|table| writeln!(f, "{table}"))
    }
}
