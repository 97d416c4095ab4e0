"""Metrics of one front process: it counts its own requests, and asks the server for the text."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.serving.gauges import is_served
from cnflow.serving.metrics import ServingMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.serving.service import ModelStatus

METRICS = "metrics"
"""Command of a front that asks for the text."""

PERIOD = 1.0
"""Seconds between two reports."""


class ServerLink(Protocol):
    """What is needed of `cnflow.serving.link.remote_service.RemoteService`."""

    def models(self) -> Mapping[str, ModelStatus]:
        """Models by name."""

    def report(self, content: bytes) -> None:
        """Send the counts of this front."""

    async def command(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the server."""


class FrontMetrics:
    """Counts the requests of this front; satisfies `cnflow.serving.http.front.RequestMetrics`.

    Args:
        link: to the server.
    """

    def __init__(self, link: ServerLink) -> None:
        self._link = link
        self._metrics = ServingMetrics(lambda model, version: is_served(link.models(), model, version))
        self._has_news = False

    def on_request(self, model: str, version: str, status: int, seconds: float) -> None:
        """Count a call that is answered."""
        self._has_news = True
        self._metrics.on_request(model, version, status, seconds)

    async def render(self) -> str:
        """Return all metrics of the server, as Prometheus reads them.

        Raises:
            ServingError: the server has ended.
        """
        self.report()
        answer = await self._link.command({"do": METRICS})
        return str(answer["text"])

    def report(self) -> None:
        """Send the counts, if they are others than the last ones."""
        if self._has_news:
            self._has_news = False
            self._link.report(self._metrics.pack())

    async def report_for_ever(self) -> None:
        """Send the counts from time to time."""
        while True:
            await asyncio.sleep(PERIOD)
            self.report()
