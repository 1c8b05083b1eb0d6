//! A trace as a waterfall: each span a line with a bar on the trace's time.

use super::asked::{Trace, Whom};
use super::figures::{moment, percent, took};
use super::logs;
use super::screen::{clipped, columns};
use super::{Question, Screen, Table, Tone, toned};
use crate::answer;
use crate::client::Parameters;
use crate::text::{counted, printable, thousands};
use answer::{Code, Note, TraceSpan};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Columns of a line on paper.
const PAPER: usize = 120;

/// Columns of the durations beside a bar, with a space before each.
const DURATIONS: usize = 22;

/// The narrowest bars and the widest names, in columns.
const NARROWEST: usize = 10;
const WIDEST: usize = 60;

/// Spans of the critical path that are listed.
const LISTED: usize = 10;

impl Question for Trace {
    type Answer = answer::Trace<'static>;

    fn whom(&self) -> &Whom {
        &self.whom
    }

    fn path(&self) -> String {
        // An id has no sign that would need escaping. What has some is none, and the server says so.
        let is_plain = |one: &char| one.is_ascii_alphanumeric() || *one == '-';
        let id: String =
            self.id.chars().map(|one| if is_plain(&one) { one } else { '_' }).collect();
        format!("/api/traces/{id}")
    }

    fn parameters(&self) -> Parameters {
        Parameters::new()
    }

    fn show(&self, trace: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        head(trace, out, screen)?;
        Waterfall::of(trace, screen).print(trace, out)?;
        critical_path(trace, out, screen)?;
        if !trace.logs.is_empty() {
            writeln!(out, "\n{}", screen.paint("Logs", Tone::Head))?;
            for log in &trace.logs {
                writeln!(out, "{}", logs::line(log, screen, false))?;
            }
        }
        if !trace.exemplars.is_empty() {
            let number = counted(trace.exemplars.len() as u64, "exemplar");
            let names: std::collections::BTreeSet<_> =
                trace.exemplars.iter().map(|one| &*one.metric.name).collect();
            let names: Vec<_> = names.into_iter().map(printable).collect();
            writeln!(out, "\n{number} of metrics lead here: {}", names.join(", "))?;
        }
        Ok(())
    }
}

fn head(trace: &answer::Trace<'_>, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
    let id = trace.trace_id.0.to_string();
    let Some(summary) = &trace.summary else {
        return writeln!(out, "trace {id}: no span of it is here");
    };
    let root = format!("{} {}", summary.root_service, summary.root_name);
    writeln!(out, "{}", screen.paint(&clipped(&root, screen.width()), Tone::Head))?;
    let failed = match summary.errors {
        0 => String::new(),
        errors => {
            format!(", {}", screen.paint(&format!("{} failed", thousands(errors)), Tone::Bad))
        }
    };
    writeln!(
        out,
        "trace {id}, {}: {}, {} of {}{failed}",
        moment(summary.start_unix_nanos.0),
        took(summary.duration_nanos),
        counted(summary.spans, "span"),
        counted(summary.services.len() as u64, "service"),
    )?;
    if trace.partial {
        let what = "In part: spans of it were evicted.";
        writeln!(out, "{}", screen.paint(what, Tone::Warning))?;
    }
    if trace.duplicates > 0 {
        let spans = counted(trace.duplicates, "span");
        writeln!(out, "{spans} came more than once and stand here once")?;
    }
    writeln!(out)
}

/// The lines' measures.
struct Waterfall {
    screen: Screen,
    /// Columns of the names and of the bars.
    names: usize,
    bars: usize,
    /// When the trace begins, and how long it is, in nanoseconds.
    start: u64,
    length: u64,
    /// Each service's number.
    services: BTreeMap<String, usize>,
}

impl Waterfall {
    fn of(trace: &answer::Trace<'_>, screen: Screen) -> Self {
        let mut services = BTreeMap::new();
        for one in &trace.spans {
            let next = services.len();
            services.entry(service(one).to_owned()).or_insert(next);
        }
        let width = screen.width().unwrap_or(PAPER);
        let room = width.saturating_sub(DURATIONS + 1 + NARROWEST).max(NARROWEST);
        let widest = trace.spans.iter().map(|one| columns(&name(one).concat())).max();
        let names = widest.unwrap_or(0).min(WIDEST).min(room.min(width / 2));
        let summary = trace.summary.as_ref();
        Self {
            screen,
            names,
            bars: width.saturating_sub(names + 1 + DURATIONS).max(NARROWEST),
            start: summary.map_or(0, |summary| summary.start_unix_nanos.0),
            length: summary.map_or(0, |summary| summary.duration_nanos).max(1),
            services,
        }
    }

    fn print(&self, trace: &answer::Trace<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut critical: BTreeMap<usize, Vec<(u64, u64)>> = BTreeMap::new();
        for segment in &trace.critical_path {
            let start = segment.start_unix_nanos.0;
            let times = (start, start.saturating_add(segment.duration_nanos));
            critical.entry(segment.span).or_default().push(times);
        }
        let heading = format!(
            "{:names$} {:bars$} {:>10} {:>10}",
            "span",
            "",
            "took",
            "self",
            names = self.names,
            bars = self.bars,
        );
        writeln!(out, "{}", self.screen.paint(&heading, Tone::Head))?;
        for (place, one) in trace.spans.iter().enumerate() {
            let segments = critical.get(&place).map_or(&[][..], Vec::as_slice);
            writeln!(out, "{}", self.line(one, segments))?;
            for below in below(one) {
                let indent = " ".repeat((one.depth as usize).min(self.names / 2) + 2);
                let text = clipped(&below, self.screen.width().map(|width| width - indent.len()));
                writeln!(out, "{indent}{}", self.screen.paint(&text, Tone::Bad))?;
            }
        }
        Ok(())
    }

    fn line(&self, one: &TraceSpan<'_>, critical: &[(u64, u64)]) -> String {
        // A tree that is deeper than there is room is shown as deep as there is.
        let [indent, of, name] = name(one);
        let indent = clipped(&indent, Some(self.names / 2));
        let room = self.names.saturating_sub(columns(&indent));
        let of = clipped(&of, Some(room));
        let name = clipped(&name, Some(room.saturating_sub(columns(&of)).max(1)));
        let pad = room.saturating_sub(columns(&of) + columns(&name));
        let number = self.services.get(service(one)).copied().unwrap_or(0);
        let has_failed = one.span.status.code == Code::Error;
        let tone = if has_failed { Tone::Bad } else { Tone::Plain };
        let took_self = match one.span.duration_nanos {
            Some(duration) => [took(duration), took(one.self_nanos)],
            None => ["?".to_owned(), String::new()],
        };
        format!(
            "{}{}{}{} {} {:>10} {:>10}",
            self.screen.paint(&indent, Tone::Dim),
            self.screen.paint(&of, Tone::Of(number)),
            self.screen.paint(&name, tone),
            " ".repeat(pad),
            self.screen.paint(
                &self.bar(one, critical),
                if has_failed { Tone::Bad } else { Tone::Of(number) }
            ),
            took_self[0],
            took_self[1],
        )
    }

    /// Draws a span: full where it is on the critical path, light elsewhere.
    fn bar(&self, one: &TraceSpan<'_>, critical: &[(u64, u64)]) -> String {
        let column = |time: u64| {
            let since = u128::from(time.saturating_sub(self.start));
            (since * self.bars as u128 / u128::from(self.length)) as usize
        };
        let start = one.span.start_unix_nanos.0;
        let end = start.saturating_add(one.span.duration_nanos.unwrap_or(0));
        let first = column(start).min(self.bars - 1);
        let last = column(end).clamp(first + 1, self.bars);
        let is_critical = |at: usize| {
            critical.iter().any(|&(start, end)| {
                let (from, to) = (column(start), column(end));
                (from..to.max(from + 1)).contains(&at)
            })
        };
        let sign = |at: usize| match at {
            _ if !(first..last).contains(&at) => ' ',
            _ if one.span.duration_nanos.is_none() => '?',
            _ if is_critical(at) => '█',
            _ => '░',
        };
        (0..self.bars).map(sign).collect()
    }
}

fn service<'t>(one: &'t TraceSpan<'_>) -> &'t str {
    one.span.service.as_deref().unwrap_or("-")
}

/// Returns a span's indent, service and name.
fn name(one: &TraceSpan<'_>) -> [String; 3] {
    let indent = "  ".repeat(one.depth as usize);
    let name = format!(" {}", printable(&one.span.name));
    [indent, printable(service(one)).into_owned(), name]
}

/// Returns what is to be said below a span.
fn below(one: &TraceSpan<'_>) -> Vec<String> {
    let mut below = Vec::new();
    match one.note {
        Some(Note::MissingParent) => below.push("its parent is not here".to_owned()),
        Some(Note::BadTimes) => below.push("its times are unknown or contradict".to_owned()),
        None => {}
    }
    if one.span.status.code == Code::Error {
        let message = match &*one.span.status.message {
            "" => "failed",
            message => message,
        };
        below.push(format!("! {message}"));
    }
    let thrown = one.span.events.iter().filter(|event| event.name == "exception");
    for event in thrown {
        let all = super::value::attributes(&event.attributes);
        let first = all.split("exception.stacktrace=").next().unwrap_or_default();
        below.push(format!("! exception {}", first.trim()));
    }
    below
}

/// Lists the spans that the trace waited for longest.
fn critical_path(trace: &answer::Trace<'_>, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
    let mut times: BTreeMap<usize, u64> = BTreeMap::new();
    for segment in &trace.critical_path {
        *times.entry(segment.span).or_default() += segment.duration_nanos;
    }
    let whole: u64 = times.values().sum();
    let mut times: Vec<_> = times.into_iter().filter(|(_, time)| *time > 0).collect();
    times.sort_by_key(|&(_, time)| std::cmp::Reverse(time));
    if times.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", screen.paint("Critical path (█), the longest parts first", Tone::Head))?;
    let mut table = Table::new(&["#time", "#share", "service", "~span"]);
    for &(place, time) in times.iter().take(LISTED) {
        let Some(one) = trace.spans.get(place) else { continue };
        table.row([
            took(time).into(),
            percent(time, whole).into(),
            service(one).into(),
            toned(&*one.span.name, Tone::Plain),
        ]);
    }
    table.print(out, screen)?;
    if times.len() > LISTED {
        writeln!(out, "and {} of other spans", counted((times.len() - LISTED) as u64, "part"))?;
    }
    Ok(())
}
