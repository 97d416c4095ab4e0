"""Sends the run as one trace to a collector; see `spans` for what it has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnflow.monitoring.sinks.open_telemetry.client import TraceClient
from cnflow.monitoring.sinks.open_telemetry.spans import SpanMaker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.config import OpenTelemetrySink
    from cnflow.model.events import AnyEvent

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that the end of a run waits for the collector."""


class Traces:
    """Live half of `cnflow.config.OpenTelemetrySink`; see `cnflow.interfaces.Sink`.

    Args:
        settings: made by the user.
        run_dir: folder of the run; not used.
    """

    def __init__(self, settings: OpenTelemetrySink, run_dir: Path) -> None:  # noqa: ARG002 - as every sink's
        self._client = TraceClient(settings.endpoint, settings.service_name)
        self._maker = SpanMaker()

    def write(self, events: Sequence[AnyEvent]) -> None:
        """Queue the spans that end with *events*."""
        self._client.send(self._maker.spans_of(events))

    def close(self) -> None:
        """Send what is queued; what the collector does not take in time is lost."""
        if not self._client.close(CLOSE_TIMEOUT):
            logger.warning("the collector of OpenTelemetry has not taken all spans within %.0f s", CLOSE_TIMEOUT)
