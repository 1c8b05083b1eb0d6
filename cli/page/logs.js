// Log records: a list, and a tail of what comes in.

import { Asker, address, isAborted, resolve } from "./api.js";
import { arrows, button, h, put } from "./dom.js";
import { ATTRIBUTE, SINCE, filters } from "./filters.js";
import { clock, count, counted, utc } from "./numbers.js";
import { attributes, origin, raw, section } from "./record.js";
import { refuse, tell } from "./report.js";
import { go, to } from "./route.js";
import { Stream } from "./stream.js";
import { display, hue, level, short } from "./text.js";

export const title = "Logs";

/** Rows in the page at the most; older ones leave it. */
const MOST = 1000;
/** Records that wait while the tail is paused, at the most. */
const WAITING = 5000;

const FIELDS = [
  { name: "order", label: "Order", options: [["", "newest, live"], ["latest", "latest by time"], ["earliest", "earliest by time"], ["oldest", "oldest"]] },
  { name: "min_severity", label: "At least", options: [["", "any severity"], ["debug", "debug"], ["info", "info"], ["warn", "warn"], ["error", "error"], ["fatal", "fatal"]] },
  { name: "service", label: "Service", keys: "logs/service", signs: true, placeholder: "cart, !cart, c*" },
  { name: "body", label: "Text", many: true, size: 24, search: true, placeholder: "failed, or *time?out*", title: "A pattern with * and ?; plain text is looked for anywhere. Enter adds a condition" },
  { name: "trace", label: "Trace", size: 12, placeholder: "id" },
  ATTRIBUTE,
  SINCE,
];

/** What is asked: plain text is looked for anywhere in a body. */
function asked(params) {
  const pairs = [...params].filter(([name]) => name !== "live");
  return pairs.map(([name, value]) => (name === "body" && !/[*?\\]/.test(value) ? [name, `*${value}*`] : [name, value]));
}

const key = ({ shard, sequence }) => `${shard}:${sequence}`;

export function open(main, route) {
  const asker = new Asker();
  let params = route.params, tail = null, isPaused = false, waiting = [], lost = 0, left = 0, missed = 0, seen = new Set(), timer = null;

  const pause = button("Pause", () => {
    isPaused = !isPaused;
    if (!isPaused) flush();
    state();
  }, { "data-pause": true, title: "Pause what comes in (Space)" });
  const live = h("input", { type: "checkbox" });
  live.addEventListener("change", () => {
    const other = new URLSearchParams([...params].filter(([name]) => name !== "live" && name !== "after"));
    if (!live.checked) other.set("live", "0");
    go(to("logs", other));
  });
  const form = filters("logs", FIELDS, [h("label", { class: "check" }, live, "live"), pause, button("Clear the view", () => { put(rows); left = 0; state(); }, { title: "Records stay in the store" })]);
  const status = h("p", { class: "status", role: "status" });
  const report = h("p", { class: "report" });
  const rows = h("ol", { class: "logs" });
  const older = h("p");
  put(main, h("h1", null, "Logs"), form.element, status, rows, older, report);
  arrows(rows, "summary");

  function state(problem) {
    const said = [];
    if (tail) said.push(isPaused ? `paused; ${counted(waiting.length, "record")} waiting` : "live: new records come in at the top");
    if (lost) said.push(`${count(lost)} that came meanwhile are not shown; they are in the store as long as it keeps them`);
    if (missed) said.push(`${count(missed)} were evicted before they could be shown`);
    if (left) said.push(`${count(left)} older rows have left this page`);
    put(status, problem ? h("strong", { class: "warning" }, problem, " ") : "", said.join(" · "));
    put(pause, isPaused ? "Go on" : "Pause");
    pause.setAttribute("aria-pressed", isPaused);
    pause.hidden = !tail;
  }

  function flush() {
    timer = null;
    if (isPaused || !waiting.length) return;
    const some = waiting.splice(0).reverse().slice(0, MOST);
    // Whoever reads further down keeps what he reads where it is.
    const before = document.documentElement.scrollHeight, isReading = scrollY > 300;
    rows.querySelector("li.none")?.remove();
    rows.prepend(...some.map(row));
    while (rows.children.length > MOST) { rows.lastChild.remove(); left += 1; }
    if (isReading) scrollBy(0, document.documentElement.scrollHeight - before);
    state();
  }

  function came(record) {
    if (seen.has(key(record.position))) return;
    waiting.push(record);
    if (waiting.length > WAITING) { waiting.shift(); lost += 1; }
    if (isPaused) {
      if (waiting.length < 50 || waiting.length % 50 === 0) state();
    } else {
      // Not for each one: a flood would leave time for nothing else.
      timer ??= setTimeout(flush, 120);
    }
  }

  function stop() {
    clearTimeout(timer);
    timer = null;
    tail?.close();
    tail = null;
  }

  /** From now on; before what is held is asked for, so that nothing falls between. */
  function follow() {
    stop();
    const conditions = asked(params).filter(([name]) => !["after", "limit", "order", "since", "until"].includes(name));
    const source = new Stream(address("api/tail/logs", conditions));
    tail = source;
    source.addEventListener("message", (event) => came(JSON.parse(event.data)));
    source.addEventListener("missed", (event) => { missed += Number(event.data); state(); });
    source.addEventListener("open", () => state());
    source.addEventListener("error", () => {
      if (tail !== source) return;
      if (source.readyState === Stream.CLOSED) { tail = null; state("The tail was refused: too many are open, or the conditions are not understood."); }
      else state("The server is away; trying again.");
    });
  }

  async function ask() {
    waiting = []; lost = 0; left = 0; missed = 0; seen = new Set();
    const isLive = params.get("live") !== "0" && !params.has("after") && !params.has("order");
    live.disabled = params.has("order");
    live.checked = isLive;
    if (isLive && !document.hidden) follow(); else stop();
    try {
      const told = await asker.ask("api/logs", [...asked(params), ...(params.has("limit") ? [] : [["limit", "200"]])]);
      const { logs: records, next } = told.answer;
      resolve(told.answer, records);
      // What only a kept trace has is in no store, and comes in no tail.
      seen = new Set(records.filter(({ position }) => position).map(({ position }) => key(position)));
      put(rows, records.map(row));
      if (!records.length) put(rows, h("li", { class: "none" }, isLive ? "Nothing fits yet." : "No log record fits."));
      tell(report, told, counted(records.length, "log record"));
      const further = new URLSearchParams([...params].filter(([name]) => name !== "after"));
      if (next) further.set("after", next);
      put(older, next && h("a", { href: to("logs", further) }, "Older records →"));
    } catch (error) {
      if (isAborted(error)) return;
      stop();
      refuse(report, error);
    }
    state();
  }

  // A browser has six connections to a server, and each tail takes one: who does not look has none.
  const look = () => {
    if (document.hidden) stop();
    else if (!isPaused && live.checked && !tail) ask();
  };
  document.addEventListener("visibilitychange", look);
  form.update(params);
  ask();
  return {
    update(route) {
      params = route.params;
      form.update(params);
      isPaused = false;
      ask();
    },
    close() {
      stop();
      asker.stop();
      document.removeEventListener("visibilitychange", look);
    },
  };
}

function row(log) {
  const service = log.service ?? "";
  const time = log.time_unix_nanos === "0" ? log.observed_unix_nanos : log.time_unix_nanos;
  const text = display(log.body) || log.event_name;
  const details = h("details", { class: `log ${level(log.severity_number)}` }, h("summary", null,
    h("time", { title: utc(time) }, clock(time)), h("span", { class: "severity" }, (log.severity ?? "unset").toUpperCase()),
    h("span", { class: "service", css: { "--hue": hue(service) } }, short(service || "no service", 40)), h("span", { class: "body" }, short(text, 1000))));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const facts = [["Time", utc(log.time_unix_nanos)], ["Observed", utc(log.observed_unix_nanos)], ["Severity", [log.severity ?? "none", log.severity_number, log.severity_text].filter(Boolean).join(" ")], ["Event", log.event_name], ["Trace", log.trace_id], ["Span", log.span_id]];
    details.append(h("div", { class: "unfolded" }, h("pre", null, text),
      h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
      section(`Attributes (${Object.keys(log.attributes).length})`, true, attributes(log.attributes, "record", "logs")), origin(log, "logs"), raw(log, "The log record")));
  });
  const trace = log.trace_id && h("a", { class: "trace", href: to(["trace", log.trace_id], log.span_id ? { span: log.span_id } : {}) }, "trace");
  return h("li", null, details, trace);
}
