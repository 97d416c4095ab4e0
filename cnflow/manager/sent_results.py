"""What was sent lately: an interchange that is killed may have taken results, and told nobody; pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.wire.messages import Done, decode_from_manager
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from cnflow.wire.messages import Result

KEPT = 2**20
"""Bytes, of which a small result takes some twenty."""


class SentResults:
    """Messages with results, without what travels beside them: a task with a large result is rather run again."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0

    def sent(self, message: bytes) -> None:
        """This `Done` has left just now."""
        self._messages.append(message)
        self._bytes += len(message)
        while self._bytes > KEPT:
            self._bytes -= len(self._messages.popleft())

    def results(self) -> list[Result]:
        """What a new interchange is to be told: the good ones among the small results, however often it hears them.

        Not that a task failed: the driver may have heard that, and the task be on its next try by the same number.
        """
        done = [message for message in map(decode_from_manager, self._messages) if isinstance(message, Done)]
        return [result for d in done for result in d.results if result.kind == ResultKind.VALUE and not result.frames]
