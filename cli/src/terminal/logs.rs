//! Log records, in a line each.

use super::asked::{Logs, Whom, by_default};
use super::figures::moment;
use super::screen::{clipped, columns};
use super::traces::reported;
use super::value::{any, attributes};
use super::{Question, Screen, Tone};
use crate::answer::Log;
use crate::client::Parameters;
use std::io::{self, Write};

/// Records that are listed unless told otherwise.
const LIMIT: u32 = 50;

/// From these severity numbers on, records warn and are errors.
const WARN: i32 = 13;
const ERROR: i32 = 17;

impl Question for Logs {
    type Answer = crate::answer::Logs<'static>;

    fn whom(&self) -> &Whom {
        &self.whom
    }

    fn path(&self) -> String {
        "/api/logs".to_owned()
    }

    fn parameters(&self) -> Parameters {
        let mut all = self.conditions.with([
            ("min_severity", self.severity.clone()),
            ("body", self.body.clone()),
            ("trace", self.trace.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ]);
        by_default(&mut all, "limit", LIMIT);
        all
    }

    fn show(&self, answer: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        // As they came, so that the newest is above the prompt, unless another order was asked for.
        let has_order = self.parameters().iter().any(|(name, _)| name == "order");
        let logs: Vec<_> = match has_order {
            true => answer.logs.iter().collect(),
            false => answer.logs.iter().rev().collect(),
        };
        for log in &logs {
            writeln!(out, "{}", line(log, screen, true))?;
        }
        if logs.is_empty() {
            writeln!(out, "no log record fits")?;
        }
        if answer.next.is_some() {
            writeln!(out, "there are more; give --limit")?;
        }
        reported(&answer.report, out)
    }
}

/// Writes a record on a line, with its trace if `names_trace`. Where the line is too short, its
/// attributes and then its body are cut.
pub fn line(log: &Log<'_>, screen: Screen, names_trace: bool) -> String {
    let time = match log.time_unix_nanos.0 {
        0 => log.observed_unix_nanos.0,
        time => time,
    };
    let severity = log.severity.as_deref().unwrap_or("-").to_uppercase();
    let tone = match log.severity_number {
        ERROR.. => Tone::Bad,
        WARN.. => Tone::Warning,
        _ => Tone::Dim,
    };
    let service = clipped(log.service.as_deref().unwrap_or("-"), Some(24));
    let body = log.body.as_ref().map(any).filter(|body| !body.is_empty());
    let body = body.unwrap_or_else(|| log.event_name.clone().into_owned());
    let mut more = attributes(&log.attributes);
    if let Some(trace) = log.trace_id.as_ref().filter(|_| names_trace) {
        more = format!("trace={} {more}", trace.0);
    }
    let head = [
        (moment(time), Tone::Dim),
        (format!("{:5}", clipped(&severity, Some(6))), tone),
        (service, Tone::Of(log.service.as_deref().unwrap_or_default().len())),
    ];
    let taken: usize = head.iter().map(|(text, _)| columns(text) + 1).sum();
    let room = screen.width().map(|width| width.saturating_sub(taken).max(8));
    let body = clipped(&body, room);
    let room = room.map(|room| room.saturating_sub(columns(&body) + 1));
    let mut line: Vec<_> = head.iter().map(|(text, tone)| screen.paint(text, *tone)).collect();
    line.push(body.into());
    let more = clipped(more.trim(), room);
    if room.is_none_or(|room| room > 8) {
        line.push(screen.paint(&more, Tone::Dim));
    }
    line.join(" ").trim_end().to_owned()
}
