//! Records as they come in, in a line each.

use super::asked::{Signal, Tail};
use super::figures::{moment, took_or_unknown};
use super::screen::clipped;
use super::series::measured;
use super::value::attributes;
use super::{Screen, Tone, client, logs, runtime};
use crate::answer::{Log, Point, Span};
use crate::client::Event;
use crate::text::json_printable;
use crate::{End, Fallible};
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

pub fn run(question: &Tail) -> Fallible<End> {
    if !question.whom.file.is_empty() {
        return Err("a tail shows what comes in, and nothing comes into a file; ask a server, \
                    or list records with `slipring logs --file FILE`"
            .into());
    }
    let (client, _) = client(&question.whom)?;
    let path = format!("/api/tail/{}", question.signal.name());
    let parameters = question.conditions.with([("min_severity", question.severity.clone())]);
    let (screen, out) = (Screen::of_stdout(), &mut io::stdout().lock());
    let is_terminal = io::stdout().is_terminal();
    runtime()?.block_on(async {
        let mut events = client.events(&path, &parameters).await?;
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                _ = tokio::signal::ctrl_c() => return Ok(End::Well),
            };
            let Some(event) = event else {
                eprintln!("the server has stopped");
                return Ok(End::Well);
            };
            let line = match (question.whom.json, &*event.name) {
                (_, "missed") => {
                    eprintln!("{} records were evicted before they were shown", event.data);
                    continue;
                }
                (true, _) if is_terminal => json_printable(&event.data),
                (true, _) => Cow::Borrowed(&*event.data),
                (false, _) => line(question.signal, &event, screen)?.into(),
            };
            // Each at once: somebody is watching.
            writeln!(out, "{line}").and_then(|()| out.flush())?;
        }
    })
}

fn line(signal: Signal, event: &Event, screen: Screen) -> Fallible<String> {
    Ok(match signal {
        Signal::Logs => logs::line(&serde_json::from_str::<Log<'_>>(&event.data)?, screen, true),
        Signal::Spans => span(&serde_json::from_str::<Span<'_>>(&event.data)?, screen),
        Signal::Metrics => point(&serde_json::from_str::<Point<'_>>(&event.data)?, screen),
    })
}

fn span(span: &Span<'_>, screen: Screen) -> String {
    let has_failed = span.status.code == crate::answer::Code::Error;
    let status = if has_failed { ("ERROR", Tone::Bad) } else { ("     ", Tone::Plain) };
    let service = clipped(span.service.as_deref().unwrap_or("-"), Some(24));
    let (message, name) = (clipped(&span.status.message, None), clipped(&span.name, None));
    [
        screen.paint(&moment(span.start_unix_nanos.0), Tone::Dim),
        format!("{:>9}", took_or_unknown(span.duration_nanos)).into(),
        screen.paint(status.0, status.1),
        screen.paint(&service, Tone::Of(service.len())),
        name.into(),
        screen.paint(&message, Tone::Bad),
        screen.paint(&format!("trace={}", span.trace_id.0), Tone::Dim),
    ]
    .iter()
    .filter(|part| !part.is_empty())
    .map(|part| part.as_ref())
    .collect::<Vec<_>>()
    .join(" ")
}

fn point(point: &Point<'_>, screen: Screen) -> String {
    let service = clipped(point.service.as_deref().unwrap_or("-"), Some(24));
    let [name, unit] = [&point.name, &point.unit].map(|text| clipped(text, None));
    let attributes = clipped(&attributes(&point.attributes), None);
    [
        screen.paint(&moment(point.measured.time_unix_nanos.0), Tone::Dim),
        screen.paint(&service, Tone::Of(service.len())),
        name.into(),
        screen.paint(&format!("{} {unit}", measured(&point.measured)), Tone::Head),
        screen.paint(&attributes, Tone::Dim),
    ]
    .join(" ")
    .trim_end()
    .to_owned()
}
