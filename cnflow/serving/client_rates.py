"""Bounds the calls that each client begins in a second. No I/O.

::

    bucket of a client: `burst` tokens ──a call takes one──> empty ──> refused, with the seconds until the next token
                             ^ `rate` tokens a second, up to `burst`

A client that asks evenly at the rate is never refused; one that was silent may begin `burst` calls at once. A refused
call takes nothing, so that a client which tries too often is served at the rate all the same.
"""

from __future__ import annotations

_MOST_CLIENTS = 1024
"""Buckets that are kept; beyond them, full ones are forgotten, which are those of clients that have been silent."""

_ROUNDING = 1e-9


class ClientRates:
    """Buckets of the clients of one model.

    Args:
        rate: calls a second.
        burst: calls that a client may begin at once; None is those of one second, at least one.
    """

    def __init__(self, rate: float, burst: int | None = None) -> None:
        self.rate = rate
        self._size = max(1.0, rate) if burst is None else float(burst)
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens of each client at a time."""

    def __len__(self) -> int:
        """Number of buckets that are kept."""
        return len(self._buckets)

    def take(self, client: str, now: float) -> float:
        """Count a call of *client*; return 0, or the seconds until one may begin, if this one may not."""
        tokens = self._tokens(client, now)
        if tokens < 1 - _ROUNDING:  # sums of many small shares of a token
            return (1 - tokens) / self.rate
        if client not in self._buckets and len(self._buckets) >= _MOST_CLIENTS:
            self._forget_full(now)
        self._buckets[client] = max(0.0, tokens - 1), now
        return 0.0

    def _tokens(self, client: str, now: float) -> float:
        bucket = self._buckets.get(client)
        if bucket is None:
            return self._size
        tokens, since = bucket
        return min(self._size, tokens + (now - since) * self.rate)

    def _forget_full(self, now: float) -> None:
        for client in [each for each in self._buckets if self._tokens(each, now) >= self._size]:
            del self._buckets[client]
