//! Figures in Prometheus' text format, and those that every program has that takes requests.

use super::intake::Intake;
use super::process;
use super::refusal::Reason;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::Write;

/// Figures as text, family by family.
#[derive(Default)]
pub struct Figures(String);

/// Returns the labels of a figure. A value may have any characters.
pub fn labels(labels: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", labels.iter().map(one).collect::<Vec<_>>().join(","))
}

impl Figures {
    /// Adds a family: its name without `slipring_`, its kind, its help, and its figures, each
    /// behind its labels.
    pub fn family(&mut self, name: &str, kind: &str, help: &str, figures: &[(String, u64)]) {
        let _ = writeln!(self.0, "# HELP slipring_{name} {help}\n# TYPE slipring_{name} {kind}");
        for (labels, figure) in figures {
            let _ = writeln!(self.0, "slipring_{name}{labels} {figure}");
        }
    }

    /// Adds a family of one figure.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, figure: u64) {
        self.family(name, kind, help, &[(String::new(), figure)]);
    }

    /// Adds what became of requests, the program's version, and the figures of its process.
    pub fn of_program(&mut self, intake: &Intake) {
        let counts = &intake.counts;
        let requests = [
            ("taken", counts.taken()),
            ("refused", counts.refused()),
            ("overloaded", counts.overloaded()),
        ]
        .map(|(outcome, count)| (format!("{{outcome=\"{outcome}\"}}"), count));
        self.family("requests_total", "counter", "OTLP requests, by outcome.", &requests);
        let refused = Reason::ALL.map(|reason| {
            (format!("{{reason=\"{}\"}}", reason.name()), counts.refused_for(reason))
        });
        self.family(
            "refused_requests_total",
            "counter",
            "Requests that were refused, by reason.",
            &refused,
        );
        self.one(
            "requests_rejected_records_total",
            "counter",
            "Records of taken requests that were malformed, too large, or not taken for another reason.",
            counts.rejected_records(),
        );
        let in_flight = intake.in_flight() as u64;
        self.one("requests_in_flight", "gauge", "OTLP requests under way.", in_flight);
        let build = [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1)];
        self.family("build_info", "gauge", "The program, by its version.", &build);
        process::write_metrics(&mut self.0);
    }
}

impl IntoResponse for Figures {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_as_prometheus_reads_them() {
        let told = labels(&[("policy", "a\"b\\c\nd\te"), ("outcome", "kept")]);
        assert_eq!(told, "{policy=\"a\\\"b\\\\c\\nd\te\",outcome=\"kept\"}");
    }
}
