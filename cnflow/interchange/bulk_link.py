"""Moves blobs between the relay's decisions and the connections of the interchange.

::

    managers: second connection of each, to the same ROUTER ──> on_manager_message ──┐
                     ^                                                               ├──> BulkRelay
    driver: its stream, shared with control messages ────────> on_driver_message ────┘        │
                     ^                                                                         │
                     └── flush: requests, then chunks, each only while the stream has room <──┘

The same port as for control messages: firewalls, tunnels and gateways open one. A manager that asks and does not read
fills nothing: `_MOST_QUEUED` bytes wait in its queue, and what it wants beyond is dropped; it wants it again.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, Protocol, Union

from cnflow.ids import ManagerId
from cnflow.interchange.blob_store import BlobStore
from cnflow.interchange.bulk_relay import BulkRelay, ToManager
from cnflow.interchange.large_results import INTERCHANGE, LargeResults
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire.bulk import Chunk, Release, Want, with_bulk_suffix
from cnflow.wire.bulk_window import MOST
from cnflow.wire.peer_messages import Serving, decode_lane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.interchange.manager_link import ManagerLink
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.wire.bulk import BlobId, BulkMessage

logger = logging.getLogger(__name__)

_MOST_QUEUED = 2 * MOST
"""Bytes of chunks that wait for one manager's connection."""

NO_COPIES: Mapping[ManagerId, list[BlobId]] = MappingProxyType({})

_MOST_MESSAGES = 16
"""Messages that one `flush` sends, before control messages have their turn."""


class DriverLine(Protocol):
    """Connection to a driver, as far as blobs are concerned; see `cnflow.interchange.driver_link.DriverLink`."""

    @property
    def connections(self) -> int:
        """Number of connections so far."""

    @property
    def is_local(self) -> bool:
        """The driver is the parent of this process."""

    @property
    def has_room(self) -> bool:
        """Nothing waits to be sent."""

    def send_unnumbered(self, message: BulkMessage, attached: Sequence[Any] = ()) -> None:
        """Send a message that may be lost with the connection."""


class BulkLink:
    """Binds the relay to the sockets; the module has a picture.

    Args:
        settings: of the interchange.
        managers: connections to the managers.
        driver: connection to the driver.

    Attributes:
        results: those whose large parts are fetched while the driver is away.
        on_fetched: called with the manager's parts once they are here, and it need not keep them.
    """

    def __init__(self, settings: InterchangeSettings, managers: ManagerLink, driver: DriverLine) -> None:
        self._managers = managers
        self._driver = driver
        self._store = BlobStore(Path(settings.folder) / "blobs")
        spool = Path(settings.spool or settings.folder) / "results"
        store = BlobStore(spool, most_in_memory=0)
        self.results = LargeResults(store, spool, settings.most_spooled, self._send_about_result)
        self.on_fetched: Callable[[Release], object] = bool
        self._now = Seconds(0.0)
        """Moment of the present turn of the loop."""

        self._relay = BulkRelay(
            self._store,
            self._send_to_manager,
            is_local=driver.is_local,
            is_gone=managers.is_gone,
        )
        self._queued: dict[ManagerId, deque[tuple[Any, int]]] = {}
        """Chunks that ZeroMQ may still have: what tracks each, and its bytes."""

        self._connections = driver.connections
        self._has_more = False

    def due(self, other: Seconds, now: Seconds) -> Seconds:
        """Moment at which to call `flush` and `on_tick`, if that is before *other*."""
        if self._has_more:
            return now
        if self._relay.is_idle and self.results.is_idle:
            return other
        return min(other, self._relay.next_deadline, self.results.next_deadline)

    def on_tasks(self, tasks: Iterable[msg.TaskParcel]) -> None:
        """Note the blobs and items of *tasks*."""
        self._relay.on_tasks(tasks)

    def on_released(self, release: Release, copies: Mapping[ManagerId, list[BlobId]] = NO_COPIES) -> None:
        """Drop blobs that nobody needs, here, at their manager, and those of which managers have *copies*."""
        source = release.source
        if source == INTERCHANGE:
            self.results.release(release.blobs)
            return
        self._relay.on_released(source, release.blobs)
        if source:
            self._managers.send(ManagerId(source), release)
        for manager, blobs in copies.items():
            if manager != source:
                self._managers.send(manager, Release(source, blobs))

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Forget what concerns *manager*."""
        self._queued.pop(manager, None)
        self.results.on_manager_gone(manager)
        self._relay.on_manager_gone(manager)

    def on_driver_message(self, message: BulkMessage, attached: Sequence[Any], now: Seconds) -> None:
        """Handle a message of the driver about a blob."""
        if isinstance(message, Want) and message.source == INTERCHANGE:
            if (gone := self.results.on_want(message)) is not None:
                self._driver.send_unnumbered(gone)
            return
        self._relay.on_driver_message(message, attached[0] if attached else None, now)

    def flush(self, now: Seconds) -> None:
        """Send the driver what it waits for, as long as its stream has room and for a moment at the most."""
        if self._connections != self._driver.connections:
            self._connections = self._driver.connections
            self._relay.on_new_driver_line()
            self.results.on_new_driver_line()
        self._now = now
        if self._relay.is_idle and self.results.is_idle:  # nearly always, and each turn comes here
            self._has_more = False
            return
        if now >= self._relay.next_deadline:
            self._relay.on_tick(now)
        self._has_more = False
        self.results.ask(now)
        for _ in range(_MOST_MESSAGES):
            if not self._driver.has_room:
                return
            to_driver = self._relay.next_for_driver(now) or self.results.next_for_driver()
            if to_driver is None:
                return
            message, data = to_driver
            self._driver.send_unnumbered(message, () if data is None else (data,))
        self._has_more = True

    def on_manager_message(self, manager: ManagerId, frames: Sequence[Any]) -> None:
        """Handle a message that came over the second connection of a manager.

        Raises:
            ValueError: it is one that no manager sends.
        """
        head, *attached = frames
        message = decode_lane(head)
        if isinstance(message, Chunk) != bool(attached) or len(attached) > 1:
            raise ValueError(f"{len(attached)} frames after a {type(message).__name__}")
        if isinstance(message, Serving):
            self._relay.on_serving(manager, message)
            return
        data = attached[0] if attached else None
        if not self.results.on_manager_message(manager, message, data, self._now):
            self._relay.on_manager_message(manager, message, data)

    def close(self) -> None:
        """Drop everything."""
        if len(self._relay):
            logger.info("%d blobs were left at the end", len(self._relay))
        self._store.clear()
        self.results.close()

    def _send_about_result(self, manager: ManagerId, message: Union[BulkMessage, Release]) -> None:
        if isinstance(message, Release):
            self._managers.send(manager, message)
            self.on_fetched(message)
        else:
            self._send_to_manager(ToManager(manager, message))

    def _send_to_manager(self, to: ToManager) -> None:
        head = msg.encode(to.message)
        address = with_bulk_suffix(to.manager)
        if to.data is None:
            self._managers.send_bulk([address, head])
            return
        queued = self._queued.setdefault(to.manager, deque())
        while queued and queued[0][0].done:
            queued.popleft()
        data = getattr(to.data, "buffer", to.data)  # a frame that has come from another manager cannot be tracked
        if sum(size for _, size in queued) + len(data) <= _MOST_QUEUED:
            tracker = self._managers.send_bulk([address, head, data])
            if tracker is not None:
                queued.append((tracker, len(data)))
