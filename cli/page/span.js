// One span's details, beside the waterfall.

import { button, copy, h, put } from "./dom.js";
import { clock, counted, duration, percent, utc } from "./numbers.js";
import { attributes, origin, raw, section } from "./record.js";
import { to } from "./route.js";
import { display, level } from "./text.js";

/** Puts a span's details into an element. */
export function detail(element, tree, at) {
  const span = tree.spans[at];
  const { self_nanos: self, parent } = span;
  const service = span.service ?? "";
  const fact = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  const length = tree.lengths[at];
  const logs = tree.logs.get(at) ?? [];
  const exemplars = tree.exemplars.get(at) ?? [];
  const isWhole = BigInt(span.end_unix_nanos) >= BigInt(span.start_unix_nanos) && span.start_unix_nanos !== "0";
  put(element,
    h("h2", { tabindex: "-1" }, span.name || "no name"),
    span.note === "missing_parent" && h("p", { class: "warning" }, `Its parent ${span.parent_span_id} is not here: it was evicted, was never sent, or has not ended yet.`),
    !isWhole && h("p", { class: "warning" }, "Its times are not in order; it is shown as far as they are."),
    h("dl", { class: "facts" },
      fact("Service", h("a", { href: to("traces", { service }) }, service || "none")),
      fact("Kind", span.kind),
      fact("Status", h("span", { class: span.status.code === "error" ? "error" : "" }, span.status.code), span.status.message && `: ${span.status.message}`),
      fact("Took", `${duration(length)}, ${percent(length, tree.total)} of the trace`),
      fact("Self", `${duration(self)}: no child of it was at work`),
      fact("Began", h("time", { title: utc(span.start_unix_nanos) }, clock(span.start_unix_nanos, 9)), `, ${duration(tree.starts[at])} after the trace`),
      fact("Span id", h("code", null, span.span_id), " ", button("copy", () => copy(span.span_id, "The id"), { class: "link" })),
      span.parent_span_id && fact("Parent", h("code", null, span.parent_span_id), parent === null ? " (not here)" : ""),
      span.trace_state && fact("Trace state", span.trace_state)),
    section(`Attributes (${Object.keys(span.attributes).length})`, true, attributes(span.attributes, "record", "traces"), dropped(span.dropped_attributes_count, "attribute")),
    (span.events.length > 0 || span.dropped_events_count > 0) && section(`Events (${span.events.length})`, true,
      span.events.slice(0, 500).map((event) => h("div", { class: "event" },
        h("p", null, h("strong", null, event.name || "no name"), " ", h("time", { title: utc(event.time_unix_nanos) }, `+${duration(BigInt(event.time_unix_nanos) - tree.began)}`)),
        attributes(event.attributes, "event", "traces"))),
      span.events.length > 500 && h("p", { class: "none" }, "The others are in the JSON below."), dropped(span.dropped_events_count, "event")),
    (span.links.length > 0 || span.dropped_links_count > 0) && section(`Links (${span.links.length})`, true,
      span.links.slice(0, 500).map((link) => h("div", { class: "event" },
        h("p", null, h("a", { href: to(["trace", link.trace_id], { span: link.span_id }) }, h("code", null, link.trace_id)), " span ", h("code", null, link.span_id)),
        attributes(link.attributes, "link", "traces"))), dropped(span.dropped_links_count, "link")),
    logs.length > 0 && section(`Logs (${logs.length})`, true, logs.slice(0, 500).map((log) => logLine(log, tree))),
    exemplars.length > 0 && section(`Measured here (${exemplars.length})`, true, exemplars.map(measuredHere)),
    origin(span, "traces"),
    raw(span, "The span"));
}

const dropped = (number, what) => (number ?? 0) > 0 && h("p", { class: "warning" }, `${counted(number, what)} more dropped by the sender`);

/** A log record of a trace in a line. */
export function logLine(log, tree) {
  const time = log.time_unix_nanos === "0" ? log.observed_unix_nanos : log.time_unix_nanos;
  return h("p", { class: `log ${level(log.severity_number)}` },
    h("time", { title: utc(time) }, tree ? `+${duration(BigInt(time) - tree.began)}` : clock(time)), " ",
    h("span", { class: "severity" }, (log.severity ?? "unset").toUpperCase()), " ", h("span", { class: "body" }, display(log.body)));
}

/** A measurement that points at a span. */
export function measuredHere({ name, unit, value, time_unix_nanos: time }) {
  return h("p", null, h("a", { href: to("metrics", { name }) }, name), ` ${display(value)} ${unit} `, h("time", { title: utc(time) }, clock(time)));
}
