"""Keeps one pool of a server going: starts it, and starts it again after a failure.

::

    start ──> LivePool ── works ──> ... ──> close
                 │ ^
                 │ └── after a pause: 10 s, doubled up to 5 min; from the beginning once the pool has been ready
                 └── failed (no block works, its image is gone, its interchange died too often)

Drivers find an interchange that was started again at the same port, and send it their unfinished tasks.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cnflow.errors import CnflowError
from cnflow.worker_pool.status import NOT_STARTED, pool_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.model.pool_files import PoolAddress
    from cnflow.worker_pool.pool import LivePool
    from cnflow.worker_pool.status import PoolStatus

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 10.0
"""Seconds from a failure to the next start."""

_LONGEST_PAUSE = 300.0
_LOOK = 0.5
"""Seconds between two looks at a pool that works."""


def pause_after(failures: int) -> float:
    """Return the seconds before the next start, after so many *failures* in a row; pure.

    >>> [pause_after(1), pause_after(2), pause_after(9)]
    [10.0, 20.0, 300.0]
    """
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1))


class PoolKeeper:
    """Runs one pool in a thread, from `start` to `close`.

    Args:
        address: of the pool.
        make: makes the pool, for each start anew; called in the thread.
    """

    def __init__(self, address: PoolAddress, make: Callable[[], LivePool]) -> None:
        self.address = address
        self._make = make
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"cnflow-pool-{address.name}", daemon=True)
        self._pool: LivePool | None = None
        self._error = ""
        self._restarts = 0

    def start(self) -> None:
        """Begin to start the pool."""
        self._thread.start()

    def order_end(self) -> None:
        """Begin to end the pool; `join` waits for that."""
        self._ending.set()

    def join(self) -> None:
        """Wait for the end of the pool, which `order_end` began, if it was started."""
        if self._thread.ident is not None:
            self._thread.join()

    def status(self) -> PoolStatus:
        """State of the pool; safe from any thread."""
        pool = self._pool
        now = NOT_STARTED if pool is None else pool.snapshot()
        return pool_status(self.address, now._replace(error=now.error or self._error), self._restarts)

    # The keeper's thread

    def _serve(self) -> None:
        failures = 0
        while not self._ending.is_set():
            was_ready = self._run_once()
            failures = 1 if was_ready else failures + 1
            if self._ending.wait(pause_after(failures)):
                return
            self._restarts += 1
            logger.warning("pool %s is started again", self.address.name)

    def _run_once(self) -> bool:
        """Run the pool until it fails or is to end; return whether drivers could connect."""
        was_ready = False
        try:
            pool = self._pool = self._make()
            pool.failure_before = self._error
            pool.start()
            try:
                while pool.error is None and not self._ending.wait(_LOOK):
                    pool.report_workers()
                    was_ready = was_ready or pool.is_ready
                    if was_ready:
                        self._error = ""
            finally:
                self._error = "" if pool.error is None else str(pool.error)
                pool.close()
        except CnflowError as error:
            self._error = str(error)
            logger.exception("pool %s cannot be started", self.address.name)
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"
            logger.exception("pool %s failed", self.address.name)
        self._pool = None
        return was_ready
