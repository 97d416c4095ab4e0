"""Connection of the interchange to its driver: a stream of messages over a socket that the interchange inherits.

::

    driver ──Stream──> receive ──> decoded: Work, Resubmit, orders, Stop ──> loop
    driver <──Stream── send <── Bound, Results, ManagerUp, reports          <── loop
                        └── the socket is full: `watch` polls until it is writable, `flush` sends the rest
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class DriverLink:
    """The interchange's end of the connection to the driver; the module has a picture.

    Args:
        descriptor: of the socket to the driver.
        poller: the loop's; the link registers itself.
    """

    def __init__(self, descriptor: int, poller: sockets.Poller) -> None:
        self._stream = Stream(socket.socket(fileno=descriptor))
        self._poller = poller
        self._is_slow = False
        poller.register(descriptor, sockets.READABLE)

    @property
    def source(self) -> int:
        """Descriptor, as polled."""
        return self._stream.raw.fileno()

    @property
    def is_closed(self) -> bool:
        """True once the driver has closed its end."""
        return self._stream.is_closed

    def receive(self) -> Iterator[tuple[msg.ToInterchange, list[Any]]]:
        """Send what is left from before, and yield the messages that have arrived, with their attached frames."""
        if self._is_slow:
            self._stream.flush()
            self._watch()
        for head, *attached in self._stream.receive():
            yield msg.decode_to_interchange(head), attached

    def send(self, message: msg.ToDriver, attached: Sequence[Any] = ()) -> None:
        """Send *message*, as far as the socket takes it now."""
        self._stream.send([msg.encode(message), *attached])
        self._watch()

    def close(self) -> None:
        """Close the socket; what is not sent is dropped."""
        self._stream.close()

    def _watch(self) -> None:
        """Poll for a writable stream while the driver is slower than its messages."""
        if self._stream.has_unsent != self._is_slow:
            self._is_slow = self._stream.has_unsent
            events = sockets.READABLE | sockets.WRITABLE if self._is_slow else sockets.READABLE
            self._poller.modify(self.source, events)
