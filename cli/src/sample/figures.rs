//! Figures for Prometheus.

use super::Shared;
use std::fmt::Write;

/// Returns where every span went, in Prometheus' text format.
pub fn text(shared: &Shared) -> String {
    let stats = shared.sampler().stats();
    let forwarded = shared.forwarder.stats();
    let mut text = String::new();
    let mut figure = |name: &str, labels: &str, value: u64| {
        let _ = writeln!(text, "slipring_sample_{name}{labels} {value}");
    };
    figure("received_spans_total", "", stats.received);
    figure("rejected_spans_total", "", stats.rejected_without_trace + stats.rejected_too_large);
    for policy in stats.policies.iter().chain([&stats.removed_policies]) {
        // A label's value in quotes, escaped as Prometheus wants it, which is how Rust does it.
        let labels = format!("{{policy={:?}}}", policy.name);
        figure("kept_traces_total", &labels, policy.kept.traces);
        figure("kept_spans_total", &labels, policy.kept.spans);
        figure("sampled_out_traces_total", &labels, policy.sampled_out.traces);
        figure("sampled_out_spans_total", &labels, policy.sampled_out.spans);
    }
    figure("unmatched_traces_total", "", stats.unmatched.traces);
    figure("unmatched_spans_total", "", stats.unmatched.spans);
    figure("evicted_spans_total", "", stats.evicted.spans);
    for (cause, count) in &stats.decisions {
        figure("decisions_total", &format!("{{cause={:?}}}", cause.name()), *count);
    }
    figure("early_decisions_total", "", stats.early());
    figure("late_kept_spans_total", "", stats.late_kept);
    figure("late_sampled_out_spans_total", "", stats.late_sampled_out);
    figure("undecided_traces", "", stats.undecided.traces);
    figure("undecided_spans", "", stats.undecided.spans);
    figure("undecided_bytes", "", stats.bytes as u64);
    figure("shared_bytes", "", stats.shared_bytes as u64);
    figure("forwarded_spans_total", "", forwarded.sent);
    figure("refused_spans_total", "", forwarded.refused);
    figure("lost_spans_total", "{cause=\"full\"}", forwarded.lost_full);
    figure("lost_spans_total", "{cause=\"failed\"}", forwarded.lost_failed);
    figure("waiting_spans", "", forwarded.waiting);
    figure("retries_total", "", forwarded.retries);
    text
}
