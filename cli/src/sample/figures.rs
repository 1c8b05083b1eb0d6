//! Figures for Prometheus: where every span went.

use super::shared::Shared;
use crate::receive::{Figures, Intake, labels};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use slipring_sampling::{Amount, PolicyCounts};
use std::sync::Arc;

pub fn routes(shared: Arc<Shared>) -> Router<Arc<Intake>> {
    let answer = move |State(intake): State<Arc<Intake>>| async move { figures(&shared, &intake) };
    Router::new().route("/metrics", get(answer))
}

/// One of the figures of a policy.
type Figure = fn(&PolicyCounts) -> u64;

fn figures(shared: &Shared, intake: &Intake) -> Figures {
    let stats = shared.sampler().stats();
    let forwarded = shared.forwarder.stats();
    let mut figures = Figures::default();
    let mut family = |name: &str, kind: &str, help: &str, all: &[(String, u64)]| {
        figures.family(&format!("sample_{name}"), kind, help, all);
    };
    let one = |figure: u64| [(String::new(), figure)];

    family("received_spans_total", "counter", "Spans that were read.", &one(stats.received));
    let rejected = [
        (labels(&[("reason", "no_trace_id")]), stats.rejected_without_trace),
        (labels(&[("reason", "too_large")]), stats.rejected_too_large),
    ];
    family("rejected_spans_total", "counter", "Spans that no trace can have.", &rejected);
    let by_policy = |figure: Figure| -> Vec<(String, u64)> {
        let policies = stats.policies.iter().chain([&stats.removed_policies]);
        policies.map(|policy| (labels(&[("policy", &policy.name)]), figure(policy))).collect()
    };
    let families: [(&str, &str, Figure); 4] = [
        ("kept_traces_total", "Traces that a policy kept.", |policy| policy.kept.traces),
        ("kept_spans_total", "Spans of traces that a policy kept.", |policy| policy.kept.spans),
        ("sampled_out_traces_total", "Traces that a policy matched and rejected.", |policy| {
            policy.sampled_out.traces
        }),
        (
            "sampled_out_spans_total",
            "Spans of traces that a policy matched and rejected.",
            |policy| policy.sampled_out.spans,
        ),
    ];
    for (name, help, figure) in families {
        family(name, "counter", help, &by_policy(figure));
    }
    let Amount { traces, spans } = stats.unmatched;
    family("unmatched_traces_total", "counter", "Traces that no policy matched.", &one(traces));
    family("unmatched_spans_total", "counter", "Spans that no policy matched.", &one(spans));
    let evicted = one(stats.evicted.spans);
    family("evicted_spans_total", "counter", "Spans that left undecided.", &evicted);
    let decisions: Vec<_> = stats
        .decisions
        .iter()
        .map(|(cause, count)| (labels(&[("cause", cause.name())]), *count))
        .collect();
    family("decisions_total", "counter", "Decisions, by their cause.", &decisions);
    let early = one(stats.early());
    family("early_decisions_total", "counter", "Decisions before their time.", &early);
    let late = one(stats.late_kept);
    family("late_kept_spans_total", "counter", "Spans that came after they were kept.", &late);
    let late = one(stats.late_sampled_out);
    let help = "Spans that came after they were sampled out.";
    family("late_sampled_out_spans_total", "counter", help, &late);
    let Amount { traces, spans } = stats.undecided;
    family("undecided_traces", "gauge", "Traces that are not decided yet.", &one(traces));
    family("undecided_spans", "gauge", "Spans that are not decided yet.", &one(spans));
    family("undecided_bytes", "gauge", "Bytes of these.", &one(stats.bytes as u64));
    let help = "Bytes of resources and scopes.";
    family("shared_bytes", "gauge", help, &one(stats.shared_bytes as u64));

    let help = "Spans that the backend took.";
    family("forwarded_spans_total", "counter", help, &one(forwarded.sent));
    let help = "Spans that the backend rejected of requests that it took.";
    family("refused_spans_total", "counter", help, &one(forwarded.refused));
    let lost = [
        (labels(&[("cause", "full")]), forwarded.lost_full),
        (labels(&[("cause", "failed")]), forwarded.lost_failed),
    ];
    family("lost_spans_total", "counter", "Kept spans that were lost, by cause.", &lost);
    let help = "Kept spans that the backend does not have yet.";
    family("waiting_spans", "gauge", help, &one(forwarded.waiting));
    family("waiting_bytes", "gauge", "Bytes of these.", &one(forwarded.waiting_bytes as u64));
    let help = "Requests to the backend that were tried again.";
    family("retries_total", "counter", help, &one(forwarded.retries));
    figures.of_program(intake);
    figures
}
