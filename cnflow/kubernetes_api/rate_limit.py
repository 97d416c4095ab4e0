"""Client-side limit of requests: a token bucket, as in kubectl, so that no burst throttles other users' requests.

::

    wait() ── a token left ──> sent at once           tokens: `burst` at most, `rate` new ones each second
          └── none ──────────> the caller sleeps until its token is due
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from cnflow.clock import SystemClock
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.clock import Clock


class RateLimit:
    """Token bucket for all threads of one connection.

    Args:
        rate: requests a second in the long run.
        burst: requests that may be sent at once after a pause.
        clock: source of time.
        sleep: waits some seconds.
    """

    def __init__(
        self, rate: float, burst: int, clock: Clock | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._filled_at = self._clock.now()

    def reserve(self) -> Seconds:
        """Take a token; return the seconds until it is due, in the order of the calls."""
        with self._lock:
            now = self._clock.now()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            self._tokens -= 1
            return Seconds(max(0.0, -self._tokens / self._rate))

    def wait(self) -> None:
        """Take a token and wait until it is due."""
        if delay := self.reserve():
            self._sleep(delay)
