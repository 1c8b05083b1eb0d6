// The list of traces, and the scatter of how long they took.

import { Asker, isAborted } from "./api.js";
import { arrows, button, h, put } from "./dom.js";
import { ATTRIBUTE, SINCE, filters } from "./filters.js";
import * as first from "./first.js";
import { isEmpty, stats } from "./holdings.js";
import { paced } from "./live.js";
import { clock, count, counted, duration, utc } from "./numbers.js";
import { refuse, tell } from "./report.js";
import { go, to } from "./route.js";
import { scatter } from "./scatter.js";
import { hue, short } from "./text.js";

export const title = "Traces";

const FIELDS = [
  { name: "order", label: "Order", options: [["", "newest"], ["slowest", "slowest"]] },
  { name: "status", label: "Spans", options: [["", "of any status"], ["error", "failing"], ["ok", "ok"], ["unset", "unset"]] },
  { name: "service", label: "Service", keys: "spans/service", signs: true, search: true, placeholder: "cart, !cart, c*" },
  { name: "name", label: "Span name", keys: "spans/name", signs: true, size: 20, placeholder: "GET /cart*" },
  { name: "at_least", label: "Trace took", size: 8, placeholder: "250ms" },
  { name: "min_duration", label: "Span took", size: 8, placeholder: "50ms" },
  ATTRIBUTE,
  SINCE,
  { name: "limit", label: "Show", options: [["", "100"], ["500", "500"], ["2000", "2,000"]] },
];

export function open(main, route) {
  const asker = new Asker();
  let params = route.params, found = [], chosen = null, isPaused = false, isPressed = false, drawn = new Map();

  const pause = button("Pause", () => {
    isPaused = !isPaused;
    put(pause, isPaused ? "Go on" : "Pause");
    pause.setAttribute("aria-pressed", isPaused);
    if (!isPaused) ask();
  }, { "data-pause": true, "aria-pressed": "false", title: "Pause the list (Space)" });
  const form = filters("traces", FIELDS, [pause]);
  const plot = h("div", { class: "scatter" });
  const report = h("p", { class: "report" });
  const rows = h("tbody");
  const list = h("table", { class: "traces" },
    h("thead", null, h("tr", null, ["Began", "Root", "Took", "Spans", "Errors", "Services"].map((head) => h("th", { scope: "col" }, head)))), rows);
  const welcome = h("div");
  put(main, h("h1", null, "Traces"), welcome, form.element, plot, report, list);
  arrows(list, "a.open");

  async function ask() {
    let told;
    try {
      told = await asker.ask("api/traces", params);
    } catch (error) {
      if (!isAborted(error)) refuse(report, error);
      return;
    }
    const isSame = JSON.stringify(found) === JSON.stringify(told.answer.traces) && !chosen && rows.firstChild;
    found = told.answer.traces;
    chosen = null;
    const partial = found.filter((trace) => trace.partial).length;
    tell(report, told, `${counted(found.length, "trace")}${told.answer.more ? "; there are more" : ""}`,
      partial ? [h("strong", { class: "warning" }, `${counted(partial, "trace")} partial: spans of them have been evicted`)] : []);
    if (!isSame) {
      scatter(plot, found, choose);
      draw();
    }
    if (found.length === 0 && isEmpty(await stats())) first.welcome(welcome);
    else put(welcome);
  }

  /** Shows those alone that were brushed. */
  function choose(some) {
    chosen = some;
    draw();
  }

  function draw() {
    const some = chosen ?? found;
    const focused = document.activeElement?.dataset?.trace;
    list.style.setProperty("--longest", some.reduce((most, trace) => Math.max(most, trace.duration_nanos), 1));
    // A row of which nothing has changed stays the element that it is.
    const before = drawn;
    drawn = new Map(some.map((trace) => [JSON.stringify(trace), trace]));
    for (const [key, trace] of drawn) drawn.set(key, before.get(key) ?? row(trace));
    put(rows, chosen && h("tr", null, h("td", { colspan: "6" }, `${counted(some.length, "trace")} of ${count(found.length)} in the marked area `,
      button("all", () => { scatter(plot, found, choose); choose(null); }, { class: "link" }))), [...drawn.values()]);
    if (!some.length) put(rows, h("tr", null, h("td", { colspan: "6" }, "No trace fits.")));
    if (focused) rows.querySelector(`[data-trace="${focused}"]`)?.focus({ preventScroll: true });
  }

  function row(trace) {
    const address = to(["trace", trace.trace_id]);
    const open = (event) => { if (!event.target.closest("a") && !String(getSelection())) go(address); };
    return h("tr", { on: { click: open } },
      h("td", { title: utc(trace.start_unix_nanos) }, clock(trace.start_unix_nanos)),
      h("td", { class: "root" }, h("a", { class: "open", href: address, "data-trace": trace.trace_id },
        h("span", { class: "service", css: { "--hue": hue(trace.root_service) } }, short(trace.root_service || "no service", 60)), " ", short(trace.root_name || "no name", 120)),
        !trace.has_root && h("span", { class: "tag", title: "Its root is not here" }, "no root"),
        trace.kept && h("span", { class: "tag", title: `Kept whole by the policy ${trace.kept.policy}` }, "kept"),
        trace.partial && h("span", { class: "tag warning", title: "Spans of it have been evicted" }, "partial")),
      h("td", { class: "took" }, h("span", { class: "bar", css: { "--took": trace.duration_nanos } }), h("span", null, duration(trace.duration_nanos))),
      h("td", { class: "number" }, count(trace.spans)),
      h("td", { class: `number ${trace.errors ? "error" : ""}` }, count(trace.errors)),
      h("td", { class: "services" }, short(trace.services.map(({ service }) => service).join(", "), 120)));
  }

  const again = paced(ask);
  const came = () => {
    const isRead = chosen || isPaused || isPressed || document.hidden || String(getSelection());
    if (!isRead) again();
  };
  // Nothing moves under who is about to click.
  const press = (event) => { isPressed = event.type === "pointerdown"; };
  for (const type of ["pointerdown", "pointerup", "pointercancel"]) window.addEventListener(type, press);
  window.addEventListener("came", came);
  form.update(params);
  ask();
  return {
    update(route) {
      params = route.params;
      form.update(params);
      ask();
    },
    close() {
      asker.stop();
      for (const type of ["pointerdown", "pointerup", "pointercancel"]) window.removeEventListener(type, press);
      window.removeEventListener("came", came);
    },
  };
}
