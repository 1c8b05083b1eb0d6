// One trace: what is known of it, the waterfall, and the chosen span.

import { ask, resolve, text } from "./api.js";
import { button, copy, h, put, say } from "./dom.js";
import { asEvents, asOtlp } from "./export.js";
import { paced } from "./live.js";
import { clock, count, counted, duration, utc } from "./numbers.js";
import { Overview } from "./overview.js";
import { section } from "./record.js";
import { refuse, tell } from "./report.js";
import { read, to } from "./route.js";
import { detail, logLine, measuredHere } from "./span.js";
import { short } from "./text.js";
import { Tree } from "./tree.js";
import { Waterfall } from "./waterfall.js";

export const title = "Trace";

/** What one download holds at the most. */
const MOST = 10_000;

const address = (id) => `api/traces/${encodeURIComponent(id)}`;

export function open(main, { parts }) {
  const id = parts[1] ?? "";
  const report = h("p", { class: "report" }, "…");
  put(main, h("p", null, h("a", { href: to("traces") }, "← Traces")), h("h1", null, "Trace ", h("code", null, id)), report);
  const news = h("p", { role: "status" });
  let shown = null, held = null, isClosed = false;

  async function load() {
    try {
      const told = await ask(address(id));
      if (isClosed) return;
      const { spans, logs, exemplars, duplicates } = told.answer;
      resolve(told.answer, spans, logs, exemplars);
      shown?.close();
      shown = show(main, told, id, read().params);
      held = spans.length + duplicates;
      tell(report, told, `${counted(spans.length, "span")}, ${counted(logs.length, "log record")}, ${counted(exemplars.length, "exemplar")}`);
      put(news);
      main.querySelector("h1").after(news);
      main.append(report);
    } catch (error) {
      if (!isClosed) refuse(report, error);
    }
  }

  /** What is being read stays as it is; that there is more, or less, is said. */
  const look = paced(async () => {
    if (held === null || isClosed) return;
    const { count: now } = (await ask("api/count/spans", { trace: id })).answer;
    const change = now > held ? `${counted(now - held, "span")} more came in since this was shown.` : `${counted(held - now, "span")} of it left since this was shown.`;
    put(news, now !== held && [h("strong", { class: "warning" }, change), " ", button("Show it as it is now", load)]);
  });
  const came = () => look().catch(() => {});
  window.addEventListener("came", came);
  load();
  return {
    update: (now) => shown?.update(now.params),
    close: () => {
      isClosed = true;
      window.removeEventListener("came", came);
      shown?.close();
    },
  };
}

/** Why it is kept, and what is here for that alone. */
function keptWhole({ kept }) {
  if (!kept) return null;
  const gone = [[kept.spans, "span"], [kept.logs, "log record"], [kept.points, "metric point"]].filter(([some]) => some).map(([some, what]) => counted(some, what));
  return h("p", { class: kept.refused ? "warning" : "facts" }, h("span", { class: "tag" }, "kept"), ` by the policy ${short(kept.policy, 100)}`,
    gone.length > 0 && `; the stores have evicted ${gone.join(", ")} of it`,
    kept.refused > 0 && `; it is too large, and ${counted(kept.refused, "record")} of it ${kept.refused === 1 ? "was" : "were"} not kept`, ".");
}

/** What a reader has to know before he believes what he sees. */
function warnings(trace, tree) {
  const orphans = tree.spans.filter(({ note }) => note === "missing_parent").length;
  const noTime = tree.spans.filter((span) => span.start_unix_nanos === "0" || span.end_unix_nanos === "0").length;
  return [
    trace.partial && "Partial: some of its spans have been evicted, because newer records took their place.",
    orphans > 0 && `${counted(orphans, "span")} without ${orphans === 1 ? "its" : "their"} parent here: evicted, never sent, or not ended yet. They stand at the top.`,
    trace.duplicates > 0 && `${counted(trace.duplicates, "span")} delivered more than once; shown once.`,
    noTime > 0 && `${counted(noTime, "span")} without a start or an end.`,
  ].filter(Boolean).map((text) => h("p", { class: "warning" }, text));
}

function show(main, { answer }, id, params) {
  const tree = new Tree(answer);
  const { summary } = answer;
  const head = [h("p", null, h("a", { href: to("traces") }, "← Traces"))];
  const others = [
    tree.otherLogs.length > 0 && section(`Logs of the trace that are of no span here (${tree.otherLogs.length})`, !summary, tree.otherLogs.slice(0, 500).map((log) => logLine(log, summary && tree))),
    tree.otherExemplars.length > 0 && section(`Measurements that are of no span here (${tree.otherExemplars.length})`, !summary, tree.otherExemplars.map(measuredHere)),
  ];
  if (!summary) {
    put(main, head, h("h1", null, "Trace ", h("code", null, id)), keptWhole(answer), h("p", { class: "warning" }, "No span of it is here; what else points at it:"), others);
    return { update() {}, close() {} };
  }
  const panel = h("aside", { class: "panel", "aria-label": "The chosen span" });
  const overview = new Overview(tree, (from, to) => waterfall.zoom(from, to));
  const waterfall = new Waterfall(tree, {
    choose: (at) => {
      detail(panel, tree, at);
      const { params } = read();
      params.set("span", tree.spans[at].span_id);
      history.replaceState(history.state, "", to(["trace", id], params));
    },
    enter: () => panel.querySelector("h2")?.focus(),
    zoomed: (range) => overview.zoomed(range),
  });
  const found = h("output", { class: "found" });
  const field = h("input", { type: "search", "data-search": true, placeholder: "name, attribute=value, >10ms, >5%", size: 28, "aria-label": "Search in this trace" });
  const look = () => {
    const all = tree.search(field.value);
    put(found, tree.wanted ? `${count(all)} of ${count(tree.spans.length)}` : "");
    waterfall.refresh();
    if (all && !tree.fits[waterfall.chosen]) waterfall.choose(tree.next(waterfall.chosen, 1));
  };
  const step = (by) => {
    const at = tree.next(waterfall.chosen, by);
    if (at === null) say(tree.wanted ? "Nothing fits" : "No span failed");
    else waterfall.choose(at);
  };
  field.addEventListener("input", look);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); step(event.shiftKey ? -1 : 1); }
  });
  const check = (label, isSet, act) => {
    const box = h("input", { type: "checkbox" });
    box.checked = isSet;
    box.addEventListener("change", () => { act(box.checked); waterfall.refresh(); });
    return h("label", { class: "check" }, box, label);
  };
  const around = () => {
    const at = waterfall.chosen, margin = Math.max(tree.lengths[at] * 0.1, 1);
    waterfall.zoom(tree.starts[at] - margin, tree.starts[at] + tree.lengths[at] + margin);
  };
  const out = () => {
    const [from, to] = waterfall.range, more = to - from;
    waterfall.zoom(from - more / 2, to + more / 2);
  };
  const download = async () => {
    if (tree.spans.length > MOST) say(`Only the first ${count(MOST)} spans are in the file`);
    try { await asOtlp(id); } catch (error) { say(error.message); }
  };
  const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "This trace" }, field, found,
    button("↑", () => step(-1), { "aria-label": "The match before (p)", title: "The match or error before (p)" }),
    button("↓", () => step(1), { "aria-label": "The next match (n)", title: "The next match or error (n)" }),
    check("only matches", false, (isSet) => { tree.onlyFits = isSet; }),
    check("critical path", true, (isSet) => { waterfall.showsPath = isSet; }),
    button("Collapse all", () => { tree.collapseAll(true); waterfall.refresh(); }),
    button("Expand all", () => { tree.collapseAll(false); waterfall.refresh(); }),
    button("Zoom to span", around, { title: "+" }), button("Zoom out", () => waterfall.zoom(0, tree.total), { title: "0" }),
    h("span", { class: "gap" }),
    h("a", { href: to("logs", { trace: id }) }, `Logs (${count(answer.logs.length)})`),
    button("↓ OTLP/JSON", download, { title: "Download spans and logs, an export request a line" }),
    button("↓ Perfetto", () => asEvents(tree, id), { title: "Download trace events, for ui.perfetto.dev or Chrome's own viewer; nothing is uploaded" }),
    button("Copy JSON", async () => copy(JSON.stringify(JSON.parse(await text(address(id))), null, 2), "The trace")));

  put(main, head,
    h("h1", null, short(`${summary.root_service || "no service"}: ${summary.root_name || "no name"}`, 200)),
    h("p", { class: "facts" }, h("code", null, id), " ", button("copy", () => copy(id, "The id"), { class: "link" }), " · ",
      h("time", { title: utc(summary.start_unix_nanos) }, clock(summary.start_unix_nanos, 6)), ` · ${duration(summary.duration_nanos)} · ${counted(summary.spans, "span")} · `,
      h("span", { class: summary.errors ? "error" : "" }, counted(summary.errors, "error")), ` · ${counted(summary.services.length, "service")}`),
    keptWhole(answer), warnings(answer, tree), tools, overview.element, h("div", { class: "split" }, h("div", { class: "chart" }, waterfall.ruler, waterfall.element), panel), others);

  const update = (params) => {
    const at = tree.byId.get(params.get("span"));
    if (at !== undefined && at !== waterfall.chosen) waterfall.choose(at, true);
    detail(panel, tree, at ?? waterfall.chosen);
  };
  update(params);
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox])") || document.querySelector("dialog[open]")) return;
    const act = { n: () => step(1), p: () => step(-1), "+": around, "-": out, 0: () => waterfall.zoom(0, tree.total), Escape: () => waterfall.element.focus() }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  window.addEventListener("keydown", keys);
  waterfall.element.focus({ preventScroll: true });
  return {
    update,
    close() {
      window.removeEventListener("keydown", keys);
      waterfall.close();
      overview.close();
    },
  };
}
