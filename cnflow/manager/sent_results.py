"""Keeps the small results that were sent lately, for an interchange that is restarted. No I/O.

An interchange that is killed may have received results without passing them on to the driver.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.wire.messages import Done, decode_from_manager
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from cnflow.wire.messages import Result

MAX_BYTES = 2**20
"""Size of the messages that are kept; a small result takes about 20 bytes."""


class SentResults:
    """Messages with results, without the frames beside them: a task with a large result is run again instead."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0

    def add(self, message: bytes) -> None:
        """Keep the encoded `Done` *message*, which was just sent; drop the oldest ones beyond `MAX_BYTES`."""
        self._messages.append(message)
        self._bytes += len(message)
        while self._bytes > MAX_BYTES:
            self._bytes -= len(self._messages.popleft())

    def values(self) -> list[Result]:
        """Return the results to send again: values only, which may reach the driver twice without harm.

        A failure is not sent again: the driver may have received it, and the task may be on its next try under the same
        id.
        """
        done = [message for message in map(decode_from_manager, self._messages) if isinstance(message, Done)]
        return [result for d in done for result in d.results if result.kind == ResultKind.VALUE and not result.frames]
