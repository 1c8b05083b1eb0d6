// How to send: what stands here is to be copied.

import { ask } from "./api.js";
import { button, copy, h, put, say } from "./dom.js";
import { to } from "./route.js";
import { request } from "./token.js";

export const title = "How to send";

/** The port of gRPC, which only the server knows; the host is the one that brought the page. */
async function endpoints() {
  const { answer } = await ask("api/server").catch(() => ({ answer: {} }));
  const port = answer.grpc?.split(":").at(-1) ?? "4317";
  return { http: new URL(".", location.href).href.replace(/\/$/, ""), grpc: `${location.protocol}//${location.hostname}:${port}`, hasToken: answer.token === true };
}

function code(text, what) {
  return h("div", { class: "code" }, h("pre", { tabindex: "0", "aria-label": what }, text), button("Copy", () => copy(text, what), { "aria-label": `Copy: ${what}` }));
}

const random = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A trace of three spans with a log record and a measurement, as OTLP/JSON. */
function sample() {
  const traceId = random(16), [root, call, query] = [random(8), random(8), random(8)];
  const at = (after) => String(BigInt(Date.now() - 300 + after) * 1_000_000n);
  const text = (key, stringValue) => ({ key, value: { stringValue } });
  const resource = (name) => ({ attributes: [text("service.name", name)] });
  const scope = { name: "slipring.page" };
  const span = (spanId, parentSpanId, name, kind, from, until, more) => ({ traceId, spanId, parentSpanId, name, kind, startTimeUnixNano: at(from), endTimeUnixNano: at(until), ...more });
  const frontend = [
    span(root, "", "GET /hello", 2, 0, 250, { attributes: [text("http.route", "/hello")] }),
    span(call, root, "GET", 3, 20, 230, { attributes: [text("url.full", "/greeting")] }),
  ];
  const failed = { status: { code: 2, message: "no such greeting" }, events: [{ timeUnixNano: at(200), name: "exception", attributes: [text("exception.type", "NotFound")] }] };
  const back = [span(query, call, "GET /greeting", 2, 40, 215, failed)];
  const log = { timeUnixNano: at(200), severityNumber: 17, severityText: "ERROR", body: { stringValue: "no greeting for this language" }, traceId, spanId: query };
  const point = { startTimeUnixNano: at(0), timeUnixNano: at(250), asInt: "1", exemplars: [{ timeUnixNano: at(210), asInt: "1", traceId, spanId: query }] };
  return { traceId, requests: {
    traces: { resourceSpans: [{ resource: resource("hello"), scopeSpans: [{ scope, spans: frontend }] }, { resource: resource("greeter"), scopeSpans: [{ scope, spans: back }] }] },
    logs: { resourceLogs: [{ resource: resource("greeter"), scopeLogs: [{ scope, logRecords: [log] }] }] },
    metrics: { resourceMetrics: [{ resource: resource("greeter"), scopeMetrics: [{ scope, metrics: [{ name: "greetings", unit: "1", sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [point] } }] }] }] },
  } };
}

async function sendSample() {
  const { traceId, requests } = sample();
  for (const [signal, telemetry] of Object.entries(requests)) {
    const answer = await request(`v1/${signal}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(telemetry) });
    if (!answer.ok) throw new Error(`The server answers ${answer.status}`);
  }
  return traceId;
}

/** Puts what a newcomer needs into an element. */
export async function welcome(element) {
  if (element.firstChild) return;
  const { http, grpc, hasToken } = await endpoints();
  const variable = hasToken ? "\nexport OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20$SLIPRING_TOKEN" : "";
  const header = hasToken ? ` -H "authorization: Bearer $SLIPRING_TOKEN"` : "";
  const curl = `curl -s ${http}/v1/traces${header} -H 'content-type: application/json' -d '${JSON.stringify(sample().requests.traces)}'`;
  const shop = `slipring demo --requests 100 --write - | while IFS= read -r line; do
  case $line in '{"resourceSpans'*) to=traces;; '{"resourceLogs'*) to=logs;; *) to=metrics;; esac
  printf %s "$line" | curl -s -o /dev/null${header} -H 'content-type: application/json' --data-binary @- ${http}/v1/$to
done`;
  const send = button("Send a sample trace, log and metric", async () => {
    try { location.hash = to(["trace", await sendSample()]); } catch (error) { say(error.message); }
  });
  put(element, h("section", { class: "welcome" },
    h("h2", null, "Send it something"),
    h("p", null, "It takes OTLP, as every OpenTelemetry SDK and the Collector send it. What comes in shows here at once."),
    h("p", null, send, " or set one of these for your program:"),
    h("h3", null, "SDKs, over HTTP"),
    code(`export OTEL_EXPORTER_OTLP_ENDPOINT=${http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf${variable}\nexport OTEL_SERVICE_NAME=my-service`, "Variables for HTTP"),
    h("h3", null, "SDKs, over gRPC"),
    code(`export OTEL_EXPORTER_OTLP_ENDPOINT=${grpc}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=grpc${variable}\nexport OTEL_SERVICE_NAME=my-service`, "Variables for gRPC"),
    h("p", { class: "none" }, "Exporters wait: spans and logs some seconds, metrics a minute. OTEL_BSP_SCHEDULE_DELAY=500, OTEL_BLRP_SCHEDULE_DELAY=500 and OTEL_METRIC_EXPORT_INTERVAL=5000 (milliseconds) make that shorter."),
    h("h3", null, "The Collector"),
    code(`exporters:\n  otlp_http/slipring:\n    endpoint: ${http}${hasToken ? '\n    headers:\n      authorization: Bearer ${env:SLIPRING_TOKEN}' : ''}`, "The Collector's exporter"),
    h("h3", null, "By hand"), code(curl, "A trace by curl"),
    h("h3", null, "A made-up shop"), code(shop, "The shop's telemetry"),
    h("p", null, "What there is to ask: ", h("a", { href: "api/reference", target: "_blank", rel: "noopener" }, "the reference of the API"), ".")));
}

export function open(main) {
  const body = h("div");
  put(main, h("h1", null, "How to send"), body);
  welcome(body);
}
