// What the stores hold, what has left them and why, and whether they are in order.

import { ask } from "./api.js";
import { button, h, put, table } from "./dom.js";
import { SIGNALS, oldest, total } from "./holdings.js";
import { every } from "./live.js";
import { ago, bytes, clock, count, counted, percent, utc } from "./numbers.js";
import { refuse } from "./report.js";
import { fetched } from "./token.js";

export const title = "Store";

export function open(main) {
  const stores = h("div", { class: "wide" }), requests = h("div", { class: "wide" }), report = h("p", { class: "report" }), verdict = h("p", { role: "status" });
  const audit = button("Audit", async () => {
    audit.disabled = true;
    put(verdict, "Every index and slot is being checked against the records…");
    try {
      const { answer, took } = await ask("api/audit");
      put(verdict, h("strong", { class: "good" }, "In order: "), `${counted(answer.records, "record")} and ${counted(answer.entries, "index entry", "index entries")} were checked in ${Math.round(took)} ms; each record is held, was evicted or was rejected.`);
    } catch (error) {
      put(verdict, h("strong", { class: "error" }, error.message));
    }
    audit.disabled = false;
  });
  put(main, h("h1", null, "Store"), stores, h("p", null, audit, " ", h("span", { class: "none" }, "While it runs, records come in more slowly.")),
    h("p", null, h("a", { href: "api/export", download: "", on: { click: fetched } }, "Save everything"), " ", h("span", { class: "none" }, "As OTLP/JSON lines, for slipring open, replay and serve --load; ", h("a", { href: "api/export?format=protobuf", download: "", on: { click: fetched } }, "in protobuf"))), verdict, requests, report);

  let before = null;
  const stop = every(2000, async () => {
    try {
      const [{ answer: stats }, { answer: server }, ...firsts] = await Promise.all([ask("api/stats"), ask("api/server"), ...SIGNALS.map(oldest)]);
      const at = performance.now();
      const rates = before && SIGNALS.map((one) => ((stats[one.stats].offered - before.stats[one.stats].offered) * 1000) / (at - before.at));
      before = { stats, at };
      draw(stats, firsts, rates);
      drawServer(server);
      put(report);
    } catch (error) {
      refuse(report, error);
    }
  });

  function draw(stats, firsts, rates) {
    const all = SIGNALS.map((one, place) => ({ ...one, ...stats[one.stats], held: stats[one.stats][`${one.one}_count`], first: firsts[place], rate: rates?.[place] }));
    const row = (name, of, what) => [h("span", { title: what }, name), ...all.map(of)];
    const reasons = (counts) => Object.entries(counts).filter(([, some]) => some).map(([reason, some]) => h("div", null, `${reason.replaceAll("_", " ")}: ${count(some)}`));
    const classOf = (one) => `${count(one.class.count)} of ${count(one.class.capacity)}, ${count(total(one.class.evicted))} evicted`;
    const indexes = (one) => Object.keys(one).filter((name) => name.endsWith("_index_entries")).map((name) =>
      h("div", null, `${name.replace("_index_entries", "")}: ${count(one[name])} keys, ${bytes(one[name.replace("_entries", "_directory_bytes")])}`));
    put(stores, table(["", "#Spans", "#Log records", "#Metric points"], [
      row("Held", (one) => [h("meter", { min: 0, max: one.capacity, value: one.held, "aria-label": "How full it is" }), ` ${count(one.held)} of ${count(one.capacity)} (${percent(one.held, one.capacity)})`]),
      row("Reach back", (one) => (one.first ? h("span", { title: `the oldest is of ${utc(one.first)}` }, h("strong", null, ago(one.first)), ` to ${clock(one.first)}`) : "nothing is held"), "When the oldest record that is still held began"),
      row("Coming in", (one) => (one.rate === undefined || one.rate === null ? "…" : `${count(Math.round(one.rate))}/s`)),
      row("Offered", (one) => count(one.offered), "Records that came, taken or not"),
      row("Evicted", (one) => [h("strong", { class: total(one.evicted) ? "warning" : "" }, count(total(one.evicted))), reasons(one.evicted)], "Records that have left: capacity, newer ones took their place; age, they had been there as long as one may; bytes, newer ones took their bytes"),
      row("Rejected", (one) => [h("strong", { class: total(one.rejected) ? "error" : "" }, count(total(one.rejected))), reasons(one.rejected)], "Records that were not taken"),
      row("Class of errors", (one) => (one.class && !one.shares ? classOf(one) : "none"), "Errors kept apart, so that the flood of the rest does not push them out"),
      row("Beyond shares", (one) => (one.shares ? [classOf(one), h("div", null, `${counted(one.shares.keys, "service")} counted`), one.shares.beyond > 0 && h("div", { class: "warning" }, `${count(one.shares.beyond)} of services beyond those that are counted`)] : "no shares"), "Records of services that have used their share of the rest up, which evict each other"),
      row("Not indexed yet", (one) => count(one.indexer_lag), "Queries see them all the same"),
      row("Memory", (one) => [bytes(one.total_memory_bytes), h("div", null, `records ${bytes(one.data_memory_bytes)}`), h("div", null, `indexes ${bytes(one.index_memory_bytes)}`)]),
      row("Indexes", indexes),
      row("Waits, assists", (one) => `${count(one.waits)}, ${count(one.assists)}`, "Pushes that found no room and waited; batches of the indexer's work that producers did"),
      row("Caught panics", (one) => count(one.caught_panics)),
    ]));
  }

  function drawServer({ version, grpc, http, requests: of }) {
    put(requests, h("h2", null, "Requests"), table(["#Taken", "#Refused", "#Asked to come back", "#Under way", "#Records rejected one by one"], [
      [count(of.taken), of.refused ? h("strong", { class: "warning" }, count(of.refused)) : "0", count(of.overloaded), count(of.in_flight), count(of.rejected_records)]]),
    of.refused > 0 && h("p", null, "Why requests were refused is said on the server's standard error."),
    h("p", { class: "none" }, `slipring ${version}; OTLP/gRPC on ${grpc ?? "another address"}, OTLP/HTTP on ${http ?? location.host}`));
  }

  return { close: stop };
}
