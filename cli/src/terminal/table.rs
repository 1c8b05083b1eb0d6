//! Tables of aligned columns, as wide as the terminal at most.

use super::screen::{Screen, Tone, clipped, columns};
use std::io::{self, Write};

/// Columns between two others.
const GAP: usize = 2;

/// The least that a column shrinks to.
const LEAST: usize = 8;

/// A cell's text, which may be a sender's, and what it means.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Returns a cell of this tone.
pub fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// Left-aligned, as wide as it takes.
    Text,
    /// Right-aligned, as wide as it takes.
    Number,
    /// Left-aligned, cut where there is not enough room.
    Flexible,
}

/// A table with a heading.
pub struct Table {
    columns: Vec<Column>,
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Begins a table. A heading that begins with `#` is a number's, one with `~` may be cut.
    pub fn new(headings: &[&'static str]) -> Self {
        let column = |heading: &&'static str| match heading.split_at_checked(1) {
            Some(("#", heading)) => (Column::Number, heading),
            Some(("~", heading)) => (Column::Flexible, heading),
            _ => (Column::Text, *heading),
        };
        let (columns, headings) = headings.iter().map(column).unzip();
        Self { columns, headings, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells = cells.into_iter();
        let safe = cells.map(|cell| Cell { text: clipped(&cell.text, None), ..cell });
        self.rows.push(safe.collect());
        debug_assert_eq!(self.rows.last().map(Vec::len), Some(self.columns.len()));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns each column's width.
    fn widths(&self, most: Option<usize>) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| columns(&row[column].text));
            cells.chain([columns(self.headings[column])]).max().unwrap_or(0)
        };
        let mut widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let Some(most) = most else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > most {
            let flexible = (0..widths.len()).filter(|&at| self.columns[at] == Column::Flexible);
            let widest = flexible.max_by_key(|&at| widths[at]).filter(|&at| widths[at] > LEAST);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        widths
    }

    pub fn print(&self, out: &mut (impl Write + ?Sized), screen: Screen) -> io::Result<()> {
        let widths = self.widths(screen.width());
        let headings = self.headings.iter().map(|heading| toned(*heading, Tone::Head)).collect();
        for row in [&headings].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, &width), column) in row.iter().zip(&widths).zip(&self.columns) {
                let text = clipped(&cell.text, Some(width));
                let pad = " ".repeat(width.saturating_sub(columns(&text)));
                let painted = screen.paint(&text, cell.tone);
                match column {
                    Column::Number => line.extend([&pad, &*painted]),
                    Column::Text | Column::Flexible => line.extend([&*painted, &pad]),
                }
                line.push_str("  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(width: Option<usize>) -> String {
        let mut table = Table::new(&["#spans", "~name", "service"]);
        table.row(["1".into(), "GET /a/long/path".into(), "cart".into()]);
        table.row(["1,000".into(), toned("\u{1b}[2J", Tone::Bad), "日本".into()]);
        let mut out = Vec::new();
        table.print(&mut out, Screen::plain(width)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            printed(None),
            "spans  name              service\n    1  GET /a/long/path  cart\n1,000  \\u{1b}[2J         日本\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        assert_eq!(
            printed(Some(26)),
            "spans  name        service\n    1  GET /a/lo…  cart\n1,000  \\u{1b}[2J   日本\n"
        );
        assert!(printed(Some(5)).lines().all(|line| columns(line) <= 25));
    }
}
