// The line at the top of every view: what is held, how far back it reaches, and what has left.

import { ask } from "./api.js";
import { h, put } from "./dom.js";
import { every } from "./live.js";
import { ago, clock, count } from "./numbers.js";

export const SIGNALS = [
  { signal: "spans", list: "spans", stats: "traces", one: "span", time: "start_unix_nanos" },
  { signal: "logs", list: "logs", stats: "logs", one: "log", time: "time_unix_nanos" },
  { signal: "metrics", list: "points", stats: "metrics", one: "metric", time: "time_unix_nanos" },
];

const WORDS = { spans: "spans", logs: "log records", metrics: "metric points" };

/** All of a list of counts. */
export const total = (counts) => Object.values(counts).reduce((sum, some) => sum + some, 0);

/** When the record began that came first of those held; `null` if none has a time. */
export async function oldest({ signal, list, time }) {
  const { answer } = await ask(`api/${signal}`, { order: "oldest", limit: "1", kept: "no" });
  const record = answer[list][0];
  const at = record && BigInt(record[time] ?? 0);
  return at ? at : record?.observed_unix_nanos ? BigInt(record.observed_unix_nanos) : null;
}

let known = null;

/** What was last known of the stores; asks if nothing is. */
export async function stats() {
  known ??= (await ask("api/stats")).answer;
  return known;
}

export const isEmpty = (stats) => SIGNALS.every((one) => stats[one.stats].offered === 0);

/** Keeps the line as it should be, and tells others when something came in. */
export function keep(line) {
  let before = "";
  every(2000, async () => {
    let told;
    try {
      told = (await ask("api/stats")).answer;
    } catch (error) {
      put(line, h("strong", { class: "error" }, error.message));
      before = "";
      return;
    }
    known = told;
    const change = SIGNALS.map((one) => told[one.stats].offered + total(told[one.stats].evicted)).join(" ");
    if (change !== before) {
      window.dispatchEvent(new CustomEvent("came", { detail: told }));
      before = change;
    }
    const parts = await Promise.all(SIGNALS.map(async (one) => {
      const stats = told[one.stats];
      const held = stats[`${one.one}_count`];
      const first = held ? await oldest(one) : null;
      const left = total(stats.evicted), refused = total(stats.rejected);
      return h("span", { class: "holding", title: first ? `the oldest is of ${clock(first)}` : null },
        h("strong", null, count(held)), ` of ${count(stats.capacity)} ${WORDS[one.signal]}`,
        first ? `, back ${ago(first)}` : "", left ? `, ${count(left)} evicted` : "",
        refused ? h("strong", { class: "warning" }, `, ${count(refused)} rejected`) : "");
    }));
    put(line, parts);
  });
}
