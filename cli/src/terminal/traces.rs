//! Traces and services, in a line each.

use super::asked::{Services, Traces, Whom, by_default};
use super::figures::{moment, took};
use super::{Question, Screen, Table, Tone, toned};
use crate::answer::{Report, TraceList};
use crate::client::Parameters;
use crate::text::thousands;
use std::io::{self, Write};

/// Traces that are listed unless told otherwise.
const LIMIT: u32 = 20;

impl Question for Traces {
    type Answer = TraceList<'static>;

    fn whom(&self) -> &Whom {
        &self.whom
    }

    fn path(&self) -> String {
        "/api/traces".to_owned()
    }

    fn parameters(&self) -> Parameters {
        let mut all = self.conditions.with([
            ("name", self.name.clone()),
            ("status", self.failing.then(|| "error".to_owned())),
            ("order", self.slowest.then(|| "slowest".to_owned())),
            ("at_least", self.at_least.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ]);
        by_default(&mut all, "limit", LIMIT);
        all
    }

    fn show(&self, answer: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let headings = ["start", "#took", "#spans", "#failed", "service", "~operation", "trace"];
        let mut table = Table::new(&headings);
        for trace in &answer.traces {
            let failed = match trace.errors {
                0 => toned("0", Tone::Dim),
                errors => toned(thousands(errors), Tone::Bad),
            };
            let id = trace.trace_id.0.to_string();
            table.row([
                toned(moment(trace.start_unix_nanos.0), Tone::Dim),
                took(trace.duration_nanos).into(),
                thousands(trace.spans).into(),
                failed,
                (&*trace.root_service).into(),
                (&*trace.root_name).into(),
                if trace.partial {
                    toned(format!("{id} (in part)"), Tone::Warning)
                } else {
                    id.into()
                },
            ]);
        }
        if table.is_empty() {
            writeln!(out, "no trace fits")?;
        } else {
            table.print(out, screen)?;
        }
        if answer.more {
            writeln!(out, "\nthere are more; give --limit")?;
        }
        reported(&answer.report, out)
    }
}

/// Says what an answer lacks.
pub fn reported(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    if report.cut {
        writeln!(
            out,
            "records were evicted while this was looked up, some of these may be missing"
        )?;
    } else if report.partial {
        writeln!(out, "some records that fit were evicted before")?;
    }
    Ok(())
}

impl Question for Services {
    type Answer = crate::answer::Services<'static>;

    fn whom(&self) -> &Whom {
        &self.whom
    }

    fn path(&self) -> String {
        "/api/services".to_owned()
    }

    fn parameters(&self) -> Parameters {
        Parameters::new()
    }

    fn show(&self, answer: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let mut table = Table::new(&["~service", "#spans", "#log records", "#metric points"]);
        for one in &answer.services {
            let counts = [one.spans, one.logs, one.metrics].map(|count| match count {
                0 => toned("0", Tone::Dim),
                count => thousands(count).into(),
            });
            table.row([(&*one.service).into()].into_iter().chain(counts));
        }
        if table.is_empty() {
            return writeln!(out, "nothing is here yet");
        }
        table.print(out, screen)
    }
}
