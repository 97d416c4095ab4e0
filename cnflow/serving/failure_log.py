"""Writes failures of models to the log of the server, at most one of a kind in ten seconds. No clock of its own.

::

    model_error, model_broken, worker_died ...──> is the last line of (model, version, code) 10 s old? ──> WARNING
                                                        └── no ──> counted, and named in the next line

The caller gets the class and text of an exception, the log its traceback. Failures of shadows have no other reader.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.serving.service import ServingError

logger = logging.getLogger(__name__)

PERIOD = 10.0
"""Seconds between two lines on failures of one kind: a model that always fails must not fill the disk."""

_FAULT_OF_MODEL = 500


class FailureLog:
    """The failures that a server writes down; see the module."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str, str], tuple[float, int]] = {}
        """Time of the last line, and number of failures since, by model, version and code: bounded by those served."""

    def on_failure(self, model: str, version: str, error: ServingError, now: float, request_id: str = "") -> None:
        """Log *error*, the end of a call, if it is the fault of the model; its ``__cause__`` has the traceback."""
        if error.status != _FAULT_OF_MODEL:
            return
        key = (model, version, error.code)
        last, left_out = self._written.get(key, (now - PERIOD, 0))
        if now - last < PERIOD:
            self._written[key] = (last, left_out + 1)
            return
        self._written[key] = (now, 0)
        name = f"{model}@{version}" if version else model
        more = f"; {left_out} more since the last such line" if left_out else ""
        of = f", request {request_id}" if request_id else ""
        logger.warning("a call of %s failed (%s%s%s): %s", name, error.code, of, more, error, exc_info=error.__cause__)
