// Metrics: all names, and the series of one as curves.

import { Asker, ask as askOnce, isAborted, resolve } from "./api.js";
import { chart } from "./chart.js";
import { arrows, h, put, table } from "./dom.js";
import { ATTRIBUTE, SINCE, filters } from "./filters.js";
import { heat } from "./heat.js";
import { paced } from "./live.js";
import { count, counted, measured } from "./numbers.js";
import { curve, fields, modes } from "./points.js";
import { raw } from "./record.js";
import { refuse, tell } from "./report.js";
import { go, to } from "./route.js";
import { display, short } from "./text.js";

export const title = "Metrics";

/** Curves in a chart: more can't be told apart. The table has all. */
const CURVES = 20;
/** Points of each curve, the latest: more are no wider than a dot each. */
const POINTS = 400;

const FIELDS = [
  { name: "service", label: "Service", keys: "metrics/service", signs: true, placeholder: "cart, !cart, c*" },
  ATTRIBUTE,
  SINCE,
  { name: "limit", label: "Series", options: [["", "50"], ["200", "200"], ["1000", "1,000"]] },
];

export function open(main, route) {
  const asker = new Asker();
  let params = route.params, names = [], drawn = "";

  const field = h("input", { type: "search", placeholder: "Filter names", "data-search": true, "aria-label": "Filter names", on: { input: () => list() } });
  const all = h("ul", { class: "names" });
  const form = filters("metrics", FIELDS);
  const heading = h("div"), plot = h("div"), report = h("p", { class: "report" }), rows = h("div", { class: "wide" });
  put(main, h("h1", null, "Metrics"), h("div", { class: "split metrics" },
    h("nav", { class: "side", "aria-label": "Metrics" }, field, all), h("div", null, form.element, heading, plot, report, rows)));
  arrows(all, "a");

  function list() {
    const low = field.value.trim().toLowerCase();
    const some = names.filter(({ key }) => key.toLowerCase().includes(low));
    const chosen = params.get("name");
    const kept = [...params].filter(([name]) => !["name", "show"].includes(name));
    put(all, some.slice(0, 500).map(({ key, count: points }) => h("li", null, h("a", {
      href: to("metrics", [["name", key], ...kept]), "aria-current": key === chosen ? "true" : null, title: key,
    }, short(key, 80), " ", h("small", null, count(points))))), some.length > 500 && h("li", null, `and ${count(some.length - 500)} more`), !some.length && h("li", { class: "none" }, "none"));
  }

  async function askNames() {
    const told = await askOnce("api/keys/metrics/name");
    const now = JSON.stringify(told.answer.keys);
    if (now === drawn) return;
    drawn = now;
    names = told.answer.keys.sort((one, other) => (one.key < other.key ? -1 : 1));
    list();
  }

  async function ask() {
    try {
      await askNames();
      const name = params.get("name");
      if (!name) {
        put(heading, h("p", { class: "none" }, names.length ? "Choose a metric." : "No metric points are here."));
        put(plot); put(rows); put(report);
        return;
      }
      const told = await asker.ask("api/series", [...[...params].filter(([name]) => name !== "show"), ...(params.has("limit") ? [] : [["limit", "50"]]), ["points", String(POINTS)]]);
      draw(told);
    } catch (error) {
      if (!isAborted(error)) refuse(report, error);
    }
  }

  function draw(told) {
    const series = told.answer.series;
    resolve(told.answer, series);
    const points = series.reduce((sum, one) => sum + one.points.length, 0);
    const earlier = series.reduce((sum, one) => sum + one.points_left_out, 0);
    tell(report, told, `${counted(series.length, "series", "series")} of ${counted(points, "point")}${told.answer.left_out ? `; ${count(told.answer.left_out)} series left out by the limit` : ""}${earlier ? `; ${counted(earlier, "earlier point")} not drawn` : ""}`);
    if (!series.length) {
      put(heading, h("h2", null, params.get("name")), h("p", { class: "none" }, "No series fits."));
      put(plot); put(rows);
      return;
    }
    const metric = series[0];
    const able = modes(metric);
    const mode = able.includes(params.get("show")) ? params.get("show") : able[0];
    const kind = [metric.type.replaceAll("_", " "), metric.temporality, metric.monotonic && "monotonic"].filter(Boolean).join(", ");
    const address = (mode) => to("metrics", [...[...params].filter(([name]) => name !== "show"), ["show", mode]]);
    put(heading, h("h2", null, metric.name), h("p", null, metric.description, " ", h("span", { class: "none" }, `${kind}; unit ${metric.unit || "none"}`)),
      able.length > 1 && h("p", { class: "modes", role: "group", "aria-label": "What is drawn" }, able.map((one) => h("a", { href: address(one), "aria-current": one === mode ? "true" : null }, one))));
    const labels = naming(series);
    const first = series.flatMap((one) => one.points).map((point) => BigInt(point.time_unix_nanos)).reduce((one, other) => (other < one ? other : one));
    const unit = metric.unit === "1" ? "" : metric.unit;
    if (mode === "heat") {
      put(plot, heat(series.flatMap((one) => fields(one, first)), first, unit));
      put(rows, seriesTable(series, labels));
      return;
    }
    const curves = series.slice(0, CURVES).map((one, at) => ({ name: labels[at], hue: (at * 137.5) % 360, points: curve(one, mode, first) }));
    const isFocused = plot.contains(document.activeElement);
    put(plot, chart(curves, first, mode === "rate" ? `${isCount(metric) ? "" : unit}/s` : unit, (from, until) =>
      go(to("metrics", [...[...params].filter(([name]) => name !== "since" && name !== "until"), ["since", from], ["until", until]]))),
    series.length > CURVES && h("p", { class: "none" }, `The first ${CURVES} of ${count(series.length)} series are drawn; conditions choose others.`));
    if (isFocused) plot.querySelector("svg")?.focus();
    put(rows, seriesTable(series, labels));
  }

  const again = paced(ask);
  const came = () => {
    // What is being read stays as it is.
    if (!rows.querySelector("details[open]") && !plot.matches(":hover")) again();
  };
  window.addEventListener("came", came);
  form.update(params);
  ask();
  return {
    update(route) {
      params = route.params;
      form.update(params);
      list();
      ask();
    },
    close() {
      asker.stop();
      window.removeEventListener("came", came);
    },
  };
}

/** All series in a table. */
function seriesTable(series, labels) {
  return table(["Series", "#Points", "#Last", "#Rate/s", "#Median", "#p99", ""], series.map((one, at) => [
    [at < CURVES && h("i", { class: "swatch", css: { "--hue": (at * 137.5) % 360 } }), labels[at]], count(one.points.length), last(one),
    measured(one.rate_per_second), measured(one.median), measured(one.p99), [exemplars(one), raw(one.points.at(-1), "Last point")]]));
}

/** Whether a rate counts happenings rather than units. */
const isCount = (metric) => !["sum", "gauge"].includes(metric.type);

function last(series) {
  const point = series.points.at(-1);
  if (point.count !== undefined) return `${count(point.count)} of ${measured(point.sum ?? NaN)}`;
  const one = point.value;
  // A whole number with all of its digits; in text it is longer than a number of this language can be.
  return Number.isInteger(one) ? count(one) : typeof one === "number" ? measured(one) : display(one);
}

/** Links to traces in which something was measured. */
function exemplars(series) {
  const found = series.points.flatMap((point) => point.exemplars ?? []).filter((exemplar) => exemplar.trace_id).slice(-3);
  return found.map((exemplar) => [h("a", { href: to(["trace", exemplar.trace_id], exemplar.span_id ? { span: exemplar.span_id } : {}), title: "A measurement's trace" }, "trace"), " "]);
}

/** What tells series from one another: the service, their own attributes, and of the resource what differs. */
function naming(all) {
  const differs = new Set();
  const first = all[0].resource.attributes;
  for (const { resource } of all) {
    for (const name of new Set([...Object.keys(first), ...Object.keys(resource.attributes)])) {
      if (display(first[name]) !== display(resource.attributes[name])) differs.add(name);
    }
  }
  const shown = ["service.name", ...["service.instance.id", "host.name", "k8s.pod.name"].filter((name) => differs.has(name)).slice(0, 1)];
  return all.map(({ resource, attributes }) => {
    const own = Object.entries(attributes).map(([name, value]) => `${name}=${display(value)}`);
    const of = shown.map((name) => display(resource.attributes[name])).filter(Boolean);
    return short([...of, ...own].join(" ") || "no attributes", 200);
  });
}
