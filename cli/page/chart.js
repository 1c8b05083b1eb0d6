// Curves over time. The pointer, or the arrow keys, read them off; dragging marks a time.

import { h, put, s } from "./dom.js";
import { clock, measured } from "./numbers.js";

const WIDE = 1000, HIGH = 280;

/** Draws curves: `{ name, hue, points: [[time, number]…] }`, times in nanoseconds after `first`; `mark(from, to)` is told a marked time. */
export function chart(curves, first, unit, mark) {
  const all = curves.flatMap((curve) => curve.points);
  if (!all.length) return h("p", { class: "none" }, "There are no points to draw; a rate takes two.");
  const times = all.map(([time]) => time), values = all.map(([, value]) => value);
  const [begin, end] = [least(times), most(times)];
  const span = end - begin || 1;
  let [low, high] = [Math.min(least(values), 0), most(values)];
  if (low === high) high = low + 1;
  const ticks = steps(low, high);
  low = Math.min(low, ticks[0]);
  high = Math.max(high, ticks.at(-1));
  const x = (time) => (WIDE * (time - begin)) / span;
  const y = (value) => HIGH - (HIGH * (value - low)) / (high - low);

  const cursor = s("line", { class: "cursor", y1: 0, y2: HIGH, x1: -9, x2: -9 });
  const area = s("rect", { class: "brush", y: 0, width: 0, height: HIGH });
  const drawing = s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", tabindex: "0", role: "img", "aria-label": `${curves.length} curves; arrow keys read them off` },
    ticks.map((tick) => s("line", { class: "grid", x1: 0, x2: WIDE, y1: y(tick), y2: y(tick) })),
    curves.map(({ points, hue }) => points.length === 1
      ? s("circle", { class: "curve", css: { "--hue": hue }, cx: x(points[0][0]), cy: y(points[0][1]), r: 3 })
      : s("polyline", { class: "curve", css: { "--hue": hue }, points: points.map(([time, value]) => `${x(time).toFixed(2)},${y(value).toFixed(2)}`).join(" ") })),
    area, cursor);
  const readout = h("div", { class: "readout", "aria-live": "polite" }, "Point at the curves, or use ← and →, to read them off.");
  const moments = [...new Set(times)].sort((one, other) => one - other);
  let at = moments.length - 1;

  const show = (place) => {
    at = Math.min(Math.max(place, 0), moments.length - 1);
    const time = moments[at];
    cursor.setAttribute("x1", x(time));
    cursor.setAttribute("x2", x(time));
    const there = curves.map((curve) => [curve, nearest(curve.points, time)]).filter(([, point]) => point && Math.abs(point[0] - time) <= span / 20);
    there.sort(([, one], [, other]) => other[1] - one[1]);
    put(readout, h("strong", null, clock(first + BigInt(Math.round(time)))), there.slice(0, 12).map(([curve, point]) =>
      h("span", { class: "reading", css: { "--hue": curve.hue } }, h("i", { class: "swatch" }), `${measured(point[1])} ${unit} `, h("small", null, curve.name))),
      there.length > 12 && ` and ${there.length - 12} more`);
  };
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(at + step);
  });
  let from = null;
  const time = (event) => {
    const box = drawing.getBoundingClientRect();
    return begin + (span * Math.min(Math.max(event.clientX - box.left, 0), box.width)) / box.width;
  };
  drawing.addEventListener("pointerdown", (event) => { from = time(event); drawing.setPointerCapture(event.pointerId); });
  drawing.addEventListener("pointermove", (event) => {
    const now = time(event);
    if (from !== null) {
      area.setAttribute("x", x(Math.min(from, now)));
      area.setAttribute("width", Math.abs(x(now) - x(from)));
    }
    show(moments.reduce((best, moment, place) => (Math.abs(moment - now) < Math.abs(moments[best] - now) ? place : best), 0));
  });
  drawing.addEventListener("pointerup", (event) => {
    const to = time(event), began = from;
    from = null;
    area.setAttribute("width", 0);
    const exact = (nanos) => first + BigInt(Math.round(nanos));
    if (began !== null && Math.abs(to - began) > span / 100) mark(exact(Math.min(began, to)), exact(Math.max(began, to)));
  });
  return h("div", { class: "plot" },
    h("div", { class: "axis" }, [...ticks].reverse().map((tick) => h("span", { css: { top: `${(100 * y(tick)) / HIGH}%` } }, measured(tick)))),
    h("div", { class: "drawing" }, drawing, h("div", { class: "ends across" }, h("span", null, clock(first + BigInt(Math.round(begin)))), h("span", null, unit), h("span", null, clock(first + BigInt(Math.round(end)))))),
    readout);
}

const least = (numbers) => numbers.reduce((one, other) => Math.min(one, other), Infinity);
const most = (numbers) => numbers.reduce((one, other) => Math.max(one, other), -Infinity);
const nearest = (points, time) => points.reduce((best, point) => (!best || Math.abs(point[0] - time) < Math.abs(best[0] - time) ? point : best), null);

/** Round numbers for a scale. */
function steps(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  const all = [];
  for (let at = Math.floor(low / step); at <= Math.ceil(high / step); at++) all.push(Number((at * step).toPrecision(12)));
  return all;
}
