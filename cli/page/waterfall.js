// The spans of a trace over time. Only the rows that can be seen are in the document, however many there are.

import { h, put } from "./dom.js";
import { count, duration } from "./numbers.js";
import { hue, short } from "./text.js";

const ROW = 24;
const MORE = 8;
const DEEPEST = 24;

export class Waterfall {
  /** `choose(place)` is told which span is chosen; `enter()` that somebody wants to see more of it; `zoomed(range)` what is seen. */
  constructor(tree, { choose, enter, zoomed }) {
    this.tree = tree;
    this.tell = { choose, enter, zoomed };
    this.range = [0, tree.total];
    this.chosen = 0;
    this.showsPath = true;
    this.inner = h("div", { class: "rows" });
    this.ruler = h("div", { class: "ruler", "aria-hidden": "true" });
    this.element = h("div", {
      class: "waterfall", tabindex: "0", role: "tree", "aria-label": "Spans",
      on: { scroll: () => this.#later(), keydown: (event) => this.#key(event), click: (event) => this.#click(event) },
    }, this.inner);
    this.watcher = new ResizeObserver(() => this.#later());
    this.watcher.observe(this.element);
    this.refresh();
  }

  close() {
    this.watcher.disconnect();
  }

  /** After what is collapsed, searched or zoomed has changed. */
  refresh() {
    this.rows = this.tree.rows();
    this.inner.style.height = `${this.rows.length * ROW}px`;
    this.#draw();
  }

  zoom(from, to) {
    const least = Math.max(this.tree.total / 1e6, 1);
    const width = Math.min(Math.max(to - from, least), this.tree.total);
    const start = Math.min(Math.max(from, 0), this.tree.total - width);
    this.range = [start, start + width];
    this.tell.zoomed(this.range);
    this.#draw();
  }

  /** Chooses a span, opens what it stands in, and brings it into view. */
  choose(at, isQuiet = false) {
    if (this.rows.indexOf(at) < 0) {
      this.tree.reveal(at);
      this.rows = this.tree.rows();
      this.inner.style.height = `${this.rows.length * ROW}px`;
    }
    this.chosen = at;
    const top = Math.max(this.rows.indexOf(at), 0) * ROW;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.element.scrollTop = top + ROW - clientHeight;
    this.#draw();
    if (!isQuiet) this.tell.choose(at);
  }

  toggle(at, isCollapsed = !this.tree.collapsed[at]) {
    if (!this.tree.hasChildren(at)) return;
    this.tree.collapsed[at] = isCollapsed ? 1 : 0;
    this.refresh();
  }

  #later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  #draw() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(Math.floor(scrollTop / ROW) - MORE, 0);
    const last = Math.min(Math.ceil((scrollTop + (clientHeight || 600)) / ROW) + MORE, this.rows.length);
    const drawn = [];
    for (let row = first; row < last; row++) drawn.push(this.#row(row));
    put(this.inner, drawn);
    this.element.setAttribute("aria-activedescendant", `span-${this.chosen}`);
    put(this.ruler, [0, 0.25, 0.5, 0.75, 1].map((part) =>
      h("span", null, duration(this.range[0] + part * (this.range[1] - this.range[0])))));
  }

  #row(row) {
    const { tree } = this;
    const at = this.rows[row];
    const span = tree.spans[at];
    const { depth, self_nanos: self } = span;
    const service = span.service ?? "";
    const opens = tree.hasChildren(at);
    const isCollapsed = opens && tree.collapsed[at] === 1;
    const isError = tree.isError(at);
    const logs = tree.logs.get(at)?.length;
    const marks = [
      isError && h("span", { class: "mark error", title: span.status.message || "failed" }, "✖"),
      span.note === "missing_parent" && h("span", { class: "tag warning", title: "Its parent is not here: evicted, not sent, or still under way" }, "orphan"),
      logs && h("span", { class: "tag", title: `${logs} log records` }, `${logs}≡`),
      span.links.length > 0 && h("span", { class: "tag", title: `${span.links.length} links` }, `${span.links.length}⇢`),
    ];
    return h("div", {
      class: `row${at === this.chosen ? " chosen" : ""}${tree.fits[at] ? " fits" : ""}`, id: `span-${at}`, role: "treeitem", "data-at": at,
      "aria-level": depth + 1, "aria-expanded": opens ? String(!isCollapsed) : null, "aria-selected": String(at === this.chosen),
      css: { top: `${row * ROW}px`, "--depth": Math.min(depth, DEEPEST), "--hue": hue(service) },
    },
    h("span", { class: "label" },
      h("span", { class: "toggle", "data-toggle": true, "aria-hidden": "true" }, opens ? (isCollapsed ? "▸" : "▾") : ""),
      h("span", { class: "service" }, short(service || "no service", 40)), " ",
      h("span", { class: "name" }, short(span.name || "no name", 160)), marks,
      isCollapsed && h("span", { class: "tag" }, `+${count(tree.ends[at] - at - 1)}`)),
    this.#line(at, span, isError, self));
  }

  #line(at, span, isError, self) {
    const { tree } = this;
    const [from, to] = this.range;
    const place = (time) => (100 * (time - from)) / (to - from);
    const start = tree.starts[at], end = start + tree.lengths[at];
    const left = Math.max(place(start), 0), right = Math.min(place(end), 100);
    const isOut = right < 0 || left > 100;
    const parts = [];
    if (!isOut) {
      parts.push(h("span", { class: `time${isError ? " error" : ""}`, css: { left: `${left}%`, width: `${Math.max(right - left, 0)}%` } }));
      if (this.showsPath) {
        for (const [one, other] of merged(tree.segments[at], place)) {
          parts.push(h("span", { class: "path", css: { left: `${one}%`, width: `${other - one}%` } }));
        }
      }
      const events = span.events.map((event) => [Number(BigInt(event.time_unix_nanos) - tree.began), "event"]);
      const logs = (tree.logs.get(at) ?? []).map((log) => [Number(BigInt(log.time_unix_nanos) - tree.began), "log"]);
      let before = -1;
      for (const [time, kind] of [...events, ...logs].sort((one, other) => one[0] - other[0])) {
        const where = place(time);
        if (where < 0 || where > 100 || where - before < 0.2) continue;
        before = where;
        parts.push(h("span", { class: kind, css: { left: `${where}%` } }));
      }
    }
    const text = `${duration(tree.lengths[at])}${tree.hasChildren(at) ? ` (self ${duration(self)})` : ""}`;
    // Behind the bar, or before it where there is no room behind, or in it.
    const css = right < 75 || isOut ? { left: `${Math.min(Math.max(right, 0), 80)}%` } : left > 25 ? { right: `${100 - left}%` } : { right: `${100 - right}%` };
    const isInside = css.right !== undefined && left <= 25;
    parts.push(h("span", { class: isInside ? "length inside" : "length", css }, text));
    return h("span", { class: "line" }, parts);
  }

  #click(event) {
    const row = event.target.closest("[data-at]");
    if (!row) return;
    const at = Number(row.dataset.at);
    if (event.target.closest("[data-toggle]")) this.toggle(at);
    this.choose(at);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { tree, rows, chosen } = this;
    const row = Math.max(rows.indexOf(chosen), 0);
    const page = Math.max(Math.floor(this.element.clientHeight / ROW) - 1, 1);
    const goTo = (place) => rows.length && this.choose(rows[Math.min(Math.max(place, 0), rows.length - 1)]);
    const keys = {
      ArrowDown: () => goTo(row + 1),
      ArrowUp: () => goTo(row - 1),
      PageDown: () => goTo(row + page),
      PageUp: () => goTo(row - page),
      Home: () => goTo(0),
      End: () => goTo(rows.length - 1),
      ArrowRight: () => (tree.hasChildren(chosen) && tree.collapsed[chosen] ? this.toggle(chosen, false) : tree.hasChildren(chosen) && goTo(row + 1)),
      ArrowLeft: () => {
        const parent = tree.spans[chosen].parent;
        if (tree.hasChildren(chosen) && !tree.collapsed[chosen]) this.toggle(chosen, true);
        else if (parent !== null) this.choose(parent);
      },
      Enter: () => this.tell.enter(),
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }
}

/** Segments as parts of a line; those that no eye could tell apart are one. */
function merged(segments, place) {
  const parts = [];
  for (const [from, to] of segments ?? []) {
    const left = Math.max(place(from), 0), right = Math.min(place(to), 100);
    if (right < 0 || left > 100) continue;
    const last = parts.at(-1);
    if (last && left - last[1] < 0.1) last[1] = Math.max(last[1], right);
    else parts.push([left, Math.max(right, left)]);
  }
  return parts;
}
