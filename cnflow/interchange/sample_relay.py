"""Passes samples of tasks and nodes on to the driver, behind everything else. No I/O.

::

    manager ──Samples──> on_samples ──> at most LIMIT bytes ──take(), while the line to the driver is idle──> driver
                                           └─full: the oldest are dropped, and counted in the next message
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from cnflow.wire.manager_messages import Samples

LIMIT = 8 * 2**20
"""Bytes that wait: some 100,000 samples."""

_ENTRY = 200
"""Bytes of a message without samples of tasks, and of the sample of a node."""


class SampleRelay:
    """Messages that wait for the driver; see the module."""

    def __init__(self) -> None:
        self._waiting: deque[Samples] = deque()
        self._bytes = 0
        self._lost = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def on_samples(self, message: Samples) -> None:
        """Keep *message* until the driver's line is idle; drop and count the oldest where there is no room."""
        self._waiting.append(message)
        self._bytes += _size(message)
        while self._bytes > LIMIT and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._bytes -= _size(oldest)
            self._lost += oldest.count + len(oldest.nodes) + oldest.dropped

    def take(self) -> list[Samples]:
        """Remove and return all messages."""
        messages, self._waiting, self._bytes = list(self._waiting), deque(), 0
        if self._lost:
            messages[0] = msgspec.structs.replace(messages[0], lost=self._lost)
            self._lost = 0
        return messages


def _size(message: Samples) -> int:
    return len(message.packed) + _ENTRY * (1 + len(message.nodes))
