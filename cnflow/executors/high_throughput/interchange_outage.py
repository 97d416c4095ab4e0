"""Outage of the connection with an interchange elsewhere: what the log and `cnflow explain` say of it. No I/O.

::

    on_lost ──> line in the log ── on_lost, each failed attempt ──> a line a minute ── on_connected ──> line: it is back
                    └── describe: for how long, how many attempts, the last failure
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from cnflow.text import brief_duration, duration
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.executors.high_throughput.interchange_host import InterchangeHost

logger = logging.getLogger(__name__)

_REMINDER = Seconds(60.0)
"""Seconds between two lines of one outage."""


class Outage:
    """The present outage, if there is one; the module has a picture. Safe from any thread.

    Args:
        host: of the interchange.
        now: the moment, whenever it is called.
    """

    def __init__(self, host: InterchangeHost, now: Callable[[], Seconds]) -> None:
        self._host = host
        self._now = now
        self._how = ""
        """Cause; empty while the connection stands."""

        self._began = self._reminded = Seconds(-math.inf)
        self._attempts = 0

    def on_lost(self, how: str, due: Seconds) -> None:
        """Note that the connection ended, or could not be made again; the next attempt is at *due*."""
        now = self._now()
        if not self._how:
            self._began, self._reminded, self._attempts, self._how = now, now, 0, how
            left = self._host.words.detached.format(grace=duration(self._host.grace))
            logger.warning("%s %s; connecting again in %.1f s. %s", self._host.name, how, max(0.0, due - now), left)
            return
        self._attempts, self._how = self._attempts + 1, how
        if now - self._reminded >= _REMINDER:
            self._reminded = now
            logger.warning("%s", self.describe())

    def on_connected(self) -> None:
        """Note that the connection stands."""
        if self._how:
            logger.info("%s stands again after %s", self._host.name, brief_duration(self._now() - self._began))
        self._how = ""

    def describe(self) -> str:
        """Sentences for a user who waits; empty while the connection stands."""
        how = self._how
        if not how:
            return ""
        times = f"{self._attempts} attempts" if self._attempts != 1 else "1 attempt"
        return (
            f"{self._host.name} has been broken for {duration(self._now() - self._began)}, after {times} to make it "
            f"again: the last one {how}; see {self._host.log_file}. Tasks that are there go on, and their results wait."
        )
