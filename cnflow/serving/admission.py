"""Bounds the calls of one model: how many are with workers, how many wait, how many a client has. No I/O.

::

    enter ──> running ─────────────────────────────────> leave ──> the next one that waits begins
       │         ^ max_concurrency                          (calls of bulk after all others)
       └──> waiting, up to max_queue ── withdraw
       └──> 429 with the seconds after which another try makes sense: those until the queue will have moved up, or
            until the client may begin another call
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from cnflow.serving.service import ServingError

if TYPE_CHECKING:
    from cnflow.serving.client_rates import ClientRates
    from cnflow.units import Seconds

T = TypeVar("T")

_SMOOTH = 0.05
"""Weight of the last gap between two ends in their mean."""

_MOST_WAIT = 60


class Admission(Generic[T]):
    """Calls of one model that are there; *T* is the caller's, compared by identity.

    Args:
        model: its name, for messages.
        max_concurrency: calls that run at one time.
        max_queue: calls that wait.
        max_per_client: calls of one client, running or waiting; None is no limit.
        rates: bounds the calls that one client begins in a second; None does not.
    """

    def __init__(
        self,
        model: str,
        max_concurrency: int,
        max_queue: int,
        max_per_client: int | None = None,
        rates: ClientRates | None = None,
    ) -> None:
        self.model = model
        self.running = 0
        self._max_concurrency = max_concurrency
        self._max_queue = max_queue
        self._max_per_client = max_per_client
        self._rates = rates
        self._of_client: dict[str, int] = {}
        self._waiting: tuple[OrderedDict[T, str], OrderedDict[T, str]] = (OrderedDict(), OrderedDict())
        self._gap = 0.0
        self._last_end: float | None = None

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return len(self._waiting[0]) + len(self._waiting[1])

    def enter(self, call: T, client: str = "", *, is_bulk: bool = False, now: float = 0.0) -> bool:
        """Take *call* in; return True if it begins, False if it waits until `leave` returns it.

        Raises:
            ServingError: 429; it is not taken in.
        """
        begins = self.running < self._max_concurrency
        self._check(client, now, begins=begins)
        if self._max_per_client is not None:
            self._of_client[client] = self._of_client.get(client, 0) + 1
        if begins:
            self.running += 1
        else:
            self._waiting[is_bulk][call] = client
            self._waiting[is_bulk].move_to_end(call)
        return begins

    def leave(self, client: str, now: Seconds) -> T | None:
        """A running call of *client* has ended; return the one that begins in its place."""
        if self._last_end is not None:
            self._gap += (now - self._last_end - self._gap) * _SMOOTH
        self._last_end = now
        self.running -= 1
        self._forget(client)
        for lane in self._waiting:
            if lane and self.running < self._max_concurrency:
                call, _ = lane.popitem(last=False)
                self.running += 1
                return call
        return None

    def withdraw(self, call: T, client: str = "") -> bool:
        """Take a waiting *call* out; False if it does not wait."""
        for lane in self._waiting:
            if lane.pop(call, None) is not None:
                self._forget(client)
                return True
        return False

    def retry_after(self) -> float:
        """Whole seconds until there is likely room, from 1 to 60."""
        return float(min(max(1, math.ceil(self._gap * (self.waiting + 1) / 2)), _MOST_WAIT))

    def _check(self, client: str, now: float, *, begins: bool) -> None:
        """Raise the refusal of a call of *client*, if any; the rate comes last, since calls that are taken count."""
        if self._max_per_client is not None and self._of_client.get(client, 0) >= self._max_per_client:
            raise self._refusal(
                f"Model {self.model!r} answers {self._max_per_client} calls of one client at a time, and this one has "
                "as many.",
                "too_many_calls_of_client",
            )
        if not begins and self.waiting >= self._max_queue:
            raise self._refusal(
                f"Model {self.model!r} has {self.running} calls in progress and {self.waiting} in its queue, which is "
                "full.",
                "too_many_calls",
            )
        if self._rates is not None and (seconds := self._rates.take(client, now)) > 0:
            raise ServingError(
                f"Model {self.model!r} takes {self._rates.rate:g} calls of one client in a second, and this one asks "
                f"more often. Try again in {seconds:.3g} s.",
                429,
                "too_many_calls_per_second",
                retry_after=seconds,
            )

    def _forget(self, client: str) -> None:
        if self._max_per_client is None:
            return
        left = self._of_client.get(client, 0) - 1
        if left > 0:
            self._of_client[client] = left
        else:
            self._of_client.pop(client, None)

    def _refusal(self, message: str, code: str) -> ServingError:
        seconds = self.retry_after()
        return ServingError(f"{message} Try again in {seconds:.0f} s.", 429, code, retry_after=seconds)
