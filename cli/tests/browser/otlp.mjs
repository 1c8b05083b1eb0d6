// OTLP/JSON for the tests: small, made by hand.

import { readFileSync } from "node:fs";

const text = (key, stringValue) => ({ key, value: { stringValue } });
const resource = (service, more = []) => ({ attributes: [text("service.name", service), ...more] });
export const nanos = (after = 0) => String(BigInt(Date.now()) * 1_000_000n + BigInt(after));
const id = (number, digits) => number.toString(16).padStart(digits, "0");
export const traceId = (number) => id(number, 32);
export const spanId = (number) => id(number, 16);

export async function post(url, signal, request) {
  const body = typeof request === "string" ? request : JSON.stringify(request);
  const answer = await fetch(`${url}/v1/${signal}`, { method: "POST", headers: { "content-type": "application/json" }, body });
  if (!answer.ok) throw new Error(`${signal}: ${answer.status} ${await answer.text()}`);
}

/** Sends what `slipring demo --write` wrote. */
export async function sendFile(url, file) {
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const signal = line.startsWith('{"resourceSpans') ? "traces" : line.startsWith('{"resourceLogs') ? "logs" : "metrics";
    await post(url, signal, line);
  }
}

export function logs(service, bodies, more = {}) {
  const logRecords = bodies.map((body) => ({ timeUnixNano: nanos(), severityNumber: 9, severityText: "INFO", body: { stringValue: body }, ...more }));
  return { resourceLogs: [{ resource: resource(service), scopeLogs: [{ logRecords }] }] };
}

export function spans(service, list) {
  return { resourceSpans: [{ resource: resource(service), scopeSpans: [{ scope: { name: "browser-test" }, spans: list }] }] };
}

/** A trace of so many spans: a root, groups of a hundred, and what they did one after the other; each tenth failed. */
export function wide(trace, count) {
  const began = BigInt(Date.now()) * 1_000_000n;
  const list = [];
  for (let at = 0; at < count; at++) {
    const parent = at === 0 ? "" : spanId(at % 100 === 0 ? 1 : Math.floor(at / 100) * 100 + 1);
    const [from, until] = at === 0 ? [0, count * 1000] : at % 100 === 0 ? [at * 1000, (at + 100) * 1000] : [at * 1000, at * 1000 + 900];
    list.push({
      traceId: traceId(trace), spanId: spanId(at + 1), parentSpanId: parent, name: `step ${at}`, kind: 1,
      startTimeUnixNano: String(began + BigInt(from)), endTimeUnixNano: String(began + BigInt(until)),
      attributes: [text("step", String(at)), text("http.route", "/steps/{step}"), text("thread.name", `worker-${at % 7}`)],
      status: at % 10 === 9 ? { code: 2, message: "failed" } : {},
    });
  }
  return spans("wide", list);
}

export const HOSTILE = "<img src=x onerror=alert(1)>";

/** The same in every place where a sender may write, with characters that turn text round. */
export function hostile(trace) {
  const odd = `${HOSTILE}\u202egnp.exe\u0007`;
  const attributes = [text(HOSTILE, odd), text("__proto__", "x"), text("javascript:alert(1)", "javascript:alert(1)")];
  const span = {
    traceId: traceId(trace), spanId: spanId(1), name: odd, kind: 2, startTimeUnixNano: "1700000000123456789", endTimeUnixNano: "1700000000123456999", attributes,
    events: [{ timeUnixNano: "1700000000123456800", name: odd, attributes }], links: [{ traceId: traceId(trace), spanId: spanId(1), attributes }], status: { code: 2, message: odd },
    traceState: "a=<b>",
  };
  const points = [0, 1].map((at) => ({ startTimeUnixNano: "1700000000000000000", timeUnixNano: nanos(at * 1e9), asInt: String(at), attributes }));
  return {
    traces: { resourceSpans: [{ resource: resource(HOSTILE, attributes), scopeSpans: [{ scope: { name: odd, version: odd }, spans: [span] }] }] },
    logs: { resourceLogs: [{ resource: resource(HOSTILE), scopeLogs: [{ scope: { name: odd }, logRecords: [{ timeUnixNano: nanos(), severityNumber: 17, severityText: odd, body: { stringValue: odd }, attributes, traceId: traceId(trace), spanId: spanId(1) }] }] }] },
    metrics: { resourceMetrics: [{ resource: resource(HOSTILE), scopeMetrics: [{ metrics: [{ name: HOSTILE, unit: odd, description: odd, sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: points } }] }] }] },
  };
}
