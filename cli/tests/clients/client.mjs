// Sends a trace of two spans, a log record and two metrics with OpenTelemetry's Node SDK, in JSON packed with gzip.
//
// usage: node client.mjs HOST:PORT

import { SpanStatusCode, context, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const address = process.argv[2];
const of = (path) => ({ url: `http://${address}/v1/${path}`, compression: "gzip" });
const resource = resourceFromAttributes({ "service.name": "node-http" });
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(of("traces")))],
});
const logs = new SimpleLogRecordProcessor({ exporter: new OTLPLogExporter(of("logs")) });
const loggers = new LoggerProvider({ resource, processors: [logs] });
const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(of("metrics")) });
const meters = new MeterProvider({ resource, readers: [reader] });

const tracer = tracers.getTracer("client", "1.0");
const parent = tracer.startSpan("parent", { attributes: { lang: "node" } });
const within = trace.setSpan(context.active(), parent);
const child = tracer.startSpan("child", {}, within);
loggers.getLogger("client").emit({
  severityNumber: SeverityNumber.ERROR,
  severityText: "ERROR",
  body: "the child has failed",
  context: trace.setSpan(context.active(), child),
});
child.recordException(new Error("on purpose"));
child.setStatus({ code: SpanStatusCode.ERROR, message: "on purpose" });
child.end();
parent.end();
const meter = meters.getMeter("client");
meter.createCounter("client.count").add(3, { lang: "node" });
meter.createHistogram("client.time", { unit: "ms" }).record(12.5);

for (const provider of [tracers, loggers, meters]) {
  await provider.forceFlush();
  await provider.shutdown();
}
console.log(parent.spanContext().traceId);
