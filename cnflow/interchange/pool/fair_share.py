"""Decides whose task is next. No I/O.

The client that holds the fewest workers for its weight is next; of those that hold as many, the one whose last turn is
the longest ago. Long tasks count for as long as they hold a worker, so that a client with tasks of an hour gets no more
workers than one with tasks of a second, and a client that comes late catches up as workers become free: nobody's task
is stopped for that. A client alone gets everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.interchange.pool.client import Client, ClientId

_TURNS_EACH = 8
"""Turns in which a client gets its share of the free workers, so that large pools are filled fast and evenly."""


class FairShare:
    """One round of turns, in which what was given counts at once.

    Args:
        clients: those with tasks that wait.
        turn: number of turns before this round.

    Attributes:
        turn: number of turns so far.
    """

    def __init__(self, clients: Iterable[Client], turn: int) -> None:
        self._given: dict[ClientId, float] = {}
        self._waiting = list(clients)
        self.turn = turn

    def next(self) -> Optional[Client]:
        """Client whose turn it is; None if none waits."""
        return min(self._waiting, key=self._share) if self._waiting else None

    def most(self, room: int) -> int:
        """Tasks without needs that it may have of *room* free workers in this turn."""
        others = len(self._waiting) - 1
        return room if not others else max(1, room // (_TURNS_EACH * (others + 1)))

    def on_given(self, client: Client, cost: float) -> None:
        """Count tasks of *cost* workers that *client* was given."""
        self.turn += 1
        client.turn = self.turn
        self._given[client.id] = self._given.get(client.id, 0.0) + cost

    def on_out(self, client: Client) -> None:
        """Leave *client* out of this round: no task of its has room."""
        self._waiting.remove(client)

    def _share(self, client: Client) -> tuple[float, int]:
        return (client.load + self._given.get(client.id, 0.0)) / client.weight, client.turn
