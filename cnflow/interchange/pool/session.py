"""One session of a client, as the loop of a pool serves it: its link, its blobs, its pace.

::

    ClientPort ── a pipe ──> PipeListener ──> DriverLink: the session goes on over it
                                                  │ messages, in the client's names
                                                  v
                             BulkLink: large parts, by names of the pool, in a store of this client
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import msgspec

from cnflow.interchange.bulk_link import BulkLink
from cnflow.interchange.driver_link import DriverLink
from cnflow.wire.bulk import Chunk, Gone, Want

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.interchange.manager_link import ManagerLink
    from cnflow.interchange.pool.blobs import BlobOwners
    from cnflow.interchange.pool.client import Client, ClientId
    from cnflow.model.pool_settings import PoolInterchangeSettings
    from cnflow.units import Seconds
    from cnflow.wire import messages as msg
    from cnflow.wire.bulk import BulkMessage
    from cnflow.wire.message_pipe import MessagePipe

_LARGEST_FRAME = 2**30
"""Bytes of one frame of a client; larger arguments travel in pieces."""


class PipeListener:
    """Brings the pipes of the bridges of one session; see `cnflow.interchange.driver_link.Listener`.

    Args:
        number: stands for its descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._waiting: Optional[MessagePipe] = None
        self.pipe: Optional[MessagePipe] = None
        """The present one."""

    def offer(self, pipe: MessagePipe) -> None:
        """Let *pipe* be accepted next."""
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = pipe

    @property
    def has_waiting(self) -> bool:
        """`accept` would return a pipe."""
        return self._waiting is not None

    def fileno(self) -> int:
        """Return the number."""
        return self._number

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as of a socket
        """Nothing: it never blocks."""

    def accept(self) -> tuple[MessagePipe, str]:
        """Return the pipe that was offered.

        Raises:
            OSError: there is none.
        """
        if self._waiting is None:
            raise BlockingIOError
        self.pipe, self._waiting = self._waiting, None
        return self.pipe, ""

    def close(self) -> None:
        """Close a pipe that waits."""
        if self._waiting is not None:
            self._waiting.close()


class _NoPoller:
    """Poller for pipes, whose owner looks at each in each turn."""

    def register(self, source: Any, events: int, /) -> None:  # noqa: ANN401 - as of a poller
        """Nothing."""

    def modify(self, source: Any, events: int, /) -> None:  # noqa: ANN401 - as of a poller
        """Nothing."""

    def unregister(self, source: Any, /) -> None:  # noqa: ANN401 - as of a poller
        """Nothing."""


class _ClientLine:
    """Line of the client's `BulkLink`: messages about arguments and items leave in the names of the client."""

    is_local = False

    def __init__(self, link: DriverLink, client: ClientId, owners: BlobOwners) -> None:
        self._link = link
        self._client = client
        self._owners = owners

    @property
    def connections(self) -> int:
        return self._link.connections

    @property
    def has_room(self) -> bool:
        return self._link.has_room

    def send_unnumbered(self, message: BulkMessage, attached: Sequence[Any] = ()) -> None:
        if not message.source:
            name = self._owners.clients_name_of(message.blob, self._client)
            message = msgspec.structs.replace(message, blob=name)
        self._link.send_unnumbered(message, attached)


class ClientSession:
    """The session; the module has a picture.

    Args:
        record: of the client.
        settings: of the pool.
        number: for the listener.
        managers: connections to the managers.
        owners: of parts of arguments and results, and of items.
        now: the moment.

    Attributes:
        client: number in the pool.
        link: to the driver.
        bulk: large parts.
    """

    def __init__(
        self,
        record: Client,
        settings: PoolInterchangeSettings,
        number: int,
        managers: ManagerLink,
        owners: BlobOwners,
        now: Seconds,
    ) -> None:
        self.record = record
        self._owners = owners
        self.client = client = record.id
        base = settings.spool or settings.folder
        self._folder = Path(base, "clients", f"{client}-{record.session[:8]}")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder, grace = str(self._folder), settings.clients_grace
        own = msgspec.structs.replace(settings, session=record.session, grace=grace, folder=folder, spool="")
        self._listener = PipeListener(number)
        self.link = DriverLink(own, self._listener, _NoPoller(), now, largest=_LARGEST_FRAME)
        self.bulk = BulkLink(own, managers, _ClientLine(self.link, client, owners))
        self._most_queued = settings.most_queued
        self._is_paused = False

    def offer(self, pipe: MessagePipe) -> None:
        """Go on over *pipe*."""
        self._listener.offer(pipe)

    def pace(self) -> None:
        """Read nothing more while too many tasks are queued, and results do get through."""
        self._is_paused = self.record.queued >= self._most_queued and not self.link.is_full
        if self._is_paused:
            self.link.excuse_silence()

    def receive(self, touched: set[int], now: Seconds) -> Iterator[tuple[msg.ToInterchange, list[Any]]]:
        """Yield messages that have arrived; what concerns arguments is in names of the pool.

        Raises:
            ValueError: the client does not keep to the rules.
        """
        for message, attached in self.link.receive(self._ready(touched), now):
            self.record.last_received = now
            if isinstance(message, (Want, Chunk, Gone)) and not message.source:
                name = self._owners.name_of(message.blob, self.client)
                yield msgspec.structs.replace(message, blob=name), attached
            else:
                yield message, attached

    def _ready(self, touched: set[int]) -> Mapping[Any, int]:
        if self._listener.has_waiting:
            return {self._listener.fileno(): 1}
        pipe = self._listener.pipe
        if pipe is None or self._is_paused:
            return {}
        return {pipe.fileno(): 1} if pipe.is_readable or pipe.fileno() in touched else {}

    @property
    def has_more(self) -> bool:
        """There is something to receive that no socket shows."""
        pipe = self._listener.pipe
        return self._listener.has_waiting or (pipe is not None and pipe.is_readable and not self._is_paused)

    def close(self) -> None:
        """Drop everything."""
        self.bulk.close()
        self.link.close()
        shutil.rmtree(self._folder, ignore_errors=True)
