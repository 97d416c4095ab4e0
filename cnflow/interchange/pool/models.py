"""Models that the clients of a pool want its managers to load before the first task of them. No I/O.

Managers load those of all clients; the news of each goes to the clients that want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import FunctionId
    from cnflow.interchange.pool.client import ClientId
    from cnflow.wire.function_messages import Function


class ClientModels:
    """Models of each client, in the order in which they are to be loaded."""

    def __init__(self) -> None:
        self._wanted: dict[ClientId, dict[FunctionId, Function]] = {}

    def replace(self, client: ClientId, functions: Iterable[Function]) -> None:
        """Have managers load *functions* for *client*, in place of those before."""
        self._wanted[client] = {function.id: function for function in functions}

    def on_client_gone(self, client: ClientId) -> bool:
        """Forget the models of *client*; return whether there were any."""
        return bool(self._wanted.pop(client, None))

    def of(self, client: ClientId) -> set[FunctionId]:
        """Functions that *client* wants to be loaded, with the records of their modules."""
        return set(self._wanted.get(client, ()))

    def all(self) -> list[Function]:
        """Return the functions of all clients, each once, behind the records of its modules."""
        return list({each.id: each for wanted in self._wanted.values() for each in wanted.values()}.values())

    def clients_of(self, function: FunctionId) -> list[ClientId]:
        """Clients that want *function* to be loaded."""
        return [client for client, wanted in self._wanted.items() if function in wanted]
