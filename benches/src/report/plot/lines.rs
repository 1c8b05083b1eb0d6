//! Lines over cases that have an order, along an x axis.

use super::{Area, Drawn, FAINT, INK, PAPER, Panel, font};
use crate::report::table::short;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// The height of a panel, in pixels.
pub const HEIGHT: u32 = 340;

/// The maximum number of cases for which each case gets a point and a name below it.
const FEW: usize = 24;

/// Draws a line for each store.
pub fn draw(area: &Area<'_>, panel: &Panel<'_>, axis: &str) -> Drawn {
    let (range, powers) = panel.reach();
    if powers { on(area, panel, axis, range.log_scale()) } else { on(area, panel, axis, range) }
}

fn on<Y>(area: &Area<'_>, panel: &Panel<'_>, axis: &str, y: Y) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let last = panel.cases.len().saturating_sub(1) as i32;
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(panel.title, font(15))
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d((0..last).into_segmented(), y)?;
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(case) => {
            panel.cases.get(*case as usize).map_or(String::new(), |case| case.to_string())
        }
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(PAPER)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .x_labels(panel.cases.len().min(FEW))
        .x_label_formatter(&name)
        .x_desc(axis)
        .y_labels(6)
        .y_label_formatter(&|figure| short(*figure))
        .label_style(font(12))
        .draw()?;
    for series in &panel.series {
        let points = series.figures.iter().enumerate();
        let points = points.filter_map(|(case, figure)| {
            Some((SegmentValue::CenterOf(case as i32), figure.as_ref()?))
        });
        let medians: Vec<_> = points.clone().map(|(x, figure)| (x, figure.median)).collect();
        let style = series.colour.stroke_width(2);
        chart
            .draw_series([PathElement::new(medians.clone(), style)])?
            .label(series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        if medians.len() <= FEW {
            let least_to_most = |(x, figure): (SegmentValue<i32>, &super::Figure)| {
                PathElement::new([(x.clone(), figure.least), (x, figure.most)], series.colour)
            };
            chart.draw_series(points.map(least_to_most))?;
            chart.draw_series(
                medians.into_iter().map(|point| Circle::new(point, 3, series.colour.filled())),
            )?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(font(12))
        .background_style(PAPER.mix(0.85))
        .border_style(FAINT)
        .draw()?;
    Ok(())
}
