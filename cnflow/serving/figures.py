"""Metrics and traces of one server: what it counts itself, what its fronts have sent, and what it looks up."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Protocol

from cnflow.config.sinks import OpenTelemetrySink
from cnflow.serving.call_observer import CallObserver
from cnflow.serving.gauges import is_served, service_gauges
from cnflow.serving.metrics import ServingMetrics
from cnflow.serving.traces import RequestTraces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cnflow.config.sinks import SinkSettings
    from cnflow.monitoring.sinks.open_telemetry.client import TraceClient
    from cnflow.monitoring.sinks.open_telemetry.spans import Span
    from cnflow.serving.gauges import CallsNow
    from cnflow.serving.metric_families import Gauge
    from cnflow.serving.service import ModelStatus

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that the end of a server waits for collectors of traces."""


class Watched(Protocol):
    """What is looked up in a `LiveService`."""

    @property
    def is_ready(self) -> bool:
        """Whether every model can answer."""

    def models(self) -> Mapping[str, ModelStatus]:
        """Models by name."""

    def calls_now(self) -> Mapping[str, CallsNow]:
        """Calls at this moment, by the names of their models."""


class ServerFigures:
    """Metrics and traces of one server.

    Args:
        sinks: of its run; spans go to those of OpenTelemetry.

    Attributes:
        metrics: counts of the server, and of a front in its process.
        observer: of its calls.
        service: where states are looked up; None before it is made.
    """

    def __init__(self, sinks: Iterable[SinkSettings]) -> None:
        self.service: Watched | None = None
        self.metrics = ServingMetrics(self._is_served, self._gauges)
        settings = [each for each in sinks if isinstance(each, OpenTelemetrySink)]
        self._clients = [_client_of(each) for each in settings]
        share = max((each.request_share for each in settings), default=0.0)
        traces = RequestTraces(self._send, share, random.Random()) if settings else None  # noqa: S311 - ids of spans
        self.observer = CallObserver(self.metrics, traces, time.time)
        self._ended: list[bytes] = []

    def whole(self, reports: Iterable[bytes] = ()) -> ServingMetrics:
        """Return the counts of the server and of its fronts, those that have ended included."""
        return self.metrics.sum_with([*self._ended, *reports])

    def render(self, reports: Iterable[bytes] = ()) -> str:
        """Return the text that Prometheus reads, with the counts of the fronts in it."""
        return self.whole(reports).render()

    def on_front_ended(self, report: bytes) -> None:
        """Keep the counts of a front that has ended: a counter that falls looks like a restart of the server."""
        if report:
            kept = ServingMetrics().sum_with([*self._ended, report])
            self._ended = [kept.pack()]

    def close(self) -> None:
        """Send the spans that are queued; what the collector does not take in time is lost."""
        for client in self._clients:
            if not client.close(CLOSE_TIMEOUT):
                logger.warning("the collector of OpenTelemetry has not taken all spans within %.0f s", CLOSE_TIMEOUT)

    def _send(self, spans: Sequence[Span]) -> None:
        for client in self._clients:
            client.send(spans)

    def _is_served(self, model: str, version: str) -> bool:
        return self.service is not None and is_served(self.service.models(), model, version)

    def _gauges(self) -> Iterator[Gauge]:
        service = self.service
        if service is not None:
            yield from service_gauges(service.models(), service.calls_now(), is_ready=service.is_ready)


def _client_of(settings: OpenTelemetrySink) -> TraceClient:
    from cnflow.monitoring.sinks.open_telemetry.client import TraceClient  # noqa: PLC0415 - an extra

    return TraceClient(settings.endpoint, settings.service_name)
