//! The table of routes.

use super::export::{OF_EXPORT, export};
use super::group::{OF_GROUPS, group};
use super::records::{OF_COUNTS, OF_RECORDS, count, records};
use super::series::{OF_SERIES, series};
use super::store::{audit, keys, moment, server, services, stats};
use super::traces::{OF_TRACES, graph, trace, traces};
use crate::answer::{self, Show};
use crate::serve::app::App;
use crate::serve::ask::{Asking, COMMON, KEPT};
use crate::serve::tail::tail;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use slipring::{Index, Indexes as _, LogRecord, MetricPoint, Span, Telemetry};
use std::sync::Arc;
use tokio::sync::watch;

/// A question is asked in its URL, or in a body.
const ASKED: MethodFilter = MethodFilter::GET.or(MethodFilter::POST);

/// A question that can be asked.
pub struct Route {
    pub path: &'static str,
    /// What it answers, in a line.
    pub what: &'static str,
    /// The parameters that it takes, by name.
    pub takes: Vec<&'static str>,
    pub told: Told,
    pub handler: MethodRouter<Arc<App>>,
}

/// The form of an answer.
pub enum Told {
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// JSON whose members depend on what is kept.
    Object,
    /// HTML.
    Page,
    /// A file.
    File,
    /// Server-sent events, each with JSON of this schema.
    Events(fn(&mut SchemaGenerator) -> Schema),
}

impl Route {
    pub fn is_tail(&self) -> bool {
        matches!(self.told, Told::Events(_))
    }

    /// Returns whether parameters may also stand in a body.
    pub fn takes_body(&self) -> bool {
        !self.is_tail() && !self.takes.is_empty()
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Returns the conditions on records of a signal.
fn conditions<T: Asking>() -> Vec<&'static str> {
    let indexes = T::INDEXES;
    let names = indexes.as_slice().iter().map(Index::name);
    names.chain(COMMON.iter().chain(T::OWN).copied()).collect()
}

/// Returns these conditions and more parameters.
fn and<T: Asking>(more: &[&'static str]) -> Vec<&'static str> {
    [&conditions::<T>()[..], more].concat()
}

/// Returns all routes. `stopped` tells tails to end.
pub fn table(stopped: watch::Receiver<bool>) -> Vec<Route> {
    let json = |path, what, takes, schema, handler| Route {
        path,
        what,
        takes,
        told: Told::Json(schema),
        handler,
    };
    let object =
        |path, what, handler| Route { path, what, takes: Vec::new(), told: Told::Object, handler };
    let tail_of = |path, what, takes, schema, handler| Route {
        path,
        what,
        takes,
        told: Told::Events(schema),
        handler,
    };
    let (of_spans, of_logs, of_metrics) = (stopped.clone(), stopped.clone(), stopped);
    vec![
        object("/api", "What there is to ask, in short", get(super::all)),
        object("/api/openapi.json", "This API as an OpenAPI document", get(super::document)),
        Route {
            path: "/api/reference",
            what: "This API explained for people, as a page",
            takes: Vec::new(),
            told: Told::Page,
            handler: get(super::reference),
        },
        json(
            "/api/spans",
            "Spans",
            and::<Span>(&OF_RECORDS),
            schema::<answer::Spans<'_>>,
            on(ASKED, |app, asked| records::<Span>(app, asked, Telemetry::traces)),
        ),
        json(
            "/api/logs",
            "Log records",
            and::<LogRecord>(&OF_RECORDS),
            schema::<answer::Logs<'_>>,
            on(ASKED, |app, asked| records::<LogRecord>(app, asked, Telemetry::logs)),
        ),
        json(
            "/api/metrics",
            "Metric points",
            and::<MetricPoint>(&OF_RECORDS),
            schema::<answer::Points<'_>>,
            on(ASKED, |app, asked| records::<MetricPoint>(app, asked, Telemetry::metrics)),
        ),
        json(
            "/api/count/spans",
            "How many spans there are",
            and::<Span>(&OF_COUNTS),
            schema::<answer::Count>,
            on(ASKED, |app, asked| count::<Span>(app, asked, Telemetry::traces)),
        ),
        json(
            "/api/count/logs",
            "How many log records there are",
            and::<LogRecord>(&OF_COUNTS),
            schema::<answer::Count>,
            on(ASKED, |app, asked| count::<LogRecord>(app, asked, Telemetry::logs)),
        ),
        json(
            "/api/count/metrics",
            "How many metric points there are",
            and::<MetricPoint>(&OF_COUNTS),
            schema::<answer::Count>,
            on(ASKED, |app, asked| count::<MetricPoint>(app, asked, Telemetry::metrics)),
        ),
        json(
            "/api/group/spans",
            "How many spans, how many of them failed and how long they took, by what they have in common",
            and::<Span>(&OF_GROUPS),
            schema::<answer::Groups<'_>>,
            on(ASKED, |app, asked| group::<Span>(app, asked, Telemetry::traces)),
        ),
        json(
            "/api/group/logs",
            "How many log records, and how many of them are errors, by what they have in common",
            and::<LogRecord>(&OF_GROUPS),
            schema::<answer::Groups<'_>>,
            on(ASKED, |app, asked| group::<LogRecord>(app, asked, Telemetry::logs)),
        ),
        json(
            "/api/group/metrics",
            "How many metric points, and their values, by what they have in common",
            and::<MetricPoint>(&OF_GROUPS),
            schema::<answer::Groups<'_>>,
            on(ASKED, |app, asked| group::<MetricPoint>(app, asked, Telemetry::metrics)),
        ),
        json(
            "/api/traces",
            "Traces in a line each, by conditions on their spans",
            and::<Span>(&[&OF_TRACES[..], &["order", "limit"]].concat()),
            schema::<answer::TraceList<'_>>,
            on(ASKED, traces),
        ),
        json(
            "/api/traces/{id}",
            "A trace assembled, with its critical path, its logs, and measurements that point at it; the id in either case, with or without dashes and leading zeros",
            vec!["history"],
            schema::<answer::Trace<'_>>,
            on(ASKED, trace),
        ),
        json(
            "/api/graph",
            "Who calls whom, by conditions on spans; what has no spans of its own, such as a database, is a virtual node",
            and::<Span>(&[KEPT]),
            schema::<answer::Graph<'_>>,
            on(ASKED, graph),
        ),
        json(
            "/api/series",
            "Series of metrics, by conditions on their points",
            and::<MetricPoint>(&OF_SERIES),
            schema::<answer::SeriesList<'_>>,
            on(ASKED, series),
        ),
        json(
            "/api/services",
            "All services, with their numbers of spans, log records and metric points",
            Vec::new(),
            schema::<answer::Services<'_>>,
            get(services),
        ),
        json(
            "/api/keys/{signal}/{index}",
            "The keys of an index of spans, logs or metrics, with counts",
            Vec::new(),
            schema::<answer::Keys<'_>>,
            get(keys),
        ),
        json(
            "/api/moment",
            "Names this moment, for the parameter moment: what arrived after it",
            Vec::new(),
            schema::<answer::Moment>,
            get(moment),
        ),
        object(
            "/api/stats",
            "What the stores keep, hold, have evicted and rejected, and their bytes; with serve --keep, what is kept of traces",
            get(stats),
        ),
        json(
            "/api/server",
            "The program's version, where it takes OTLP, and what became of the requests that it got",
            Vec::new(),
            schema::<answer::Server<'_>>,
            get(server),
        ),
        object(
            "/api/audit",
            "Checks every index and slot against the records; while it runs, records come in more slowly",
            get(audit),
        ),
        Route {
            path: "/api/export",
            what: "Everything that is held, or one signal, as a file that slipring open, replay and serve --load read",
            takes: OF_EXPORT.to_vec(),
            told: Told::File,
            handler: on(ASKED, export),
        },
        tail_of(
            "/api/tail/spans",
            "Spans that come in from now on, an event each",
            conditions::<Span>(),
            schema::<<Span as Show>::One<'_>>,
            get(|app, given| tail::<Span>(app, given, Telemetry::traces, of_spans)),
        ),
        tail_of(
            "/api/tail/logs",
            "Log records that come in from now on, an event each",
            conditions::<LogRecord>(),
            schema::<<LogRecord as Show>::One<'_>>,
            get(|app, given| tail::<LogRecord>(app, given, Telemetry::logs, of_logs)),
        ),
        tail_of(
            "/api/tail/metrics",
            "Metric points that come in from now on, an event each",
            conditions::<MetricPoint>(),
            schema::<<MetricPoint as Show>::One<'_>>,
            get(|app, given| tail::<MetricPoint>(app, given, Telemetry::metrics, of_metrics)),
        ),
    ]
}
