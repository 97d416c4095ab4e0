"""Connection of the interchange to its managers: a ROUTER, the keys that it accepts, and limits for malformed messages.

::

    manager ──> Authenticator: is its key admitted? ──no──> rejected, by ZeroMQ
                         │ yes
                         v
    ROUTER ──> receive ──> decoded ──> the loop's handler ──> actions
                 │
                 └── malformed: dropped; after ten of them the manager is refused, and ignored for a minute
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable

from cnflow.ids import BlockId, ManagerId
from cnflow.interchange.actions import Action, SendRefused
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.peer_limits import MalformedMessageLimit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds

    Handler = Callable[[ManagerId, msg.FromManager, Sequence[Any], Seconds], list[Action]]

logger = logging.getLogger(__name__)

_LINGER = 1.0
"""Seconds for the last messages to managers to be sent."""


class ManagerLink:
    """The interchange's end of the connections to all managers; the module has a picture.

    Args:
        settings: of the interchange.

    Attributes:
        port: TCP port that managers connect to; 0 for a socket file.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, settings: InterchangeSettings) -> None:
        self._malformed, self._rejected = MalformedMessageLimit(), MalformedMessageLimit()
        self._context = sockets.new_context()
        self._authenticator = sockets.Authenticator(self._context, settings.block_keys) if settings.secret_key else None
        self._router, self.port = sockets.bind_router(
            self._context, settings.manager_endpoint, settings.ports, settings.secret_key, settings.largest_message
        )

    @property
    def sources(self) -> list[Any]:
        """Sockets to poll for reading."""
        return [self._router.raw, *([self._authenticator.raw] if self._authenticator else [])]

    def receive(self, ready: dict[Any, int], handle: Handler, now: Seconds) -> list[Action]:
        """Decide on keys, and pass each message that has arrived to *handle*; return the actions that it returned.

        Args:
            ready: sockets that are readable, as polled.
            handle: may raise one of `cnflow.wire.messages.MALFORMED`.
            now: the moment.
        """
        if self._authenticator and self._authenticator.raw in ready:
            self._authenticate(self._authenticator, now)
        actions: list[Action] = []
        if self._router.raw in ready:
            for sender, *frames in self._router.receive():
                manager = ManagerId(sender)
                if self._malformed.on_message(manager, now):
                    actions += self._decode(manager, frames, handle, now)
        return actions

    def send(self, manager: ManagerId, message: msg.ToManager, attached: Sequence[Any] = ()) -> None:
        """Send *message* to *manager*; it is dropped where no such manager is connected."""
        self._router.send([manager, msg.encode(message), *attached])

    def admit(self, block: BlockId, key: str) -> None:
        """Accept connections with *key*, that of the managers of *block*; empty where connections are not encrypted."""
        if self._authenticator and key:
            self._authenticator.admit(block, key)

    def revoke(self, block: BlockId) -> None:
        """Reject new connections of *block*."""
        if self._authenticator:
            self._authenticator.revoke(block)

    def close(self) -> None:
        """Send what is queued, for a second at the most, and close."""
        if self._malformed.total or self._rejected.total:
            counts = self._malformed.total, self._rejected.total
            logger.warning("malformed messages in all: %d; connections rejected: %d", *counts)
        self._router.close(_LINGER)
        if self._authenticator:
            self._authenticator.close()
        self._context.term()

    def _decode(self, manager: ManagerId, frames: Sequence[Any], handle: Handler, now: Seconds) -> list[Action]:
        try:
            head, *attached = frames
            return handle(manager, msg.decode_from_manager(head), attached, now)
        except msg.MALFORMED as error:
            if self._malformed.on_malformed(manager, now):
                logger.warning("dropped a malformed message of manager %s: %s", manager.hex(), error)
        if not self._malformed.is_ignored(manager, now):
            return []
        reason = "it sends malformed messages"
        return [*handle(manager, msg.Leaving(reason), (), now), SendRefused(manager, reason)]

    def _authenticate(self, authenticator: sockets.Authenticator, now: Seconds) -> None:
        rejected = authenticator.handle_request()
        if rejected is not None and self._rejected.on_malformed(rejected, now):
            logger.warning("rejected a connection from %s: its key is not of this run", rejected)
