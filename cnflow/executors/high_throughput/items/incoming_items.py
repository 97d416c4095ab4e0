"""Items that the driver fetches from nodes: what to ask for, and what has arrived. No I/O.

::

    add ──> wanted ── next_wants, on_chunk ... ── the last byte ──> complete
               ├── Gone, the manager is lost ────────────────────> failed
               └── remove

Each manager has a line of its own: one behind a slow network holds up no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.ids import ManagerId
from cnflow.wire.bulk import NEVER, Piece, Receiver, Want

if TYPE_CHECKING:
    from cnflow.model.item import Item
    from cnflow.units import Seconds

Name = tuple[bytes, bytes]
"""Source and id of an item."""


class Arrival(NamedTuple):
    """What a chunk brings."""

    skipped: int
    """Bytes at its beginning that are here already; all of them if it is of no use."""

    is_last: bool
    """The item is complete."""


class IncomingItems:
    """The items; the module has a picture.

    Attributes:
        is_local: managers and interchange are on this machine.
    """

    def __init__(self) -> None:
        self.is_local = False
        self._receivers: dict[ManagerId, Receiver] = {}

    def __len__(self) -> int:
        return sum(len(receiver) for receiver in self._receivers.values())

    def __contains__(self, name: Name) -> bool:
        source, blob = name
        receiver = self._receivers.get(ManagerId(source))
        return receiver is not None and blob in receiver

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        return min((receiver.next_deadline for receiver in self._receivers.values()), default=NEVER)

    def add(self, item: Item) -> None:
        """Fetch *item*, which has bytes, from its source."""
        receiver = self._receivers.setdefault(ManagerId(item.source), Receiver(is_local=self.is_local))
        receiver.add(item.id, item.size)

    def remove(self, name: Name) -> None:
        """Fetch that item no longer."""
        source, blob = ManagerId(name[0]), name[1]
        receiver = self._receivers.get(source)
        if receiver is not None:
            receiver.remove(blob)
            if not len(receiver):
                del self._receivers[source]

    def arrived(self, name: Name) -> int:
        """Bytes of an item that are here; 0 if it is not fetched."""
        receiver = self._receivers.get(ManagerId(name[0]))
        return 0 if receiver is None else receiver.arrived(name[1])

    def on_chunk(self, name: Name, offset: int, length: int, now: Seconds) -> Arrival:
        """Accept bytes of an item."""
        receiver = self._receivers.get(ManagerId(name[0]))
        if receiver is None:
            return Arrival(length, is_last=False)
        skipped = receiver.on_chunk(Piece(name[1], offset, length), now)
        is_last = receiver.is_complete(name[1])
        if is_last:
            self.remove(name)
        return Arrival(skipped, is_last)

    def next_wants(self, now: Seconds) -> list[Want]:
        """Requests to send now."""
        return [
            Want(piece.blob, manager, piece.offset, piece.length)
            for manager, receiver in self._receivers.items()
            for piece in receiver.next_wants(now)
        ]

    def on_tick(self, now: Seconds) -> None:
        """Want again what did not arrive in time."""
        for receiver in self._receivers.values():
            receiver.on_tick(now)

    def on_reconnected(self) -> None:
        """Want again, at once, everything that was on its way."""
        for receiver in self._receivers.values():
            receiver.on_reconnected()
