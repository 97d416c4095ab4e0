"""Connections of the interchange to its managers: a ROUTER, a session for each manager, keys, and limits.

::

    manager ──> Authenticator: is its key admitted? ──no──> rejected, by ZeroMQ
                         │ yes
                         v
    ROUTER ──> receive ──> whose session? ──> Session: next in order? ──> decoded ──> the loop's handler ──> actions
                 │           │                   └── no: dropped, and asked for again
                 │           ├── first message of a new session, `Register`: the session begins
                 │           └── unknown: RegisterAgain. The manager begins a new session
                 └── malformed: dropped; the manager is refused after ten, or after one that was numbered

A manager keeps its messages, results above all, until they are acknowledged, and that is when the driver has them::

    manager                          interchange                                   driver
      ├── Done, number 7 ───────────> │ on_forwarded(12): 7 left in message 12       │
      │                               ├── Results, number 12 ──────────────────────> │
      │                               │ on_delivered(12) <────────── acknowledged ───┤
      │ <── acknowledged: 7 ──────────┤ with the next message; to a leaving manager at once

So whatever this interchange has received when it is killed, its successor gets from the managers.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Callable, Optional

import msgspec

from cnflow.ids import BlockId, ManagerId
from cnflow.interchange.actions import Action, SendRefused, protocol_mismatch
from cnflow.model.manager_settings import PROTOCOL
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.authenticator import Authenticator
from cnflow.wire.bulk import BULK_SUFFIX, without_bulk_suffix
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.session import Session, SessionError, begins_session, identity_of, payload_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds

    Handler = Callable[[ManagerId, msg.FromManager, Sequence[Any], Seconds], list[Action]]

logger = logging.getLogger(__name__)

_LINGER = 1.0
"""Seconds for the last messages to managers to be sent."""

_MOST_FORMER = 1000
"""Sessions of former managers that are kept, so that a manager that ends gets its last acknowledgements."""

_MOST_MESSAGES = 1000
"""Messages of managers that are read in one turn, before the driver has its turn."""

_ANONYMOUS, _ANONYMOUS_BYTES = b"\0", 5
"""Routing ids that ZeroMQ makes: for peers without one, and for what is left of a connection that was taken over."""

_HEARTBEAT = msg.Heartbeat()
_OLDER_REGISTER = b"\x93"
"""First byte of `Register` up to protocol 13, which had no sessions: a MessagePack array of three."""


class ManagerLink:
    """The interchange's end of the connections to all managers; the module has a picture.

    Args:
        settings: of the interchange.

    Attributes:
        port: TCP port that managers connect to; 0 for a socket file.
        is_all_read: the last `receive` left no message behind.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, settings: InterchangeSettings) -> None:
        self._malformed, self._rejected = MalformedMessageLimit(), MalformedMessageLimit()
        self._context = sockets.new_context()
        self._authenticator = Authenticator(self._context, settings.blocks) if settings.secret_key else None
        self._router, self.port = sockets.bind_router(
            self._context, settings.manager_endpoint, settings.ports, settings.secret_key, settings.largest_message
        )
        self.is_all_read = True
        self._is_adoption = settings.is_adoption
        self.handle_bulk: Optional[Callable[[ManagerId, Sequence[Any]], None]] = None
        """Called with each message that arrives over a connection for blobs."""

        self.is_gone: Callable[[ManagerId], bool] = lambda _: False
        """A manager was here, and will not come again."""

        self._sessions: dict[ManagerId, Session] = {}
        self._former: OrderedDict[ManagerId, None] = OrderedDict()
        """Managers that are gone, whose sessions are still there; the oldest first."""

        self._leaving: set[ManagerId] = set()
        self._replaced: dict[ManagerId, bytes] = {}
        """Identity of the session before the current one: a late message of it begins no session."""

        self._heard: dict[ManagerId, Session] = {}
        """Managers with messages since the last `on_forwarded`."""

        self._forwarded: deque[tuple[int, ManagerId, Session, int]] = deque()
        """Number of a message to the driver; manager, session, and number of its message that left in that one."""

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
        count = 0
        if self._router.raw in ready:
            for sender, *frames in self._router.receive(_MOST_MESSAGES):
                count += 1
                if sender.endswith(BULK_SUFFIX):
                    self._accept_bulk(sender, frames, now)
                    continue
                manager = ManagerId(sender)
                if sender[:1] == _ANONYMOUS and len(sender) == _ANONYMOUS_BYTES:
                    continue  # sent again over the connection that took over; or sent by no manager
                if self._malformed.on_message(manager, now):
                    actions += self._accept(manager, frames, handle, now)
        self.is_all_read = count < _MOST_MESSAGES
        return actions

    def send_bulk(self, frames: Sequence[Any]) -> Any:  # noqa: ANN401 - a tracker of ZeroMQ, or None
        """Send a message about a blob, without a session; see `sockets.Socket.send_tracked`."""
        return self._router.send_tracked(frames)

    def send(self, manager: ManagerId, message: msg.ToManager, attached: Sequence[Any] = ()) -> None:
        """Send *message* to *manager*; all but heartbeats arrive, unless it ends or begins a new session."""
        session = self._sessions.get(manager)
        if session is None:
            return
        frames = [msg.encode(message), *attached]
        is_numbered = manager not in self._former and not isinstance(message, msg.Heartbeat)
        self._router.send([manager, *(session.send(frames) if is_numbered else session.send_unnumbered(frames))])

    def request_registration(self, manager: ManagerId) -> None:
        """Make *manager* begin a new session."""
        session = self._sessions.get(manager)
        if session is not None:
            self._send_register_again(manager, session.identity)

    def on_manager_up(self, manager: ManagerId) -> None:
        """Undo `on_manager_gone` for a manager that has registered once more."""
        self._former.pop(manager, None)

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Keep what is necessary to acknowledge the last messages of *manager*, and to refuse its next ones."""
        if manager not in self._sessions or manager in self._former:
            return
        self._sessions[manager].drop_kept()
        self._former[manager] = None
        while len(self._former) > _MOST_FORMER:
            oldest, _ = self._former.popitem(last=False)
            del self._sessions[oldest]
            self._leaving.discard(oldest)
            self._replaced.pop(oldest, None)

    def on_forwarded(self, number: int) -> bool:
        """Note that all that was received from managers has left to the driver, at the latest in message *number*.

        Returns:
            True if a manager that leaves waits for the driver's acknowledgement.
        """
        if not self._heard:
            return False
        for manager, session in self._heard.items():
            self._forwarded.append((number, manager, session, session.received))
        is_urgent = bool(self._leaving) and not self._leaving.isdisjoint(self._heard)
        self._heard.clear()
        return is_urgent

    def on_delivered(self, number: int) -> None:
        """Acknowledge what the managers sent and the driver now has: all in its messages up to *number*."""
        while self._forwarded and self._forwarded[0][0] <= number:
            _, manager, session, received = self._forwarded.popleft()
            session.acknowledge(received, at_once=manager in self._leaving)
            if session.is_due and self._sessions.get(manager) is session:
                self._send_due(manager, session)

    def connect(self, endpoint: str) -> None:
        """Connect to one port of a manager that listens; ZeroMQ makes the connection again when it is lost."""
        self._router.connect(endpoint)

    def disconnect(self, endpoint: str) -> None:
        """End what `connect` began; messages that it has brought are still received."""
        self._router.disconnect(endpoint)

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

    def _accept(self, manager: ManagerId, frames: Sequence[Any], handle: Handler, now: Seconds) -> list[Action]:
        session, before = self._sessions.get(manager), -1
        try:
            if session is None or not frames[0].startswith(session.identity):
                session = self._begin_session(manager, frames)
                if session is None:
                    return []
            before = session.received
            payload = session.on_received(frames)
            if session.received != before:
                self._heard[manager] = session
            if session.is_due:
                self._send_due(manager, session)
            if payload is None:
                return handle(manager, _HEARTBEAT, (), now)
            head, *attached = payload
            message = msg.decode_from_manager(head)
            if isinstance(message, msg.Leaving):
                self._leaving.add(manager)
            return handle(manager, message, attached, now)
        except msg.MALFORMED as error:
            is_lost = session is not None and 0 <= before < session.received
            return self._on_malformed(manager, error, handle, now, is_lost=is_lost)

    def _accept_bulk(self, sender: bytes, frames: Sequence[Any], now: Seconds) -> None:
        """Pass on a message about a blob; a malformed one counts like any other of its manager."""
        manager = ManagerId(without_bulk_suffix(sender))
        if self.handle_bulk is None or not self._malformed.on_message(manager, now):
            return
        try:
            self.handle_bulk(manager, frames)
        except msg.MALFORMED as error:
            if self._malformed.on_malformed(manager, now):
                logger.warning("dropped a malformed message of manager %s about a blob: %s", manager.hex(), error)

    def _on_malformed(
        self, manager: ManagerId, error: Exception, handle: Handler, now: Seconds, *, is_lost: bool
    ) -> list[Action]:
        if self._malformed.on_malformed(manager, now, is_lost=is_lost):
            logger.warning("dropped a malformed message of manager %s: %s", manager.hex(), error)
        if not self._malformed.is_ignored(manager, now):
            return []
        reason = "it sends malformed messages"
        return [*handle(manager, msg.Leaving(reason), (), now), SendRefused(manager, reason)]

    def _begin_session(self, manager: ManagerId, frames: Sequence[Any]) -> Optional[Session]:
        """Return a new session if that is what the message begins; else request one.

        Raises:
            ValueError: the message is none of a session.
        """
        head = frames[0]
        if head[:1] == _OLDER_REGISTER and self._refuse_older(manager, head):
            return None
        identity = identity_of(head)
        if identity == self._replaced.get(manager):
            return None
        if not begins_session(head):
            self._send_register_again(manager, identity)
            return None
        session = Session(identity, acknowledges_received=False)
        if not isinstance(msg.decode_from_manager(payload_of(head)), msg.Register):
            raise SessionError("a session begins with another message than Register")
        former = self._sessions.get(manager)
        if former is not None:
            self._replaced[manager] = former.identity
        self._sessions[manager] = session
        self._former.pop(manager, None)
        self._leaving.discard(manager)
        return session

    def _refuse_older(self, manager: ManagerId, head: bytes) -> bool:
        """Refuse a manager whose messages have no session, in words that it understands; False if it is none."""
        try:
            name, (protocol, version, *_), *_ = msgspec.msgpack.decode(head)
        except (*msg.MALFORMED, TypeError):
            return False
        if name != "Register" or not isinstance(protocol, int):
            return False
        reason = protocol_mismatch(protocol, str(version), PROTOCOL)
        logger.warning("refused manager %s: %s", manager.hex(), reason)
        self._router.send([manager, msg.encode(msg.Refused(reason))])
        return True

    def _send_register_again(self, manager: ManagerId, identity: bytes) -> None:
        """Request a new session, in the name of the one that *manager* has and that is not known here."""
        frames = Session(identity).send_unnumbered([msg.encode(msg.RegisterAgain(self._is_adoption))])
        self._router.send([manager, *frames])

    def _send_due(self, manager: ManagerId, session: Session) -> None:
        for frames in session.take_due():
            self._router.send([manager, *frames])

    def _authenticate(self, authenticator: Authenticator, now: Seconds) -> None:
        rejected = authenticator.handle_request()
        if rejected is not None and self._rejected.on_malformed(rejected, now):
            logger.warning("rejected a connection from %s: its key is not of this run", rejected)
