"""News of a pool's server about workers that do not come, for the log, `cnflow explain` and the error of tasks. No I/O.

::

    NoWorkers ──> on_message ──┬── a line in the log, at the most one a minute
                               └── final ──> error: the executor fails, as one whose own blocks do not work
    a manager has registered ──> NoWorkers without a reason ──> forgotten
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from cnflow.errors import BlockError
from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.clock import Clock
    from cnflow.wire.manager_messages import NoWorkers

logger = logging.getLogger(__name__)

_PERIOD = Seconds(60.0)
"""Seconds between two lines: pods go back and forth between two words for one fault."""


class PoolNews:
    """The present news, if there are any; the module has a picture. `describe` is safe from any thread.

    Args:
        label: of the executor.
        clock: of the lines.
    """

    def __init__(self, label: str, clock: Clock) -> None:
        self._label = label
        self._clock = clock
        self._reason = ""
        self._logged_at = Seconds(-math.inf)

    def on_message(self, message: NoWorkers) -> BlockError | None:
        """Take what the server reports; return the error of all tasks if no worker comes any more."""
        self._reason = message.reason
        if not message.reason:
            self._logged_at = Seconds(-math.inf)
            return None
        if message.is_final:
            return BlockError(
                f"The pool of executor {self._label!r} has no worker, and gets none until that is mended: "
                f"{message.reason}"
            )
        now = self._clock.now()
        if now - self._logged_at >= _PERIOD:
            self._logged_at = now
            logger.warning("the pool of executor %s has no worker; tasks wait: %s", self._label, message.reason)
        return None

    def describe(self) -> str:
        """Sentence on the workers to come, for a user who waits."""
        reason = self._reason
        return f"Its pool has no worker: {reason}" if reason else "The server of its pool starts and ends workers."
