"""Connection of the driver with the present interchange: the process, the stream to it, the session over that stream.

::

    start ──> process, new session ──┬── a child: connected at once ───────────────────────────┬──> receive, send
    attach ─> process, same session ─┴── a relay: connected after its greeting, session resumed┘
                                          └── "gone": `is_gone`, and the process ends            on_ended ──> closed
"""

from __future__ import annotations

import logging
import select
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.model.interchange_settings import GONE
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire.session import new_identity
from cnflow.wire.session_stream import SessionStream

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from cnflow.executors.high_throughput.interchange_host import InterchangeHost
    from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
    from cnflow.model.interchange_settings import InterchangeSettings

logger = logging.getLogger(__name__)

_ACKNOWLEDGE_AFTER = Seconds(0.1)
"""Idle time after which messages are acknowledged that no other message has acknowledged."""

_HEARTBEAT = msg.encode(msg.Heartbeat())


class InterchangeConnection:
    """The client's end; the module has a picture. For the client's thread, but for `send`.

    Args:
        host: where interchanges run.
        wake: descriptor that ends `poll`.
        lock: held by whoever calls `send` and `flush`.

    Attributes:
        host: where interchanges run.
        is_gone: the relay has found no interchange.
        is_greeted: the process is an interchange, or a relay that has reached one.
    """

    def __init__(self, host: InterchangeHost, wake: int, lock: threading.Lock) -> None:
        self.host = host
        self.is_gone = self.is_greeted = False
        self._lock = lock
        self._process: InterchangeProcess | None = None
        self._line = SessionStream(b"")
        self._poller = select.poll()
        self._poller.register(wake, select.POLLIN)
        self._polled: dict[int, int] = {}
        """Events that are polled for, by descriptor of stream and process."""

        self._stream = self._death = -1
        """Descriptors of the stream and of the end of the process."""

        self._is_slow = False

    @property
    def is_running(self) -> bool:
        """True until the end of the process was seen."""
        return self._process is not None

    @property
    def is_open(self) -> bool:
        """Messages can be sent, now or later, and none before them is missing at the other end."""
        stream = self._line.stream
        return stream is not None and not stream.is_closed and self._line.session.is_open

    @property
    def is_full(self) -> bool:
        """So much is on its way that the rest should wait."""
        return self._line.session.is_full

    @property
    def has_delivered(self) -> bool:
        """True if the interchange has received all messages."""
        return self._line.session.delivered == self._line.session.sent

    @property
    def has_unsent(self) -> bool:
        """True if the socket was full before all was written."""
        return self._line.has_unsent

    def start(self, settings: InterchangeSettings) -> None:
        """Start a new interchange, in the place of the one before.

        Raises:
            OSError: it cannot be started.
        """
        identity, before = new_identity(), self._line.session.identity
        settings = msgspec.structs.replace(settings, session=identity.hex(), grace=self.host.grace)
        process = self.host.start(settings, before.hex())
        with self._lock:
            self._line = SessionStream(identity, self._lock)
        self._use(process)

    def attach(self) -> None:
        """Connect again with the same interchange.

        Raises:
            OSError: the command cannot be started.
        """
        self._use(self.host.attach(self._line.session.identity.hex()))

    def poll(self, seconds: float | None) -> dict[int, int]:
        """Wait for something to happen, *seconds* at the most; return the events by descriptor."""
        line = self._line
        is_slow = line.has_unsent
        if is_slow is not self._is_slow and line.source in self._polled:
            self._is_slow = is_slow
            self._watch(line.source, select.POLLIN | select.POLLOUT if is_slow else select.POLLIN)
        if (seconds is None or seconds > _ACKNOWLEDGE_AFTER) and line.session.owes_acknowledgement and self.is_open:
            seconds = _ACKNOWLEDGE_AFTER
        return dict(self._poller.poll(None if seconds is None else int(seconds * 1000) + 1))

    def has_news(self, ready: dict[int, int]) -> bool:
        """Return whether `receive` has something to read."""
        return ready.get(self._stream, 0) & ~select.POLLOUT != 0

    def has_ended(self, ready: dict[int, int]) -> bool:
        """Return whether the process has ended."""
        return self._death in ready

    def receive(self) -> Iterator[list[Any]]:
        """Return the messages that have arrived, to be read at once and to the end."""
        process = self._process
        if process is None or (process.awaits_greeting and not self._read_greeting(process)):
            return iter(())
        return self._line.receive()

    def has_received(self) -> bool:
        """Return whether the interchange has sent bytes since the last call, perhaps only a part of a message."""
        stream = self._line.stream
        if stream is None:
            return False
        if stream.is_closed:  # the end of the process is an event of its own
            self._watch(self._stream, 0)
        has_received, stream.has_received = stream.has_received, False
        return has_received

    def send(self, frames: list[Any]) -> None:
        """Send a message; an empty list sends nothing."""
        self._line.send(frames)

    def send_unnumbered(self, frames: list[Any]) -> None:
        """Send a message that may be lost with the connection."""
        self._line.send_unnumbered(frames)

    def flush(self) -> None:
        """Write as much of what is not sent as the socket takes."""
        self._line.flush()

    def acknowledge(self) -> None:
        """Acknowledge what was received, if nothing has since; due when `poll` found nothing."""
        if self._line.session.owes_acknowledgement and self.is_open:
            with self._lock:
                self._line.send_unnumbered([_HEARTBEAT])

    def heartbeat(self) -> None:
        """Send a heartbeat if nothing was sent since the last one was due."""
        with self._lock:
            if not self._line.has_sent and self.is_open:
                self._line.send_unnumbered([_HEARTBEAT])
            self._line.has_sent = False

    def kill(self) -> None:
        """Kill the process; its end is an event."""
        if self._process is not None:
            self._process.kill()

    def on_ended(self) -> str:
        """Collect the process, close the stream; return how it ended."""
        process, self._process = self._process, None
        assert process is not None
        for descriptor in list(self._polled):
            self._watch(descriptor, 0)
        self._stream = self._death = -1
        with self._lock:
            self._line.session.on_disconnected()
            self._line.disconnect()
        process.stream.close()
        return process.reap()

    def close(self) -> None:
        """Close the stream, which ends a process that is left, and wait for that."""
        with self._lock:
            self._line.disconnect()
        process, self._process = self._process, None
        if process is not None:
            process.stream.close()
            process.stop()

    def _use(self, process: InterchangeProcess) -> None:
        self._process = process
        self.is_gone, self.is_greeted = False, not process.awaits_greeting
        self._stream, self._death, self._is_slow = process.stream.raw.fileno(), process.death, False
        self._watch(self._stream, select.POLLIN)
        self._watch(self._death, select.POLLIN)
        if not process.awaits_greeting:
            with self._lock:
                self._line.connect(process.stream)

    def _read_greeting(self, process: InterchangeProcess) -> bool:
        """Read the greeting of a relay; return whether messages follow."""
        try:
            word = process.read_greeting()
        except ConnectionError as error:
            logger.debug("%s", error)  # its end is reported, and may be one of many attempts
            process.kill()
            self._watch(self._stream, 0)
            return False
        if word is None:
            return False
        self.is_gone = word == GONE
        self.is_greeted = not self.is_gone
        if self.is_greeted:
            with self._lock:
                self._line.connect(process.stream, is_again=True)
        return self.is_greeted

    def _watch(self, descriptor: int, events: int) -> None:
        """Poll *descriptor* for *events*, or with 0 no longer."""
        if self._polled.get(descriptor, 0) == events:
            return
        if events:
            self._polled[descriptor] = events
            self._poller.register(descriptor, events)
        else:
            del self._polled[descriptor]
            self._poller.unregister(descriptor)
