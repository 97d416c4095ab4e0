"""A session between driver and interchange, over one stream after the other.

::

    send ──> Session: numbered, kept ──> Stream        receive <── Session: in order, each once <── Stream
                           │                 x broken: disconnect, what is sent is only kept
                           └── connect(again) ──> RESUME, AGAIN, the messages that the other end lacks

Either end of the line is one of these; the driver's is shared by threads, which a lock keeps apart.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Optional

from cnflow.wire.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from cnflow.wire.stream import Stream


class SessionStream:
    """One end of the line. One thread at a time may send, and one may receive.

    Args:
        identity: of the session; the driver draws it.
        lock: held by senders; `receive` takes it for moments. None where one thread does both.

    Attributes:
        session: its numbers.
        stream: the present connection; None while there is none.
        has_sent: something was sent since this was last set to False.
    """

    def __init__(self, identity: bytes, lock: Optional[AbstractContextManager[Any]] = None) -> None:
        self.session = Session(identity)
        self.stream: Optional[Stream] = None
        self.has_sent = False
        self._lock: AbstractContextManager[Any] = threading.Lock() if lock is None else lock  # `nullcontext` is slower

    def connect(self, stream: Stream, *, is_again: bool = False) -> None:
        """Send over *stream* from now on; *is_again* asks the other end for all that was lost with the one before."""
        self.stream = stream
        if is_again:
            self.session.on_connected()
            self._send_due(stream)

    def disconnect(self) -> None:
        """Close the stream, if there is one."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    @property
    def source(self) -> int:
        """Descriptor of the stream, for a poller; -1 while there is none."""
        return -1 if self.stream is None else self.stream.raw.fileno()

    @property
    def has_unsent(self) -> bool:
        """True if the socket was full; call `flush` once it is writable."""
        stream = self.stream
        return stream is not None and stream.has_unsent

    def send(self, frames: Sequence[Any]) -> None:
        """Send one message, now or once there is a connection; an empty list sends nothing."""
        if frames:
            self.has_sent = True
            numbered = self.session.send(frames)
            if self.stream is not None:
                self.stream.send(numbered)

    def send_unnumbered(self, frames: Sequence[Any]) -> None:
        """Send one message that may be lost; it acknowledges what was received."""
        if self.stream is not None:
            self.has_sent = True
            self.stream.send(self.session.send_unnumbered(frames))

    def request_acknowledgement(self) -> None:
        """Ask the other end to acknowledge now, not with its next message."""
        self.session.request_acknowledgement()
        if self.stream is not None:
            self._send_due(self.stream)

    def flush(self) -> None:
        """Write as much of what is not sent as the socket takes."""
        if self.stream is not None:
            self.stream.flush()

    def receive(self) -> Iterator[list[Any]]:
        """Yield the messages that have arrived; heads are memoryviews. Exhaust the iterator.

        Raises:
            SessionError: the other end does not keep to the rules of a session.
        """
        stream, session = self.stream, self.session
        if stream is None:
            return
        for frames in stream.receive():
            with self._lock:
                payload = session.on_received(frames)
                if session.is_due:
                    self._send_due(stream)
            if payload is not None:
                yield payload

    def _send_due(self, stream: Stream) -> None:
        for frames in self.session.take_due():
            self.has_sent = True
            stream.send(frames)
