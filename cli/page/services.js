// Services: who calls whom, and what each has sent.

import { ask } from "./api.js";
import { h, put, table } from "./dom.js";
import { drawing } from "./drawing.js";
import { ATTRIBUTE, SINCE, filters } from "./filters.js";
import { paced } from "./live.js";
import { count, counted, duration, percent } from "./numbers.js";
import { refuse, tell } from "./report.js";
import { to } from "./route.js";
import { hue, short } from "./text.js";

export const title = "Services";

const took = (nanos) => (nanos === null ? "no times" : duration(nanos));

const FIELDS = [
  { name: "service", label: "Spans of", keys: "spans/service", signs: true, search: true, placeholder: "cart, !cart, c*" },
  { name: "status", label: "Status", options: [["", "any"], ["error", "failing"], ["ok", "ok"]] },
  ATTRIBUTE,
  SINCE,
];

export function open(main, route) {
  let params = route.params, isBusy = false, isOver = false;
  const form = filters("services", FIELDS);
  const report = h("p", { class: "report" }), picture = h("div", { class: "graph" }), nodes = h("div", { class: "wide" }), calls = h("div", { class: "wide" });
  put(main, h("h1", null, "Services"), form.element, picture, nodes, calls, report);

  async function ask_() {
    if (isBusy) return;
    isBusy = true;
    try {
      const [graph, services] = await Promise.all([ask("api/graph", params), ask("api/services")]);
      if (!isOver) draw(graph, services.answer.services);
    } catch (error) {
      refuse(report, error);
    } finally {
      isBusy = false;
    }
  }

  function draw(told, counts) {
    const { services, calls: all, unlinked } = told.answer;
    tell(report, told, `${counted(services.length, "node")}, ${counted(all.length, "edge")}`,
      unlinked ? [h("strong", { class: "warning" }, `${counted(unlinked, "span")} whose parents are not here`)] : []);
    put(picture, drawing(services, all));
    const of = new Map(counts.map((one) => [one.service, one]));
    const known = new Set(services.map(({ service }) => service));
    const silent = counts.filter(({ service }) => !known.has(service) && !params.size).map(({ service }) => ({ service, spans: 0, errors: 0 }));
    const held = (node, signal) => (node.kind && node.kind !== "service" ? "" : of.get(node.service)?.[signal] ?? 0);
    const link = (view, node, number) => (number ? h("a", { href: to(view, { service: node.service }) }, count(number)) : "0");
    put(nodes, h("h2", null, "Who is here"), table(["Service", "Kind", "#Spans", "#Failed", "#Log records", "#Metric points"], [...services, ...silent].map((node) => [
      h("span", { class: "service", css: { "--hue": hue(node.service) } }, short(node.service || "no name", 80), node.namespace && h("small", null, ` ${short(node.namespace, 40)}`)),
      (node.kind ?? "service").replaceAll("_", " "), node.spans ? link("traces", node, node.spans) : "0",
      node.errors ? h("a", { class: "error", href: to("traces", { service: node.service, status: "error" }) }, `${count(node.errors)} (${percent(node.errors, node.spans)})`) : "0",
      held(node, "logs") === "" ? "" : link("logs", node, held(node, "logs")), held(node, "metrics") === "" ? "" : link("metrics", node, held(node, "metrics"))])));
    put(calls, h("h2", null, "Who calls whom"), table(["Caller", "Callee", "#Calls", "#Failed", "#p50", "#p99", "#Of one side only"], [...all].sort((one, other) => other.calls - one.calls).map((call) => [
      short(call.from || "no name", 80), short(call.to || "no name", 80), count(call.calls),
      h("span", { class: call.errors ? "error" : "" }, call.errors ? `${count(call.errors)} (${percent(call.errors, call.calls)})` : "0"),
      took(call.p50_nanos), took(call.p99_nanos), count(call.unmatched)])));
    if (!services.length) put(nodes, h("p", { class: "none" }, "No span fits."));
    if (!all.length) put(calls);
  }

  const again = paced(ask_);
  const came = () => { if (!main.contains(document.activeElement) || document.activeElement === main) again(); };
  window.addEventListener("came", came);
  form.update(params);
  ask_();
  return {
    update(route) {
      params = route.params;
      form.update(params);
      ask_();
    },
    close() {
      isOver = true;
      window.removeEventListener("came", came);
    },
  };
}
