//! Series of metrics, in a line each.

use super::asked::{Metrics, Whom, by_default};
use super::figures::number;
use super::value::attributes;
use super::{Question, Screen, Table, Tone, toned};
use crate::answer::{Measured, Number, SeriesList};
use crate::client::Parameters;
use crate::text::thousands;
use std::io::{self, Write};

/// Series that are listed unless told otherwise.
const LIMIT: u32 = 50;

impl Question for Metrics {
    type Answer = SeriesList<'static>;

    fn whom(&self) -> &Whom {
        &self.whom
    }

    fn path(&self) -> String {
        "/api/series".to_owned()
    }

    fn parameters(&self) -> Parameters {
        let limit = self.limit.map(|limit| limit.to_string());
        let mut all = self.conditions.with([("name", self.name.clone()), ("limit", limit)]);
        by_default(&mut all, "limit", LIMIT);
        by_default(&mut all, "points", 1);
        all
    }

    fn show(&self, answer: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let mut table = Table::new(&[
            "~metric",
            "unit",
            "service",
            "#latest",
            "#per second",
            "#p50",
            "#p99",
            "~attributes",
        ]);
        let told = |figure: Option<Number>| {
            figure.map_or_else(String::new, |figure| number(figure.as_f64()))
        };
        for series in &answer.series {
            table.row([
                (&*series.metric.name).into(),
                toned(&*series.metric.unit, Tone::Dim),
                series.service.as_deref().unwrap_or_default().into(),
                series.points.last().map_or_else(String::new, measured).into(),
                told(series.rate_per_second).into(),
                told(series.median).into(),
                told(series.p99).into(),
                toned(attributes(&series.attributes), Tone::Dim),
            ]);
        }
        if table.is_empty() {
            return writeln!(out, "no series fits");
        }
        table.print(out, screen)?;
        if answer.left_out > 0 {
            let others = thousands(answer.left_out as u64);
            writeln!(out, "\n{others} other series; give --limit")?;
        }
        Ok(())
    }
}

/// Writes a point: its value, or the number of its measurements and their sum.
pub fn measured(point: &Measured<'_>) -> String {
    match (point.value, point.count, point.sum) {
        (Some(value), ..) => number(value.as_f64()),
        (None, Some(count), Some(sum)) => {
            format!("n={} sum={}", number(count.as_f64()), number(sum.as_f64()))
        }
        (None, Some(count), None) => format!("n={}", number(count.as_f64())),
        (None, None, _) => "no value".to_owned(),
    }
}
