// When traces began, and how long they took: a dot each. Dragging marks an area.

import { h, put, s } from "./dom.js";
import { clock, duration } from "./numbers.js";
import { go, to } from "./route.js";
import { short } from "./text.js";

const HIGH = 130;

/** Draws it; `choose` gets the traces in an area that was marked, or `null` when that is over. */
export function scatter(element, traces, choose) {
  if (traces.length < 2) {
    put(element);
    return;
  }
  const wide = Math.max(element.clientWidth, 200);
  const times = traces.map((trace) => BigInt(trace.start_unix_nanos));
  const first = times.reduce((one, other) => (other < one ? other : one));
  const last = times.reduce((one, other) => (other > one ? other : one));
  const span = Number(last - first) || 1;
  const logs = traces.map((trace) => Math.log10(Math.max(trace.duration_nanos, 1)));
  const low = Math.floor(Math.min(...logs)), high = Math.max(Math.ceil(Math.max(...logs)), low + 1);
  const x = (at) => 8 + ((wide - 16) * Number(times[at] - first)) / span;
  const y = (log) => HIGH - 8 - ((HIGH - 16) * (log - low)) / (high - low);

  const lines = [];
  for (let power = low; power <= high; power++) {
    lines.push(s("line", { class: "grid", x1: 0, x2: wide, y1: y(power), y2: y(power) }));
  }
  const dots = traces.map((trace, at) => s("circle", {
    class: trace.errors ? "dot error" : "dot", cx: x(at).toFixed(1), cy: y(logs[at]).toFixed(1), r: Math.min(3 + Math.log10(trace.spans), 8).toFixed(1),
    on: { click: () => go(to(["trace", trace.trace_id])) },
  }, s("title", null, `${short(trace.root_service, 60)} ${short(trace.root_name, 100)}: ${duration(trace.duration_nanos)}, ${clock(trace.start_unix_nanos)}`)));
  const area = s("rect", { class: "brush", width: 0, height: 0 });
  const drawing = s("svg", { viewBox: `0 0 ${wide} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": `How long ${traces.length} traces took, by the time when they began` }, lines, dots, area);
  brush(drawing, area, wide, (box) => {
    const inside = box && traces.filter((_, at) => x(at) >= box.left && x(at) <= box.right && y(logs[at]) >= box.top && y(logs[at]) <= box.bottom);
    choose(inside?.length ? inside : null);
    if (!inside?.length) area.setAttribute("width", 0);
  });
  put(element, h("div", { class: "ends" }, h("span", null, duration(10 ** high)), h("span", null, duration(10 ** low))), drawing,
    h("div", { class: "ends across" }, h("span", null, clock(first)), h("span", null, "drag to mark an area"), h("span", null, clock(last))));
}

/** Lets a rectangle be drawn; nothing is marked by a click. */
function brush(drawing, area, wide, done) {
  let from = null;
  const place = (event) => {
    const box = drawing.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * wide) / box.width, y: ((event.clientY - box.top) * HIGH) / box.height };
  };
  const box = (event) => {
    const to = place(event);
    return { left: Math.min(from.x, to.x), right: Math.max(from.x, to.x), top: Math.min(from.y, to.y), bottom: Math.max(from.y, to.y) };
  };
  drawing.addEventListener("pointerdown", (event) => { from = place(event); });
  drawing.addEventListener("pointermove", (event) => {
    if (!from) return;
    const { left, right, top, bottom } = box(event);
    if (right - left > 3) drawing.setPointerCapture(event.pointerId);
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) area.setAttribute(name, value);
  });
  drawing.addEventListener("pointerup", (event) => {
    if (!from) return;
    const marked = box(event);
    from = null;
    done(marked.right - marked.left > 3 ? marked : null);
  });
}
