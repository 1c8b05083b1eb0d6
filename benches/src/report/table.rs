//! Tables of figures: a row for each case, a column for each store.

use serde::{Serialize, Serializer};
use std::fmt;

/// Figures of one kind, by case and store. The other columns are compared with the first one.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The base name of the plot's file.
    pub name: String,
    /// The title.
    pub title: String,
    /// The unit of the figures.
    pub unit: &'static str,
    /// Whether larger or smaller figures are better.
    pub better: Better,
    /// The label of the plot's x axis, along which the cases of a panel lie. `None` for a bar
    /// chart.
    pub axis: Option<&'static str>,
    /// Where the table appears.
    pub shown: Shown,
    /// The names of the columns: the measured stores.
    pub columns: Vec<&'static str>,
    /// Columns that hold no store's figures, and so are not compared.
    pub plain: Vec<&'static str>,
    /// The rows, one per case.
    pub rows: Vec<Row>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

/// Whether larger or smaller figures are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Larger figures are better, such as rates.
    More,
    /// Smaller figures are better, such as times.
    Less,
}

/// Where a table appears, besides the JSON file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// As a table and as a plot.
    Both,
    /// As a table only, because its figures have different units.
    Listed,
    /// As a plot only, because it has too many rows.
    Plotted,
}

/// A case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The panel of the plot that the row belongs to.
    pub panel: String,
    /// The row's name within its panel.
    pub case: String,
    /// The figures, by column. A cell is empty where nothing was measured.
    pub cells: Vec<Cell>,
}

/// The figures of one store in one case, one per round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    rounds: Vec<f64>,
    /// The first column's figure divided by this one: the median over the rounds.
    ratio: Option<f64>,
}

impl Table {
    /// Creates an empty table.
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        unit: &'static str,
        better: Better,
    ) -> Self {
        let (name, title) = (name.into(), title.into());
        let (columns, plain, rows, notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            name,
            title,
            unit,
            better,
            axis: None,
            shown: Shown::Both,
            columns,
            plain,
            rows,
            notes,
        }
    }

    /// Sets the label of the x axis.
    #[must_use]
    pub fn along(mut self, axis: &'static str) -> Self {
        self.axis = Some(axis);
        self
    }

    /// Sets where the table appears.
    #[must_use]
    pub fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }

    /// Adds columns that are not compared.
    #[must_use]
    pub fn uncompared(mut self, columns: &[&'static str]) -> Self {
        self.plain.extend(columns);
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a round's figure. The first figure of a case or of a store adds the row or the column.
    pub fn add(&mut self, panel: &str, case: &str, column: &'static str, figure: f64) {
        let number = self.columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        });
        let row =
            self.rows.iter().position(|row| row.panel == panel && row.case == case).unwrap_or_else(
                || {
                    // Insert the row after the last one of its panel.
                    let at = self
                        .rows
                        .iter()
                        .rposition(|row| row.panel == panel)
                        .map_or(self.rows.len(), |last| last + 1);
                    self.rows.insert(
                        at,
                        Row { panel: panel.to_owned(), case: case.to_owned(), cells: Vec::new() },
                    );
                    at
                },
            );
        let cells = &mut self.rows[row].cells;
        cells.resize(cells.len().max(number + 1), Cell::default());
        cells[number].rounds.push(figure);
        for at in if number == 0 { 1..cells.len() } else { number..number + 1 } {
            if !self.plain.contains(&self.columns[at]) {
                cells[at].ratio = Cell::ratio(&cells[0], &cells[at]);
            }
        }
    }

    /// Returns the figures of a store in a case, if it was measured.
    pub fn cell(&self, panel: &str, case: &str, column: &str) -> Option<&Cell> {
        let number = self.columns.iter().position(|known| *known == column)?;
        let row = self.rows.iter().find(|row| row.panel == panel && row.case == case)?;
        row.cells.get(number).filter(|cell| !cell.rounds.is_empty())
    }

    /// Returns the names of the panels, in order, each once.
    pub fn panels(&self) -> Vec<&str> {
        let mut panels: Vec<&str> = self.rows.iter().map(|row| row.panel.as_str()).collect();
        panels.dedup();
        panels
    }
}

impl Cell {
    /// Returns the figures, one per round.
    pub fn rounds(&self) -> &[f64] {
        &self.rounds
    }

    /// Returns the median of the figures, if there are any.
    pub fn median(&self) -> Option<f64> {
        median(self.rounds.clone())
    }

    /// Returns the minimum and the maximum.
    pub fn range(&self) -> Option<(f64, f64)> {
        let least = self.rounds.iter().copied().min_by(f64::total_cmp)?;
        let most = self.rounds.iter().copied().max_by(f64::total_cmp)?;
        Some((least, most))
    }

    /// Divides the figures of two cells round by round, and returns the median of the ratios. What
    /// slows down a whole round affects both cells alike.
    pub fn ratio(over: &Cell, under: &Cell) -> Option<f64> {
        median(
            over.rounds
                .iter()
                .zip(&under.rounds)
                .map(|(over, under)| over / under)
                .filter(|x| x.is_finite())
                .collect(),
        )
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            median: Option<f64>,
            ratio: Option<f64>,
            rounds: &'a [f64],
        }
        Shown { median: self.median(), ratio: self.ratio, rounds: &self.rounds }
            .serialize(serializer)
    }
}

/// Returns the median of some figures. Of an even number of figures, it is the mean of the middle
/// two.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    Some(if figures.len().is_multiple_of(2) {
        (figures[figures.len() / 2 - 1] + upper) / 2.0
    } else {
        upper
    })
}

/// Formats the table in Markdown. Each compared figure is followed by the ratio of the first
/// column's figure to it.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, unit, better, columns, rows, notes, .. } = self;
        if self.shown == Shown::Plotted {
            return writeln!(
                f,
                "### {title}\n\n{} rows: see the plot, `{}.svg`.",
                rows.len(),
                self.name
            );
        }
        let better = if *better == Better::More { "more" } else { "less" };
        write!(f, "### {title}\n\nIn {unit}; {better} is better.")?;
        if rows.iter().flat_map(|row| &row.cells).any(|cell| cell.ratio.is_some()) {
            let first = columns[0];
            write!(
                f,
                " In brackets: {first}'s figure over this one, the median of the rounds' ratios."
            )?;
        }
        write!(f, "\n\n| |")?;
        columns.iter().try_for_each(|column| write!(f, " {column} |"))?;
        write!(f, "\n|---|")?;
        columns.iter().try_for_each(|_| write!(f, "---:|"))?;
        writeln!(f)?;
        for Row { panel, case, cells } in rows {
            let name = [panel.as_str(), case]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(": ");
            write!(f, "| {name} |")?;
            for number in 0..columns.len() {
                match cells.get(number).and_then(|cell| Some((cell.median()?, cell.ratio))) {
                    None => write!(f, " |")?,
                    Some((median, None)) => write!(f, " {} |", short(median))?,
                    Some((median, Some(ratio))) => {
                        write!(f, " {} ({}×) |", short(median), short(ratio))?
                    }
                }
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        notes.iter().try_for_each(|note| writeln!(f, "{note}\n"))
    }
}

/// Formats a figure with three significant digits, or with all digits of its integral part.
pub fn short(figure: f64) -> String {
    let size = figure.abs();
    // The number of digits before the decimal point. It is negative if zeros follow the point.
    let digits = if size == 0.0 { 3 } else { size.log10().floor() as i32 + 1 };
    let decimals = (3 - digits).clamp(0, 6) as usize;
    let digits = format!("{figure:.decimals$}");
    let whole = digits.split('.').next().map_or(0, str::len);
    if whole <= 4 {
        return digits;
    }
    // Only figures without decimals are that long.
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut table = Table::new("t", "T", "records/s", Better::More);
        // The machine's speed doubles and halves; the ratio is always 3.
        for (ours, theirs) in [(3.0, 1.0), (12.0, 4.0), (6.0, 2.0)] {
            table.add("p", "c", "ours", ours);
            table.add("p", "c", "theirs", theirs);
        }
        assert_eq!(table.cell("p", "c", "theirs").and_then(Cell::median), Some(2.0));
        assert_eq!(table.rows[0].cells[1].ratio, Some(3.0));
        assert!(table.to_string().contains("| p: c | 6.00 | 2.00 (3.00×) |"), "{table}");
    }

    #[test]
    fn rows_of_a_panel_stay_together_and_gaps_stay_empty() {
        let mut table = Table::new("t", "T", "ns", Better::Less);
        table.add("a", "1", "ours", 1.0);
        table.add("b", "1", "theirs", 1.0);
        table.add("a", "2", "theirs", 1.0);
        assert_eq!(table.panels(), ["a", "b"]);
        assert_eq!(table.cell("b", "1", "ours"), None);
        assert!(table.to_string().contains("| b: 1 | | 1.00 |"), "{table}");
    }

    #[test]
    fn figures_are_short() {
        let shorts =
            [0.0, 0.012, 0.5, 1.234, 12.34, 123.4, 1234.5, 12345.6, 1_234_567.0].map(short);
        assert_eq!(
            shorts,
            ["0", "0.0120", "0.500", "1.23", "12.3", "123", "1234", "12,346", "1,234,567"]
        );
    }
}
