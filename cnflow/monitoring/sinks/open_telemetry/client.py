"""Sends spans by OTLP over HTTP; the only module that imports OpenTelemetry's SDK."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from cnflow import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.monitoring.sinks.open_telemetry.spans import Span

QUEUE = 100_000
"""Spans that wait for the collector. More are dropped, with a warning of the SDK."""

BATCH = 512
"""Spans of one request."""

SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class TraceClient:
    """Queues spans, and sends them from a thread of the SDK.

    Args:
        endpoint: URL of the collector's traces; None takes that of the variables ``OTEL_EXPORTER_OTLP_...``, which also
            have headers, certificates, compression and limits of time.
        service: name of the service in the traces.
    """

    def __init__(self, endpoint: str | None, service: str) -> None:
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=endpoint), max_queue_size=QUEUE, max_export_batch_size=BATCH
        )
        self._resource = Resource.create({"service.name": service, "service.version": __version__})
        self._scope = InstrumentationScope("cnflow", __version__)

    def send(self, spans: Sequence[Span]) -> None:
        """Queue *spans*; returns at once."""
        for span in spans:
            self._processor.on_end(self._readable(span))

    def close(self, timeout: float) -> bool:
        """Send what is queued, for at most *timeout* seconds; return False if some is left."""
        thread = threading.Thread(target=self._processor.shutdown, name="cnflow-traces", daemon=True)
        thread.start()
        thread.join(timeout)
        return not thread.is_alive()

    def _readable(self, span: Span) -> ReadableSpan:
        status = Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK)
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace, span.id),
            parent=None if span.parent is None else _context(span.trace, span.parent),
            resource=self._resource,
            attributes=span.attributes,
            events=_events(span),
            links=[Link(_context(span.trace, other)) for other in span.links],
            status=status,
            kind=SpanKind.SERVER if span.is_server else SpanKind.INTERNAL,
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end),
            instrumentation_scope=self._scope,
        )


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False, trace_flags=SAMPLED)


def _events(span: Span) -> Sequence[Event]:
    """The exception, in the form of https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans."""
    problem = span.problem
    if problem is None:
        return ()
    attributes = {"exception.type": problem.type_name, "exception.message": problem.message}
    if problem.traceback:
        attributes["exception.stacktrace"] = problem.traceback
    return [Event("exception", attributes, _nanoseconds(span.end))]


def _nanoseconds(time: float) -> int:
    return int(time * 1e9)
