//! Figures side by side: a row for each case, a column for each store.

use serde::{Serialize, Serializer};
use std::fmt;

/// Figures of one kind, by case and store. The first column is the one that the others are compared
/// with.
#[derive(Debug, Serialize)]
pub struct Table {
    /// What its plot's file is called.
    pub name: String,
    /// What is measured.
    pub title: String,
    /// What the figures count.
    pub unit: &'static str,
    /// Which way is good.
    pub better: Better,
    /// What tells the rows of a panel apart: the x axis of the plot, or `None` where bars say more.
    pub axis: Option<&'static str>,
    /// Where it appears.
    pub shown: Shown,
    /// Who was measured.
    pub columns: Vec<&'static str>,
    /// Columns that are no store's, and so are not compared.
    pub plain: Vec<&'static str>,
    /// Cases.
    pub rows: Vec<Row>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

/// Which figures are good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// As of rates.
    More,
    /// As of times.
    Less,
}

/// Where a table appears, beside its file of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// As a list and as a plot.
    Both,
    /// As a list: its figures have nothing in common.
    Listed,
    /// As a plot: it has too many rows to be read.
    Plotted,
}

/// A case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What the row has in common with others: a panel of the plot.
    pub panel: String,
    /// What sets it apart from them.
    pub case: String,
    /// A figure for each column, or none where nothing was measured.
    pub cells: Vec<Cell>,
}

/// The figures of one store in one case, round by round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    rounds: Vec<f64>,
    /// The first column's figure over this one, median over the rounds.
    ratio: Option<f64>,
}

impl Table {
    /// An empty one.
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

    /// With an x axis.
    #[must_use]
    pub fn along(mut self, axis: &'static str) -> Self {
        self.axis = Some(axis);
        self
    }

    /// Not everywhere.
    #[must_use]
    pub fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }

    /// With columns that stand beside the others without being compared.
    #[must_use]
    pub fn plainly(mut self, columns: &[&'static str]) -> Self {
        self.plain.extend(columns);
        self
    }

    /// With a note.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Puts a figure where it belongs; the first figure of a case or of a store makes room for
    /// others.
    pub fn add(&mut self, panel: &str, case: &str, column: &'static str, figure: f64) {
        let number = self.columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        });
        let row =
            self.rows.iter().position(|row| row.panel == panel && row.case == case).unwrap_or_else(
                || {
                    // Beside its likes, also if the panel's first round is over.
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

    /// The figures of a store in a case, if it was measured.
    pub fn cell(&self, panel: &str, case: &str, column: &str) -> Option<&Cell> {
        let number = self.columns.iter().position(|known| *known == column)?;
        let row = self.rows.iter().find(|row| row.panel == panel && row.case == case)?;
        row.cells.get(number).filter(|cell| !cell.rounds.is_empty())
    }

    /// The panels, in order, each once.
    pub fn panels(&self) -> Vec<&str> {
        let mut panels: Vec<&str> = self.rows.iter().map(|row| row.panel.as_str()).collect();
        panels.dedup();
        panels
    }
}

impl Cell {
    /// The figures, round by round.
    pub fn rounds(&self) -> &[f64] {
        &self.rounds
    }

    /// The figure in the middle, if there is one.
    pub fn median(&self) -> Option<f64> {
        median(self.rounds.clone())
    }

    /// The least and the most.
    pub fn range(&self) -> Option<(f64, f64)> {
        let least = self.rounds.iter().copied().min_by(f64::total_cmp)?;
        let most = self.rounds.iter().copied().max_by(f64::total_cmp)?;
        Some((least, most))
    }

    /// One over the other in each round, and the median of that: what slows a whole round down is
    /// the same for both.
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

/// The middle of some figures; of an even number, the mean of the two in the middle.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    Some(if figures.len().is_multiple_of(2) {
        (figures[figures.len() / 2 - 1] + upper) / 2.0
    } else {
        upper
    })
}

/// In Markdown. Beside each figure stands what the first column's is over it.
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

/// Three digits, or all before the point.
pub fn short(figure: f64) -> String {
    let size = figure.abs();
    // Of a figure with so many digits before the point: less than none if zeros follow it.
    let digits = if size == 0.0 { 3 } else { size.log10().floor() as i32 + 1 };
    let decimals = (3 - digits).clamp(0, 6) as usize;
    let digits = format!("{figure:.decimals$}");
    let whole = digits.split('.').next().map_or(0, str::len);
    if whole <= 4 {
        return digits;
    }
    // Only whole numbers are that long.
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
