// A trace as a file.

import { text } from "./api.js";
import { h } from "./dom.js";

/** Offers it for download; nothing leaves this machine. */
function save(name, text, kind) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** As OTLP/JSON, an export request a line: first its spans, then its logs. `slipring replay` reads it. */
export async function asOtlp(id) {
  const of = (signal) => text(`api/${signal}`, { trace: id, order: "oldest", limit: "10000", format: "otlp" });
  const [spans, logs] = await Promise.all([of("spans"), of("logs")]);
  const some = [spans, logs].map((line) => line.trim()).filter((line) => /":\[\{/.test(line));
  save(`trace-${id}.jsonl`, `${some.join("\n")}\n`, "application/x-ndjson");
}

/** As a file for Perfetto's viewer and Chrome's: the format is called trace events. A process for each service. */
export function asEvents(tree, id) {
  const services = new Map();
  const events = [];
  tree.spans.forEach((span, at) => {
    const { depth } = span;
    const name = span.service ?? "no service";
    if (!services.has(name)) {
      services.set(name, services.size + 1);
      events.push({ ph: "M", name: "process_name", pid: services.size, args: { name } });
    }
    const pid = services.get(name);
    const ts = tree.starts[at] / 1e3;
    events.push({ ph: "X", name: span.name, cat: span.kind, pid, tid: depth + 1, ts, dur: tree.lengths[at] / 1e3,
      args: { span_id: span.span_id, status: span.status.code, ...span.attributes } });
    for (const event of span.events) {
      events.push({ ph: "i", s: "t", name: event.name, pid, tid: depth + 1, ts: Number(BigInt(event.time_unix_nanos) - tree.began) / 1e3, args: event.attributes });
    }
  });
  save(`trace-${id}.json`, JSON.stringify({ displayTimeUnit: "ns", otherData: { trace_id: id, began_unix_nanos: String(tree.began) }, traceEvents: events }), "application/json");
}
