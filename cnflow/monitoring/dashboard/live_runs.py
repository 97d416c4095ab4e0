"""Asks runs that are going on, through their control sockets, for the pages and actions of the dashboard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cnflow import control_socket
from cnflow.errors import ConfigurationError

_KEPT = 2.0
"""Seconds for which it is believed that a run lives, or does not."""


class LiveRuns:
    """Runs of this machine; one that was started elsewhere, or by another user, is not reached."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, bool]] = {}

    def is_live(self, run_dir: str) -> bool:
        """Return whether the run of the folder *run_dir* answers here."""
        known = self._known.get(run_dir)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        try:
            found = control_socket.find_live_run(Path(run_dir)) == Path(run_dir)
        except (ConfigurationError, OSError):
            found = False
        if len(self._known) > 1_000:  # noqa: PLR2004 - far more than anyone looks at
            self._known.clear()
        self._known[run_dir] = (time.monotonic() + _KEPT, found)
        return found

    def ask(self, run_dir: str, question: dict[str, Any]) -> dict[str, Any]:
        """Return the run's answer to *question*.

        Raises:
            ConfigurationError: it does not answer here, or cannot do that.
        """
        try:
            return control_socket.ask(Path(run_dir), question)
        except OSError as error:
            raise ConfigurationError(
                f"The run in {run_dir} does not answer: it has ended, or goes on on another machine."
            ) from error
