"""Functions of all clients, each kept once: its id is the hash of its content. No I/O.

A client that is to forget functions, or is gone, drops those that no other client has sent.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cnflow.wire.sent_functions import kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import FunctionId
    from cnflow.interchange.pool.client import ClientId
    from cnflow.wire.function_messages import Function


class SharedFunctions:
    """The functions, and who has sent them.

    Attributes:
        table: functions by id, the same object for ever: the scheduler takes from it what managers lack.
    """

    def __init__(self) -> None:
        self.table: dict[FunctionId, Function] = {}
        self._senders: Counter[FunctionId] = Counter()
        self._sent: dict[ClientId, set[FunctionId]] = {}

    def of(self, client: ClientId) -> set[FunctionId]:
        """Functions that *client* has sent and not forgotten."""
        return self._sent.setdefault(client, set())

    def on_received(self, client: ClientId, functions: Iterable[Function]) -> None:
        """Keep *functions* of *client*; the first content of an id stays."""
        sent = self.of(client)
        for function in functions:
            self.table.setdefault(function.id, function)
            if function.id not in sent:
                sent.add(function.id)
                self._senders[function.id] += 1

    def forget(self, client: ClientId, used: Iterable[FunctionId]) -> None:
        """Forget what *client* has sent, but for *used* and the modules of these."""
        sent = self.of(client)
        needless = sent.difference(kept(self.table, used))
        sent -= needless
        self._drop(needless)

    def on_client_gone(self, client: ClientId) -> None:
        """Forget all that *client* has sent."""
        self._drop(self._sent.pop(client, set()))

    def _drop(self, functions: Iterable[FunctionId]) -> None:
        for function in functions:
            self._senders[function] -= 1
            if not self._senders[function]:
                del self._senders[function], self.table[function]
