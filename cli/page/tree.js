// A trace's spans as rows: what stands under what, what is collapsed, what a search finds.

import { display } from "./text.js";

const UNITS = { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, m: 60e9, min: 60e9 };

export class Tree {
  constructor({ spans, summary, critical_path: path, logs, exemplars }) {
    const began = BigInt(summary?.start_unix_nanos ?? 0);
    this.spans = spans;
    this.began = began;
    this.total = Math.max(Number(summary?.duration_nanos ?? 0), 1);
    /** From the trace's beginning on, in nanoseconds. */
    this.starts = new Float64Array(spans.length);
    this.lengths = new Float64Array(spans.length);
    /** For each, the place after its last descendant. */
    this.ends = new Int32Array(spans.length);
    this.collapsed = new Uint8Array(spans.length);
    this.fits = new Uint8Array(spans.length);
    this.segments = spans.map(() => null);
    this.logs = new Map();
    this.exemplars = new Map();
    this.wanted = "";
    this.onlyFits = false;

    spans.forEach((span, at) => {
      const start = BigInt(span.start_unix_nanos), end = BigInt(span.end_unix_nanos);
      const from = start > 0n ? start : end;
      this.starts[at] = from > 0n ? Number(from - began) : 0;
      this.lengths[at] = end > from ? Number(end - from) : 0;
    });
    for (let at = spans.length - 1; at >= 0; at--) {
      this.ends[at] = Math.max(this.ends[at], at + 1);
      const parent = spans[at].parent;
      if (parent !== null) this.ends[parent] = Math.max(this.ends[parent], this.ends[at]);
    }
    for (const { span, start_unix_nanos: start, duration_nanos: length } of path) {
      const from = Number(BigInt(start) - began);
      (this.segments[span] ??= []).push([from, from + length]);
    }
    // A path is told from its end or its beginning; rows want it in order.
    for (const segments of this.segments) segments?.sort((one, other) => one[0] - other[0]);
    const byId = new Map(spans.map((span, at) => [span.span_id, at]));
    this.byId = byId;
    const add = (map, id, what) => {
      const at = byId.get(id);
      if (at === undefined) return false;
      map.set(at, [...(map.get(at) ?? []), what]);
      return true;
    };
    this.otherLogs = logs.filter((log) => !add(this.logs, log.span_id, log));
    this.otherExemplars = exemplars.filter((one) => !add(this.exemplars, one.span_id, one));
  }

  isError(at) {
    return this.spans[at].status.code === "error";
  }

  hasChildren(at) {
    return this.ends[at] > at + 1;
  }

  /** The places of the rows to be shown. */
  rows() {
    const rows = [];
    const kept = this.onlyFits && this.wanted ? this.#withAncestors() : null;
    for (let at = 0; at < this.spans.length; at++) {
      if (kept && !kept[at]) continue;
      rows.push(at);
      if (this.collapsed[at] && !kept) at = this.ends[at] - 1;
    }
    return rows;
  }

  #withAncestors() {
    const kept = Uint8Array.from(this.fits);
    for (let at = kept.length - 1; at >= 0; at--) {
      const parent = this.spans[at].parent;
      if (kept[at] && parent !== null) kept[parent] = 1;
    }
    return kept;
  }

  collapseAll(isCollapsed) {
    for (let at = 0; at < this.spans.length; at++) this.collapsed[at] = isCollapsed && this.hasChildren(at) ? 1 : 0;
  }

  /** Opens all that a row stands in. */
  reveal(at) {
    for (let above = this.spans[at].parent; above !== null; above = this.spans[above].parent) this.collapsed[above] = 0;
  }

  /** Looks for a text in names, services, ids, attributes and messages; `>10ms` and `>5%` look for what took longer. How many fit. */
  search(text) {
    this.wanted = text.trim();
    const longer = /^>\s*([\d.]+)\s*(ns|us|µs|ms|s|m|min|%)$/.exec(this.wanted);
    const least = longer && Number(longer[1]) * (longer[2] === "%" ? this.total / 100 : UNITS[longer[2]]);
    const low = this.wanted.toLowerCase();
    let all = 0;
    for (let at = 0; at < this.spans.length; at++) {
      const does = low !== "" && (longer ? this.lengths[at] > least : holds(this.spans[at], low) || this.logs.get(at)?.some((log) => display(log.body).toLowerCase().includes(low)));
      this.fits[at] = does ? 1 : 0;
      all += this.fits[at];
    }
    return all;
  }

  /** The next place from one on, in a direction, that a search found, or without one that failed; `null` if there is none. */
  next(from, step) {
    const does = this.wanted ? (at) => this.fits[at] : (at) => this.isError(at);
    const all = this.spans.length;
    for (let passed = 1; passed <= all; passed++) {
      const at = (((from + step * passed) % all) + all) % all;
      if (does(at)) return at;
    }
    return null;
  }
}

function holds(span, low) {
  const has = (value) => String(value ?? "").toLowerCase().includes(low);
  const among = (attributes) => Object.entries(attributes).some(([name, value]) => has(`${name}=${display(value)}`));
  return has(span.name) || has(span.span_id) || has(span.service) || has(span.status.message) || has(span.kind)
    || among(span.attributes) || span.events.some((event) => has(event.name) || among(event.attributes));
}
