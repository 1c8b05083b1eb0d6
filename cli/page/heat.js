// Histograms over time as a heat map: the darker a field, the more was measured there.

import { h, put } from "./dom.js";
import { clock, count, measured } from "./numbers.js";

const HIGH = 280, ROWS = 28, COLUMNS = 120;

/** Fields of a map, `{ from, to, low, high, count }`, gathered into columns of time and rows of a logarithmic scale. */
function gather(fields) {
  const begin = fields.reduce((least, { from }) => Math.min(least, from), Infinity);
  const end = fields.reduce((most, { to }) => Math.max(most, to), -Infinity);
  const positive = fields.filter(({ high }) => high > 0);
  const top = positive.reduce((most, { high }) => Math.max(most, high), 0) || 1;
  // What begins at zero, or below, goes into the lowest row.
  const bottom = positive.reduce((least, { low, high }) => Math.min(least, low > 0 ? low : high / 2), top) || top / 2;
  const scale = Math.log(top / bottom) || 1;
  const row = (value) => (value <= bottom ? 0 : Math.min((ROWS * Math.log(value / bottom)) / scale, ROWS));
  const columns = Math.min(COLUMNS, new Set(fields.map(({ to }) => to)).size);
  const width = (end - begin) / columns || 1;
  const grid = new Float64Array(columns * ROWS);
  for (const { to, low, high, count } of fields) {
    const column = Math.min(Math.floor((to - begin - 1) / width), columns - 1);
    const first = row(low), last = Math.max(row(high), first + 1e-6);
    for (let at = Math.floor(first); at < Math.min(Math.ceil(last), ROWS); at++) {
      const share = (Math.min(last, at + 1) - Math.max(first, at)) / (last - first);
      grid[Math.max(column, 0) * ROWS + at] += count * share;
    }
  }
  const value = (at) => bottom * Math.exp((scale * at) / ROWS);
  return { begin, width, columns, grid, value };
}

/** Draws it. */
export function heat(fields, first, unit) {
  if (!fields.length) return h("p", { class: "none" }, "There is nothing to draw; a map takes two points.");
  const { begin, width, columns, grid, value } = gather(fields);
  const most = grid.reduce((one, other) => Math.max(one, other), 1);
  const canvas = h("canvas", { width: columns * 8, height: HIGH, role: "img", "aria-label": "How much was measured when; the table below has the quantiles" });
  const context = canvas.getContext("2d");
  const high = HIGH / ROWS;
  grid.forEach((some, at) => {
    if (!some) return;
    context.fillStyle = `hsl(${210 - 170 * Math.sqrt(some / most)} 80% 50% / ${0.2 + 0.8 * Math.sqrt(some / most)})`;
    context.fillRect(Math.floor(at / ROWS) * 8, HIGH - (at % ROWS + 1) * high, 8, high);
  });
  const at = (time) => clock(first + BigInt(Math.round(time)));
  const readout = h("div", { class: "readout", "aria-live": "polite" }, "Point at a field to read it off.");
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.min(Math.max(Math.floor(((event.clientX - box.left) * columns) / box.width), 0), columns - 1);
    const row = Math.min(Math.max(Math.floor(((box.bottom - event.clientY) * ROWS) / box.height), 0), ROWS - 1);
    put(readout, h("strong", null, `${at(begin + column * width)} to ${at(begin + (column + 1) * width)}`),
      ` ${row ? measured(value(row)) : "up"} to ${measured(value(row + 1))} ${unit}: about ${count(Math.round(grid[column * ROWS + row]))}`);
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return h("div", { class: "plot" },
    h("div", { class: "axis" }, ticks.map((part) => h("span", { css: { top: `${100 * (1 - part)}%` } }, measured(Number(value(part * ROWS).toPrecision(3)))))),
    h("div", { class: "drawing" }, canvas, h("div", { class: "ends across" }, h("span", null, at(begin)), h("span", null, unit), h("span", null, at(begin + columns * width)))),
    readout);
}
