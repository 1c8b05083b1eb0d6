//! Draws plots as SVG.

mod bars;
mod lines;

use super::machine::Origin;
use super::table::{Better, Cell, Table};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// One colour for each store, in the order of the columns.
const COLOURS: [RGBColor; 9] = [
    RGBColor(200, 50, 40),
    RGBColor(40, 90, 170),
    RGBColor(60, 160, 190),
    RGBColor(110, 110, 110),
    RGBColor(175, 175, 175),
    RGBColor(220, 150, 40),
    RGBColor(90, 150, 70),
    RGBColor(140, 80, 160),
    RGBColor(120, 90, 60),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(215, 215, 210);
const PAPER: RGBColor = RGBColor(252, 252, 250);

/// An axis is logarithmic if the largest figure is this many times the smallest.
const WIDE: f64 = 8.0;

/// Sizes in pixels.
const WIDTH: u32 = 1100;
const HEAD: u32 = 64;

/// The rows of a table that belong to one panel, with the figures of its columns.
struct Panel<'a> {
    title: &'a str,
    cases: Vec<&'a str>,
    /// The columns' figures, by case.
    series: Vec<Series<'a>>,
}

struct Series<'a> {
    name: &'a str,
    colour: RGBColor,
    figures: Vec<Option<Figure>>,
}

#[derive(Clone, Copy)]
struct Figure {
    least: f64,
    median: f64,
    most: f64,
}

/// Draws a table: as lines if it has an axis, otherwise as bars.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(file: &Path, table: &Table, origin: &Origin) -> Drawn {
    let panels: Vec<Panel<'_>> =
        table.panels().into_iter().map(|title| Panel::of(table, title)).collect();
    let strips = panels.chunks(if panels.len() > 1 { 2 } else { 1 });
    let height = |strip: &[Panel<'_>]| match table.axis {
        Some(_) => lines::HEIGHT,
        None => strip.iter().map(bars::height).max().unwrap_or(0),
    };
    let root = SVGBackend::new(file, (WIDTH, HEAD + strips.clone().map(height).sum::<u32>()))
        .into_drawing_area();
    root.fill(&PAPER)?;
    root.draw(&Text::new(table.title.as_str(), (16, 12), font(20)))?;
    let way = if table.better == Better::More { "more is better" } else { "less is better" };
    root.draw(&Text::new(
        format!("In {}; {way}. {}", table.unit, origin.brief()),
        (16, 40),
        font(12),
    ))?;
    let mut rest = root.clone().margin(HEAD, 0, 0, 0);
    for strip in strips {
        let (area, below) = rest.split_vertically(height(strip));
        rest = below;
        for (area, panel) in area.split_evenly((1, strip.len())).iter().zip(strip) {
            match table.axis {
                Some(axis) => lines::draw(area, panel, axis)?,
                None => bars::draw(area, panel)?,
            }
        }
    }
    root.present()?;
    Ok(())
}

impl<'a> Panel<'a> {
    fn of(table: &'a Table, title: &'a str) -> Self {
        let rows: Vec<_> = table.rows.iter().filter(|row| row.panel == title).collect();
        let series = table.columns.iter().enumerate().map(|(column, name)| Series {
            name,
            colour: COLOURS[column % COLOURS.len()],
            figures: rows.iter().map(|row| row.cells.get(column).and_then(Figure::of)).collect(),
        });
        let series = series.filter(|series| series.figures.iter().any(Option::is_some)).collect();
        Self { title, cases: rows.iter().map(|row| row.case.as_str()).collect(), series }
    }

    /// Returns the range of an axis that covers all figures, and whether the axis is logarithmic.
    fn reach(&self) -> (Range<f64>, bool) {
        let figures = self.series.iter().flat_map(|series| series.figures.iter().flatten());
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for figure in figures.filter(|figure| figure.least > 0.0) {
            (least, most) = (least.min(figure.least), most.max(figure.most));
        }
        if most > WIDE * least {
            (least / 1.6..most * 1.6, true)
        } else {
            (0.0..most.max(1e-9) * 1.15, false)
        }
    }
}

impl Figure {
    fn of(cell: &Cell) -> Option<Self> {
        let (least, most) = cell.range()?;
        Some(Self { least, median: cell.median()?, most })
    }
}

/// Returns a text style of this size, in pixels.
fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}
