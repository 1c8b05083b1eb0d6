//! Horizontal bars, grouped by case.

use super::{Area, Drawn, FAINT, INK, Panel, font};
use crate::report::table::short;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Sizes in pixels.
const BAR: i32 = 18;
const GAP: i32 = 6;
const TITLE: i32 = 30;
const FOOT: i32 = 26;
const NAMES: i32 = 170;
const FIGURES: i32 = 60;

/// Returns the height that a panel needs, in pixels.
pub fn height(panel: &Panel<'_>) -> u32 {
    (TITLE + FOOT + bottom(panel)) as u32
}

fn bottom(panel: &Panel<'_>) -> i32 {
    let bars: usize =
        panel.series.iter().map(|series| series.figures.iter().flatten().count()).sum();
    let named = panel.cases.iter().filter(|case| !case.is_empty()).count();
    (bars + named) as i32 * BAR + panel.cases.len() as i32 * GAP
}

/// Draws the bars, each with a thin line from its minimum to its maximum and with its median as a
/// number.
pub fn draw(area: &Area<'_>, panel: &Panel<'_>) -> Drawn {
    let width = area.dim_in_pixel().0 as i32;
    let (range, powers) = panel.reach();
    let place = |figure: f64| {
        let share = if powers {
            (figure / range.start).ln() / (range.end / range.start).ln()
        } else {
            figure / range.end
        };
        NAMES + (share.clamp(0.0, 1.0) * f64::from(width - NAMES - FIGURES)) as i32
    };
    area.draw(&Text::new(panel.title, (NAMES, 8), font(15)))?;
    let foot = TITLE + bottom(panel);
    for mark in marks(range.start, range.end, powers) {
        let x = place(mark);
        area.draw(&PathElement::new([(x, TITLE), (x, foot)], FAINT))?;
        area.draw(&Text::new(
            short(mark),
            (x, foot + 4),
            font(11).pos(Pos::new(HPos::Center, VPos::Top)),
        ))?;
    }
    let mut top = TITLE;
    for (number, case) in panel.cases.iter().enumerate() {
        if !case.is_empty() {
            area.draw(&Text::new(*case, (NAMES, top + 2), font(13)))?;
            top += BAR;
        }
        for series in &panel.series {
            let Some(figure) = series.figures[number] else { continue };
            let middle = top + BAR / 2;
            let name = font(12).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(series.name, (NAMES - 8, middle), name))?;
            let bar = [(NAMES, top + 2), (place(figure.median), top + BAR - 2)];
            area.draw(&Rectangle::new(bar, series.colour.filled()))?;
            let (least, most) = (place(figure.least), place(figure.most));
            area.draw(&PathElement::new([(least, middle), (most, middle)], INK))?;
            let end = most.max(place(figure.median)) + 6;
            area.draw(&Text::new(
                short(figure.median),
                (end, middle),
                font(12).pos(Pos::new(HPos::Left, VPos::Center)),
            ))?;
            top += BAR;
        }
        top += GAP;
    }
    Ok(())
}

/// Returns round figures in this range, for the marks of the axis.
fn marks(least: f64, most: f64, powers: bool) -> Vec<f64> {
    if powers {
        let first = least.log10().ceil() as i32;
        return (first..)
            .map(|power| 10_f64.powi(power))
            .take_while(|mark| *mark <= most)
            .collect();
    }
    let rough = most / 5.0;
    let ten = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * ten)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    (0..).map(|number| f64::from(number) * step).take_while(|mark| *mark <= most).collect()
}

#[cfg(test)]
mod tests {
    use super::marks;

    #[test]
    fn marks_are_round() {
        assert_eq!(marks(0.0, 23.0, false), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(marks(0.3, 150.0, true), [1.0, 10.0, 100.0]);
    }
}
