"""Decides how many bytes of blobs are on their way over one line. No I/O.

Too few, and the line idles between a request and its answer; too many, and control messages wait behind them in the
queues of the network. The window grows until a piece waits `TARGET` longer than on an idle line, and shrinks beyond::

    next window = window x (time of a piece on the idle line + TARGET) / time of a piece now

as in the congestion control FAST TCP (Wei, Jin, Low, Hegde: IEEE/ACM Transactions on Networking 14(6), 2006). The time
on the idle line is the shortest so far. A route may change: so the line is left idle for one round from time to time,
and that time is measured anew::

    open ──PROBE_PERIOD──> probing: one piece at a time ── a piece that was asked for on the idle line arrives ──> open

A line within one machine has a window of one size: nobody else waits in its queue, and a piece that takes long there
waits for a busy processor.
"""

from __future__ import annotations

import math

from cnflow.units import Seconds

KIB = 1024
LEAST_PIECE, MOST_PIECE = 64 * KIB, 1024 * KIB
"""Bytes of one chunk. A control message waits behind one chunk at the most."""

_PIECES = 8
"""Pieces of a full window."""

LEAST, FIRST, MOST = 128 * KIB, 512 * KIB, 16 * 1024 * KIB
"""Bytes of the window."""

LOCAL = 8 * 1024 * KIB
"""Bytes of the window of a line within one machine."""

TARGET = Seconds(0.030)
"""Time that a piece may wait in queues: far below the 100 ms that a small task may take."""

PROBE_PERIOD = Seconds(10.0)


class Window:
    """Bytes that may be on their way over one line.

    Attributes:
        is_local: the line stays within this machine.
    """

    def __init__(self, *, is_local: bool = False) -> None:
        self.is_local = is_local
        self._size = LOCAL if is_local else FIRST
        self._idle_time = math.inf
        self._round_from = Seconds(-math.inf)
        """Pieces that were asked for after this moment tell how the present window does."""

        self._round_bytes = 0
        self._round_time = 0.0
        """Bytes of these pieces so far, and the longest time of one: the first ones after a pause wait for nothing."""

        self._probe_from = Seconds(math.inf)
        """Moment from which only one piece at a time is asked for; infinite while the window is open."""

        self._next_probe = Seconds(math.inf)

    @property
    def size(self) -> int:
        """Bytes that may be on their way now."""
        return self._size if math.isinf(self._probe_from) else LEAST_PIECE

    @property
    def piece(self) -> int:
        """Bytes to ask for at a time: a small part of the window, so that the line never idles."""
        return max(LEAST_PIECE, min(MOST_PIECE, self.size // _PIECES // LEAST_PIECE * LEAST_PIECE))

    def on_piece(self, length: int, asked_at: Seconds, now: Seconds, *, was_full: bool) -> None:
        """Learn from a piece that arrives *now*; *was_full*: the window, not the blobs, limited the requests."""
        if self.is_local:
            return
        taken = max(now - asked_at, 1e-6)
        if not math.isinf(self._probe_from):
            if asked_at > self._probe_from:
                self._idle_time, self._probe_from = taken, Seconds(math.inf)
                self._next_probe = Seconds(now + PROBE_PERIOD)
                self._size = max(LEAST, self._size // 2)  # all of it leaves at once now
                self._begin_round(now)
            return
        self._idle_time = min(self._idle_time, taken)
        if math.isinf(self._next_probe):
            self._next_probe = Seconds(now + PROBE_PERIOD)
        if asked_at < self._round_from:
            return
        self._round_bytes += length
        self._round_time = max(self._round_time, taken)
        if self._round_bytes >= self._size:
            self._end_round(now, was_full=was_full)

    def _end_round(self, now: Seconds, *, was_full: bool) -> None:
        wanted = self._size * (self._idle_time + TARGET) / self._round_time
        if was_full or wanted < self._size:
            self._size = int(max(LEAST, min(MOST, 2 * self._size, max(wanted, self._size / 2))))
        self._begin_round(now)
        if now >= self._next_probe:
            self._probe_from = now

    def _begin_round(self, now: Seconds) -> None:
        self._round_from, self._round_bytes, self._round_time = now, 0, 0.0
