// The graph of services as a drawing: callers to the left of whom they call.

import { h, s } from "./dom.js";
import { count, duration, percent } from "./numbers.js";
import { to } from "./route.js";
import { hue, short } from "./text.js";

const MOST = 80, WIDTH = 150, HEIGHT = 34, ACROSS = 90, BETWEEN = 14;

const nodeKey = (name, space) => `${space ?? ""}\n${name}`;

/** How far to the right each stands: behind all who call it, as far as calls lead in no circle. */
function layers(keys, edges) {
  const layer = new Map(keys.map((key) => [key, 0]));
  const into = new Map(keys.map((key) => [key, []]));
  for (const { from, to } of edges) into.get(to).push(from);
  const known = new Map();
  const depth = (key, path) => {
    if (known.has(key)) return known.get(key);
    if (path.has(key)) return -1;
    path.add(key);
    const most = into.get(key).reduce((most, from) => Math.max(most, depth(from, path)), -1) + 1;
    path.delete(key);
    known.set(key, most);
    return most;
  };
  for (const key of keys) layer.set(key, depth(key, new Set()));
  return layer;
}

/** Draws it; nothing if there are too many to be seen. */
export function drawing(services, calls) {
  if (!services.length) return null;
  if (services.length > MOST) return h("p", { class: "none" }, `${count(services.length)} nodes are too many to draw; the tables have all of them.`);
  const nodes = services.map((node) => ({ ...node, key: nodeKey(node.service, node.namespace) }));
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const edges = calls.map((call) => ({ call, from: nodeKey(call.from, call.from_namespace), to: nodeKey(call.to, call.to_namespace) }))
    .filter(({ from, to }) => from !== to && byKey.has(from) && byKey.has(to));
  const layer = layers(nodes.map(({ key }) => key), edges);
  const columns = [];
  for (const node of nodes) (columns[layer.get(node.key)] ??= []).push(node);
  const tallest = Math.max(...columns.map((column) => column?.length ?? 0));
  const high = tallest * (HEIGHT + BETWEEN) + 20, wide = columns.length * (WIDTH + ACROSS) - ACROSS + 20;
  columns.forEach((column, at) => {
    // Close to those whom they belong to, which have their places already.
    const pull = (node) => {
      const above = edges.filter(({ to }) => to === node.key).map(({ from }) => byKey.get(from).y).filter((y) => y !== undefined);
      return above.length ? above.reduce((sum, y) => sum + y, 0) / above.length : high / 2;
    };
    column.sort((one, other) => pull(one) - pull(other));
    column.forEach((node, place) => {
      node.x = 10 + at * (WIDTH + ACROSS);
      node.y = high / 2 + (place - (column.length - 1) / 2) * (HEIGHT + BETWEEN) - HEIGHT / 2;
    });
  });
  const most = Math.max(1, ...calls.map(({ calls }) => calls));
  const lines = edges.map(({ call, from, to }) => {
    const one = byKey.get(from), other = byKey.get(to);
    const isBack = other.x <= one.x;
    const [x1, y1] = [isBack ? one.x : one.x + WIDTH, one.y + HEIGHT / 2];
    const [x2, y2] = [isBack ? other.x + WIDTH : other.x, other.y + HEIGHT / 2];
    const bend = isBack ? -ACROSS : ACROSS * 0.6;
    return s("path", { class: `edge${call.errors ? " error" : ""}`, d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`, "stroke-width": (1 + (4 * Math.log1p(call.calls)) / Math.log1p(most)).toFixed(1), "marker-end": "url(#arrow)" },
      s("title", null, `${short(call.from, 60)} → ${short(call.to, 60)}: ${count(call.calls)} calls, ${percent(call.errors, call.calls)} failed${call.p50_nanos === null ? "" : `, p50 ${duration(call.p50_nanos)}, p99 ${duration(call.p99_nanos)}`}`));
  });
  const boxes = nodes.map((node) => s("a", { href: to("traces", { service: node.service }) },
    s("g", { class: `node ${node.kind && node.kind !== "service" ? "virtual" : ""}`, css: { "--hue": hue(node.service) }, transform: `translate(${node.x},${node.y})` },
      s("title", null, `${short(node.service, 100)}: ${count(node.spans)} spans, ${count(node.errors)} failed`),
      s("rect", { width: WIDTH, height: HEIGHT, rx: node.kind && node.kind !== "service" ? 16 : 4 }),
      s("text", { x: WIDTH / 2, y: 15 }, short(node.service || "no name", 21)),
      s("text", { class: "small", x: WIDTH / 2, y: 28 }, node.spans ? `${count(node.spans)} spans${node.errors ? `, ${percent(node.errors, node.spans)} failed` : ""}` : (node.kind ?? "").replaceAll("_", " ")))));
  return s("svg", { viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "group", "aria-label": `${nodes.length} services and ${edges.length} kinds of calls; the tables below have them all` },
    s("defs", null, s("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, s("path", { class: "arrow", d: "M0,0 L8,4 L0,8 z" }))), lines, boxes);
}
