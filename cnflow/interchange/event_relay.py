"""Passes events of workers on to the driver, behind everything else. No I/O.

::

    manager ──Events──> on_events ──> messages ──take(), while the line to the driver is idle──> driver
                                         └─more than LIMIT events: progress of files is dropped, and counted
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from cnflow.wire.manager_messages import Events

LIMIT = 50_000
"""Events that wait before the progress of files is dropped: some 3 MB."""


class EventRelay:
    """Messages that wait for the driver; see the module."""

    def __init__(self) -> None:
        self._waiting: deque[Events] = deque()
        self._count = 0
        self._lost = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def on_events(self, message: Events) -> None:
        """Keep *message* until the driver's line is idle; of too many, drop and count the progress of files."""
        if self._count + len(message.events) > LIMIT:
            kept = [note for note in message.events if not 0 < note.done != note.total]
            self._lost += len(message.events) - len(kept)
            message = msgspec.structs.replace(message, events=kept)
        self._count += len(message.events)
        self._waiting.append(message)

    def take(self) -> list[Events]:
        """Remove and return all messages."""
        messages, self._waiting, self._count = list(self._waiting), deque(), 0
        if self._lost:
            messages[0] = msgspec.structs.replace(messages[0], lost=self._lost)
            self._lost = 0
        return messages
