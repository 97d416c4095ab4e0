"""Connection of the interchange to its driver: a session over a socket that it inherits, or over ones that come and go.

::

    started by the driver (`grace` 0)                   started by a relay (`grace` above 0), see `relay`
    the socket is its stdin                             the socket listens; a relay connects for the driver
      │                                                   │ <─────────────────────────────┐
      ├── messages, heartbeats each half period           ├── the same                    │ another relay, and
      │                                                   ├── closed, or silent for the   │ the session goes on
      │                                                   │   threshold: disconnected ────┘
      └── closed: the driver has ended                    └── disconnected for `grace`: the driver has ended

    driver ──> SessionStream ──> receive ──> decoded: Work, Resubmit, orders, Stop ──> loop
    driver <── SessionStream <── send <── Bound, Results, ManagerUp, reports           <── loop
                 │         ^       └── the socket is full: polled until it is writable, then the rest is sent
                 │         └────────── Spool: messages that its session has no room for, while the driver is away
                 └── keeps what the driver has not acknowledged

A driver that is silent is judged by ticks of this process, each after a look at its socket: an interchange that was
stopped itself, for however long, has missed no more than one.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union, cast

from cnflow.interchange.spool import Spool
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.session_stream import SessionStream
from cnflow.wire.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.wire.bulk import BulkMessage
    from cnflow.wire.stream import ByteSocket

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Brings the connections of a driver that comes and goes: a socket that listens, or the like."""

    def fileno(self) -> int:
        """Descriptor, for the poller."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as of a socket
        """Called with False."""

    def accept(self) -> tuple[ByteSocket, Any]:
        """Return the next connection, and where it comes from.

        Raises:
            OSError: there is none.
        """

    def close(self) -> None:
        """Bring no more."""


class Poller(Protocol):
    """Those methods of a ZeroMQ poller that a link calls."""

    def register(self, source: Any, events: int, /) -> None:  # noqa: ANN401 - a descriptor or a ZeroMQ socket
        """Poll *source* for *events*."""

    def modify(self, source: Any, events: int, /) -> None:  # noqa: ANN401 - the same
        """Poll *source* for other *events*."""

    def unregister(self, source: Any, /) -> None:  # noqa: ANN401 - the same
        """Poll *source* no more."""


class DriverLink:
    """The interchange's end of the connection to the driver; the module has a picture.

    Args:
        settings: of the interchange.
        end: socket to the driver; with a grace, a `Listener`, such as a socket that listens for relays.
        poller: the loop's; the link registers its sockets.
        now: the moment.
        largest: bytes of one frame of a driver that is not trusted; 0 is no limit.

    Attributes:
        connections: number of connections so far.
    """

    def __init__(
        self,
        settings: InterchangeSettings,
        end: Union[ByteSocket, Listener],
        poller: Poller,
        now: Seconds,
        *,
        largest: int = 0,
    ) -> None:
        self._line = SessionStream(bytes.fromhex(settings.session))
        self._poller = poller
        self._largest = largest
        self._is_slow = False
        self._grace = settings.grace
        self._most_ticks = math.ceil(settings.heartbeat_threshold / (settings.heartbeat_period / 2))
        self._silent_ticks = self.connections = 0
        self._over_at = Seconds(math.inf)
        """Moment at which the driver counts as ended, unless it connects before."""

        self._listener: Optional[Listener] = None
        self._spool: Optional[Spool] = None
        """Messages behind those of the session; only for a driver that may be away."""

        if self._grace:
            self._spool = Spool(Path(settings.spool or f"{settings.folder}/spool"), settings.most_spooled)
            self._listener = listener = cast("Listener", end)
            listener.setblocking(False)
            poller.register(listener.fileno(), sockets.READABLE)
            self._over_at = Seconds(now + self._grace)
        else:
            self._connect(cast("ByteSocket", end))

    @property
    def last_sent(self) -> int:
        """Number of the last message to the driver, which it has or will have."""
        return self._line.session.sent + (len(self._spool) if self._spool is not None else 0)

    @property
    def last_delivered(self) -> int:
        """Number up to which the driver has all messages: what they carry need not be kept by anybody else.

        That of the last one if messages wait on disk: the memory of managers is not for results of hours.
        """
        return self.last_sent if self._spool else self._line.session.delivered

    @property
    def is_local(self) -> bool:
        """The driver is a process of this machine, the parent of this one."""
        return self._listener is None

    @property
    def is_away(self) -> bool:
        """The driver is not connected, and may connect again."""
        return self._line.stream is None and self._listener is not None

    @property
    def has_room(self) -> bool:
        """Nothing waits to be sent: a chunk of a blob may go, and control messages wait for no more than that."""
        return self._line.stream is not None and not self._line.has_unsent

    @property
    def is_full(self) -> bool:
        """So much is on its way to the driver that no more tasks should be dispatched."""
        return self._line.session.is_full and (self._spool is None or self._spool.is_full)

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way to the driver that its socket did not take."""
        return not self._is_slow and not self._line.session.is_full

    def is_over(self, now: Seconds) -> bool:
        """Return whether the driver has ended."""
        return now >= self._over_at

    def receive(self, ready: Mapping[Any, int], now: Seconds) -> Iterator[tuple[msg.ToInterchange, list[Any]]]:
        """Send what is left from before, and yield the messages that have arrived, with their attached frames.

        Args:
            ready: descriptors that are readable or writable, as polled.
            now: the moment.
        """
        if self._listener is not None and self._listener.fileno() in ready:
            self._accept(self._listener)
        if self._line.source not in ready:
            return
        if self._is_slow:
            self._line.flush()
        yield from self._read()
        self._watch()
        stream = self._line.stream
        if stream is not None and stream.has_received:
            stream.has_received = False
            self._silent_ticks = 0
        if stream is not None and stream.is_closed:
            self._on_closed("the connection to the driver was closed", now)

    def _read(self) -> Iterator[tuple[msg.ToInterchange, list[Any]]]:
        for head, *attached in self._line.receive():
            message = msg.decode_to_interchange(head)
            if not isinstance(message, msg.Heartbeat):
                yield message, attached
        self._send_spooled()

    def send(self, message: msg.ToDriver, attached: Sequence[Any] = ()) -> None:
        """Send *message*, as far as the socket takes it now; it is kept until the driver has it."""
        frames = [msg.encode(message), *attached]
        if self._spool is not None and (self._spool or self._line.session.is_full):
            self._spool.put(frames)
            return
        self._line.send(frames)
        self._watch()

    def _send_spooled(self) -> None:
        """Send what waits on disk, as far as the driver has acknowledged what was sent before."""
        while self._spool and not self._line.session.is_full:
            self._line.send(self._spool.take())

    def request_acknowledgement(self) -> None:
        """Ask the driver to acknowledge now what it has; `delivered` follows."""
        self._line.request_acknowledgement()
        self._watch()

    def send_unnumbered(self, message: BulkMessage, attached: Sequence[Any] = ()) -> None:
        """Send a *message* that may be lost with the connection."""
        self._line.send_unnumbered([msg.encode(message), *attached])
        self._watch()

    def on_tick(self, now: Seconds) -> None:
        """Send a heartbeat if nothing else was sent since the last tick; give up the connection of a silent driver."""
        if self._line.stream is None:
            return
        self._silent_ticks += 1
        if self._listener is not None and self._silent_ticks > self._most_ticks:
            self._on_closed("the driver is silent", now)
            return
        if not self._line.has_sent:
            self.acknowledge()
        self._line.has_sent = False

    def excuse_silence(self) -> None:
        """Count no silence so far: the owner did not call `receive`."""
        self._silent_ticks = 0

    def acknowledge(self) -> None:
        """Send a heartbeat, which acknowledges what was received."""
        self._line.send_unnumbered([msg.encode(msg.Heartbeat())])
        self._watch()

    def close(self) -> None:
        """Close all sockets; what is not sent is dropped."""
        self._disconnect()
        if self._spool is not None:
            self._spool.close()
        if self._listener is not None:
            self._listener.close()

    def _accept(self, listener: Listener) -> None:
        """Go on over a new connection, whatever became of the one before."""
        try:
            end, _ = listener.accept()
        except OSError as error:  # the relay has gone again, or no descriptor is left
            logger.warning("the connection of a relay cannot be accepted: %s", error)
            return
        self._disconnect()
        self._connect(end)
        self._over_at = Seconds(math.inf)
        logger.info("connected with the driver")

    def _connect(self, end: ByteSocket) -> None:
        self._line.connect(Stream(end, self._largest))
        self.connections += 1
        self._poller.register(self._line.source, sockets.READABLE)
        self._silent_ticks = 0

    def _disconnect(self) -> None:
        if self._line.stream is not None:
            self._poller.unregister(self._line.source)
            self._line.disconnect()
            self._is_slow = False

    def _on_closed(self, reason: str, now: Seconds) -> None:
        if self._listener is None:
            self._over_at = now
            return
        logger.warning("%s; it has %.0f s to connect again", reason, self._grace)
        self._disconnect()
        self._over_at = Seconds(now + self._grace)

    def _watch(self) -> None:
        """Poll for a writable stream while the driver is slower than its messages."""
        if self._line.has_unsent != self._is_slow:
            self._is_slow = self._line.has_unsent
            events = sockets.READABLE | sockets.WRITABLE if self._is_slow else sockets.READABLE
            self._poller.modify(self._line.source, events)
