"""Sends a trace of two spans, a log record and two metrics with OpenTelemetry's Python SDK, packed with gzip.

usage: client.py grpc|http HOST:PORT
"""

import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, address = sys.argv[1:]
if protocol == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def exporter(kind, _path):
        return kind(endpoint=f"http://{address}", insecure=True, compression=Compression.Gzip)

else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=f"http://{address}/v1/{path}", compression=Compression.Gzip)


resource = Resource.create({"service.name": f"python-{protocol}"})
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(exporter(OTLPSpanExporter, "traces")))
trace.set_tracer_provider(tracers)
loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(exporter(OTLPLogExporter, "logs")))
set_logger_provider(loggers)
reader = PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "metrics"))
meters = MeterProvider(resource=resource, metric_readers=[reader])
metrics.set_meter_provider(meters)

log = logging.getLogger("client")
log.addHandler(LoggingHandler(logger_provider=loggers))
meter = metrics.get_meter("client")
tracer = trace.get_tracer("client", "1.0")
with tracer.start_as_current_span("parent", attributes={"lang": "python"}) as parent:
    try:
        with tracer.start_as_current_span("child"):
            log.error("the child has failed")
            raise ValueError("on purpose")
    except ValueError:
        pass
    print(format(parent.get_span_context().trace_id, "032x"))
meter.create_counter("client.count").add(3, {"lang": "python"})
meter.create_histogram("client.time", unit="ms").record(12.5)

for provider in (tracers, loggers, meters):
    assert provider.force_flush() is not False
    provider.shutdown()
