"""OpenTelemetry traces: a span for each request, with a child for its wait and for each stage.

They are made when a request is answered, of the times that the pipeline has measured anyway, so that it
knows nothing of them. Stages follow each other, so each child begins where the one before it ends. What a
batch took is in the trace of each request that was in it. No span has texts of callers.

Import this only where traces are on: it needs the extra ``lurcher[otel]``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Thread
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lurcher.bundle.manifest import lurcher_version

_log = structlog.get_logger()

_NANO = 1_000_000_000
# That the last spans have to be sent, when a server ends.
_SECONDS = 5.0


class Trace:
    """The spans of one request, which began at ``start`` by the clock of ``perf_counter``."""

    def __init__(self, tracer: Tracer, span: Span, method: str, start: float) -> None:
        self._tracer, self._span, self._method, self._start = tracer, span, method, start

    @property
    def id(self) -> str:
        """The trace's id."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """What names the request's span in a header, as W3C Trace Context has it."""
        found = self._span.get_span_context()
        return f"00-{self.id}-{found.span_id:016x}-{found.trace_flags:02x}"

    def end(self, route: str, status: int, noted: Mapping[str, Any]) -> None:
        """End it now, with what was ``noted`` of the request."""
        span = self._span
        if isinstance(span, ReadableSpan) and span.start_time is not None:  # else it is not sampled
            span.update_name(f"{self._method} {route}")
            span.set_attributes(
                {
                    "http.request.method": self._method, "http.route": route,
                    "http.response.status_code": status,
                }
            )  # fmt: skip
            for name in ("collection", "degraded"):
                if noted.get(name):
                    span.set_attribute(f"lurcher.{name}", noted[name])
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            if "stages" in noted:
                begun = span.start_time + int((noted["since"] - self._start) * _NANO)
                self._add_stages(begun, noted["stages"])
        span.end()

    def _add_stages(self, at: int, stages: Mapping[str, float]) -> None:
        context = set_span_in_context(self._span)
        for name, seconds in stages.items():
            child = self._tracer.start_span(name, context, start_time=at)
            at += int(seconds * _NANO)
            child.end(at)


class Traces:
    """Makes spans and hands them to ``processor``."""

    def __init__(self, processor: SpanProcessor) -> None:
        named = Resource.create({"service.name": "lurcher", "service.version": lurcher_version()})
        # Where the environment has OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES, they count.
        resource = named.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("lurcher", lurcher_version())
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, headers: Mapping[str, str], start: float) -> Trace:
        """Return the trace of a request that begins at ``start``: that which its ``headers`` name, if any."""
        context = self._propagator.extract(headers)
        span = self._tracer.start_span(method, context, SpanKind.SERVER)
        return Trace(self._tracer, span, method, start)

    def close(self) -> None:
        """Send what waits, for some seconds at most: a collector that does not answer ends no server late."""
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_SECONDS)


def to_collector(url: str | None) -> Traces:
    """Return traces that are sent to the collector at ``url``, None: where the environment says."""
    _pass_on_complaints()
    endpoint = None if url is None else f"{url.removesuffix('/v1/traces').rstrip('/')}/v1/traces"
    return Traces(BatchSpanProcessor(OTLPSpanExporter(endpoint)))


def _pass_on_complaints() -> None:
    """Let the server's log say what OpenTelemetry says of itself, such as that nobody takes its spans."""

    class Passing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _log.warning("traces", reason=record.getMessage())

    theirs = logging.getLogger("opentelemetry")
    theirs.handlers, theirs.propagate = [Passing(logging.WARNING)], False
