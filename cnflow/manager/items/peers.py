"""Direct connections between managers of a run, for items; the interchange relays where there is none.

::

    manager that keeps items                          manager that needs one
      listen, at any port ── Serving ──> interchange ──> connect to each of its addresses
           │                                              │  the first handshake that succeeds: the line
           │ <────────────────── Want ────────────────────┤
           ├─────────────────── Chunk ──────────────────> │
           │                                              └── lost, silent for `_PATIENCE`, Gone ──> the interchange
    ends with its manager                                        is asked, from then on

A handshake proves that it is the right manager: only the interchange, over its own encrypted connections, hands out the
key that it takes. Nothing is believed of a direct line but bytes, which are verified: that an item is gone is asked of
the interchange again.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from cnflow.addresses import addresses_for_others, in_url
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.peer_messages import Serving, decode_lane

if TYPE_CHECKING:
    from cnflow.ids import ManagerId
    from cnflow.units import Seconds

    Reply = Callable[[Union[Chunk, Gone], Optional[bytes]], None]

logger = logging.getLogger(__name__)

_PATIENCE = 3.0
"""Seconds without a message in reply to a request after which a line is given up."""

_MOST_HOSTS = 4
_MOST_MESSAGES = 16


class _Line:
    """Connection to one manager, or several that are tried.

    Attributes:
        dealer: the connection; None while none is there.
        asked_at: moment of the first request after the last message; infinite if there is none.
    """

    def __init__(self, tried: list[tuple[sockets.Socket, sockets.ConnectionMonitor]]) -> None:
        self.tried = tried
        self.dealer: Optional[sockets.Socket] = None
        self.asked_at = math.inf


class Peers:
    """The connections; the module has a picture.

    Args:
        manager: id of this manager.
        poller: the loop's.
        is_open: serve others, and ask them; else everything goes through the interchange. Only where connections are
            encrypted: the key is what keeps all others who reach the port from what tasks have left.
    """

    def __init__(self, manager: ManagerId, poller: sockets.Poller, *, is_open: bool = True) -> None:
        self._is_open = is_open
        self._manager = manager
        self._poller = poller
        self._router: Optional[sockets.Socket] = None
        self._lines: dict[bytes, Optional[_Line]] = {}
        """By manager; None for one whose line was given up."""

        self._malformed = MalformedMessageLimit()

    def serve(self, context: Any) -> Optional[Serving]:  # noqa: ANN401 - ZeroMQ's
        """Listen for other managers; return what they have to know, or None if that is not wanted, or possible."""
        if not self._is_open:
            return None
        public, secret = sockets.new_key_pair()
        try:
            self._router, port = sockets.bind_peer_router(context, secret)
        except OSError as error:
            logger.warning("other managers get the items of this one through the interchange: %s", error)
            return None
        self._poller.register(self._router.raw, sockets.READABLE)
        return Serving(self._manager, addresses_for_others()[:_MOST_HOSTS], port, public)

    def on_serving(self, context: Any, serving: Serving) -> None:  # noqa: ANN401 - ZeroMQ's
        """Try to connect to a manager."""
        is_new = serving.source != self._manager and self._lines.get(serving.source) is None
        if not (self._is_open and serving.key and is_new):
            return
        curve = (serving.key, *sockets.new_key_pair())
        tried = []
        for host in serving.hosts[:_MOST_HOSTS]:
            endpoint = f"tcp://{in_url(host)}:{serving.port}"
            tried.append(sockets.connect_monitored_dealer(context, endpoint, b"", curve))
        for _, monitor in tried:
            self._poller.register(monitor.raw, sockets.READABLE)
        self._lines[serving.source] = _Line(tried)

    def send(self, want: Want, now: Seconds) -> bool:
        """Ask the manager that has an item directly; return False if the interchange is to be asked."""
        line = self._lines.get(want.source)
        if line is None or line.dealer is None:
            return False
        if now - line.asked_at >= _PATIENCE:
            self._give_up(want.source, f"silent for {_PATIENCE:g} s")
            return False
        line.asked_at = min(line.asked_at, now)
        line.dealer.send([msg.encode(want)])
        return True

    def receive(
        self,
        ready: dict[Any, int],
        now: Seconds,
        on_chunk: Callable[[Chunk, Any, Seconds], None],
        on_want: Callable[[Want, Seconds, Reply], None],
    ) -> list[bytes]:
        """Handle what has arrived.

        Args:
            ready: sockets and descriptors.
            now: the moment.
            on_chunk: called with bytes of an item.
            on_want: called with a request of another manager, and with what sends the reply.

        Returns:
            Managers whose lines were given up: what they were asked for is to be asked of the interchange.
        """
        if self._router is not None and self._router.raw in ready:
            self._serve_requests(self._router, now, on_want)
        lost: list[bytes] = []
        for source, line in list(self._lines.items()):
            if line is None:
                continue
            self._follow_connections(source, line, ready)
            if line.dealer is not None and line.dealer.raw in ready:
                self._read(source, line, now, on_chunk)
            if self._lines[source] is None:
                lost.append(source)
        return lost

    def close(self) -> None:
        """Close all connections."""
        for source in list(self._lines):
            self._close(source)
        if self._router is not None:
            self._poller.unregister(self._router.raw)
            self._router.close()
            self._router = None

    def _serve_requests(
        self, router: sockets.Socket, now: Seconds, on_want: Callable[[Want, Seconds, Reply], None]
    ) -> None:
        for sender, *frames in router.receive(_MOST_MESSAGES):
            try:
                (head,) = frames
                message = decode_lane(head)
                if not isinstance(message, Want) or message.source != self._manager:
                    raise ValueError("a manager asks for nothing, or for what another one has")
            except msg.MALFORMED as error:
                if self._malformed.on_malformed("another manager", now):
                    logger.warning("dropped a malformed message of another manager: %s", error)
                continue
            on_want(message, now, self._replying_to(sender))

    def _replying_to(self, sender: bytes) -> Reply:
        def reply(message: Union[Chunk, Gone], content: Optional[bytes]) -> None:
            if self._router is not None:  # a peer that is gone meanwhile is dropped by ZeroMQ
                self._router.send([sender, msg.encode(message), *(() if content is None else (content,))])

        return reply

    def _follow_connections(self, source: bytes, line: _Line, ready: dict[Any, int]) -> None:
        for dealer, monitor in list(line.tried):
            if monitor.raw not in ready or (dealer, monitor) not in line.tried:  # closed, since another was first
                continue
            for is_connected in monitor.read():
                if is_connected and line.dealer is None:
                    line.dealer = dealer
                    self._poller.register(dealer.raw, sockets.READABLE)
                    self._close_all_but(line, dealer)
                    logger.info("connected to manager %s, for items", source.hex())
                elif not is_connected and line.dealer is dealer:
                    self._give_up(source, "the connection was lost")
                    return
            if monitor.is_refused:
                self._give_up(source, "it refuses this one")
                return

    def _read(self, source: bytes, line: _Line, now: Seconds, on_chunk: Callable[[Chunk, Any, Seconds], None]) -> None:
        assert line.dealer is not None
        for head, *attached in line.dealer.receive(_MOST_MESSAGES):
            line.asked_at = math.inf
            try:
                message = decode_lane(head)
                if isinstance(message, Chunk) and message.source == source:
                    (data,) = attached
                    on_chunk(message, getattr(data, "buffer", data), now)
                    continue
                reason = "it does not have the item"
            except msg.MALFORMED as error:
                reason = f"it sends malformed messages: {error}"
            self._give_up(source, reason)
            return

    def _give_up(self, source: bytes, reason: str) -> None:
        logger.info("items of manager %s come through the interchange: %s", source.hex(), reason)
        self._close(source)

    def _close(self, source: bytes) -> None:
        line = self._lines[source]
        if line is not None:
            if line.dealer is not None:
                self._poller.unregister(line.dealer.raw)
            self._close_all_but(line, None)
        self._lines[source] = None

    def _close_all_but(self, line: _Line, kept: Optional[sockets.Socket]) -> None:
        for dealer, monitor in line.tried:
            if dealer is not kept:
                self._poller.unregister(monitor.raw)
                monitor.close()
                dealer.close()
        line.tried = [each for each in line.tried if each[0] is kept]
