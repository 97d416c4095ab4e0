"""ZeroMQ sockets and their options; the only importer of ZeroMQ.

A manager's connection, from both ends::

    manager                       interchange
    connect_dealer ── TCP ──────> bind_router
          │                           │   (secret key: CURVE handshake)
          │                           ├── Authenticator.handle_request: is the public key one of the admitted blocks'?
          │  <──────── rejected ──────┤   no: ZeroMQ drops the connection; the manager's side tries again and again
          │                           │   yes
          ├── send ─────────────────> ├── receive: [routing id, head, frame ...]
          │  <──────────── send ──────┤   [routing id, head, frame ...]
          │                           │
          └── connection lost: what is on its way is lost, and what is queued for the manager; sessions make up for it
                ConnectionMonitor reports the loss and the next connection. A manager that connects a second time, as
                after its gateway forgot the first, takes over: its routing id names the newest connection.

A manager that listens has a ROUTER, too, and the interchange's connects to it; the keys stay: the interchange is the
CURVE server. Both ends name themselves, so that a new connection of the same two takes over from the one before::

    listening_router <── TCP ────── bind_router, connect
          ├── send ─────────────────> as above; while nobody is connected, what is sent is dropped
          └── ConnectionMonitor: somebody has connected

ZMQ_CONNECT_ROUTING_ID is not used: ZeroMQ aborts the process if the id is still in use, as that of a lost connection.

Block gone: `Authenticator.revoke` rejects new connections with the key of that block; connections that exist stay.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any, Optional, Union

import zmq
from zmq.utils import z85

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Plain integers: each `|` of two of pyzmq's flags makes an object of an enumeration, and takes a microsecond.
READABLE, WRITABLE, BROKEN = int(zmq.POLLIN), int(zmq.POLLOUT), int(zmq.POLLERR)
_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK) | int(zmq.SNDMORE)

SendError = zmq.ZMQError
Context = zmq.Context
Poller = zmq.Poller
"""Waits for ZeroMQ sockets and plain file descriptors alike."""

_MONITOR_EVENT = struct.Struct("=Hi")  # first frame of a monitor's message: event and value (zmq_socket_monitor(3))

_COPY_BELOW = 64 * 1024
"""Bytes of a frame; copying a smaller frame costs less than keeping it alive until ZeroMQ has sent it."""

_KEEPALIVE_IDLE, _KEEPALIVE_PERIOD, _KEEPALIVE_PROBES = 30, 10, 3
"""Seconds without a packet before TCP probes the connection, seconds between probes, and probes without an answer
after which it is closed. Data that is not acknowledged for as long closes it, too."""


INTERCHANGE = b"cnflow-interchange"
"""Routing id of each interchange, for managers that listen."""


class Socket:
    """DEALER or ROUTER that never drops a message and never blocks: its queues have no limit."""

    def __init__(self, context: Context[Any], kind: int) -> None:
        self.raw = context.socket(kind)
        self._copied = 2 if kind == zmq.ROUTER else 1
        self.raw.setsockopt(zmq.SNDHWM, 0)
        self.raw.setsockopt(zmq.RCVHWM, 0)
        self.raw.setsockopt(zmq.LINGER, 0)
        self.raw.setsockopt(zmq.IPV6, 0)
        # A peer that vanished without a word, as behind a restarted gateway, would hold a descriptor and memory.
        self.raw.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self.raw.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE)
        self.raw.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_PERIOD)
        self.raw.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_PROBES)
        self.raw.setsockopt(zmq.TCP_MAXRT, 1000 * (_KEEPALIVE_IDLE + _KEEPALIVE_PERIOD * _KEEPALIVE_PROBES))
        # The other end may still be starting: ZeroMQ's default of 100 ms between tries would dominate a local start-up.
        self.raw.setsockopt(zmq.RECONNECT_IVL, 10)
        self.raw.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)

    def receive(self, limit: int = 1000) -> Iterator[list[Any]]:
        """Yield up to *limit* messages that have arrived.

        The sender (of a ROUTER) and the head are bytes, the frames after them `zmq.Frame`.
        Written out because pyzmq's recv_multipart takes a third longer for one small message, and raises when there is
        none: 10 us of a round trip.
        """
        receive, option, copied = self.raw.recv, self.raw.getsockopt, self._copied
        for _ in range(limit):
            if not option(zmq.EVENTS) & READABLE:
                return
            parts: list[Any] = [receive(_NOBLOCK)]
            while option(zmq.RCVMORE):
                parts.append(receive(_NOBLOCK, copy=len(parts) < copied))
            yield parts

    def send(self, frames: Sequence[Any]) -> None:
        """Queue one message; frames of 64 KiB and more are not copied and must not change afterwards."""
        send, last = self.raw.send, len(frames) - 1
        for position, frame in enumerate(frames):
            send(frame, _NOBLOCK if position == last else _NOBLOCK_MORE, copy=len(frame) < _COPY_BELOW)

    def connect(self, endpoint: str) -> None:
        """Connect to *endpoint*, and again whenever the connection is lost."""
        self.raw.connect(endpoint)

    def disconnect(self, endpoint: str) -> None:
        """End the connection to *endpoint*, unless ZeroMQ has given it up, as where no ZeroMQ listens."""
        try:
            self.raw.disconnect(endpoint)
        except zmq.ZMQError as error:
            if error.errno != errno.ENOENT:
                raise

    def send_tracked(self, frames: Sequence[Any]) -> Any:  # noqa: ANN401 - pyzmq's tracker, or None
        """Queue one message as `send` does; return a tracker that is `done` when ZeroMQ has released the last frame.

        None if the last frame was copied.
        """
        *others, last = frames
        for frame in others:
            self.raw.send(frame, _NOBLOCK_MORE)
        if len(last) < _COPY_BELOW:
            return self.raw.send(last, _NOBLOCK)
        return self.raw.send(last, _NOBLOCK, copy=False, track=True)

    def close(self, linger: float = 0.0) -> None:
        """Close the socket; queued messages get *linger* seconds to be sent."""
        self.raw.close(int(linger * 1000))


def new_context() -> Context[Any]:
    """Context with a single I/O thread, not shared with other users of pyzmq in this process."""
    return zmq.Context(io_threads=1)


def bind_router(
    context: Context[Any],
    endpoint: str,
    ports: Optional[tuple[int, int]] = None,
    secret_key: str = "",
    largest: int = -1,
    most_waiting: int = 0,
) -> tuple[Socket, int]:
    """Create the interchange's ROUTER; return it with its TCP port (0 for a socket file, and if it does not listen).

    Args:
        context: from `new_context`.
        endpoint: ``tcp://ADDRESS`` without a port, an IPv6 address in brackets; or ``ipc://PATH``; empty to listen
            nowhere, for `Socket.connect`.
        ports: first and last port to try; None takes any free port.
        secret_key: CURVE key of this server, which an `Authenticator` must serve too; empty for a plain socket.
        largest: bytes of one frame; a peer that sends a larger one over TCP is disconnected. -1 is no limit.
        most_waiting: messages of one peer that wait to be received, before no more are read from it; 0 is no limit.

    Raises:
        OSError: the address does not belong to this machine, or no port is free.
    """
    socket = _new_router(context, INTERCHANGE)
    socket.raw.setsockopt(zmq.IMMEDIATE, 1)  # for `connect`: keep nothing for a connection that is not there
    socket.raw.setsockopt(zmq.RCVHWM, most_waiting)
    _enable_ipv6(socket, endpoint)
    if secret_key:
        socket.raw.curve_secretkey = secret_key.encode()
        socket.raw.curve_server = True
        socket.raw.zap_domain = b"cnflow"
    if endpoint.startswith("ipc://"):
        socket.raw.bind(endpoint)
        return socket, 0
    socket.raw.setsockopt(zmq.MAXMSGSIZE, largest)
    return socket, _bind_to_port(socket, endpoint, ports) if endpoint else 0


def _new_router(context: Context[Any], identity: bytes) -> Socket:
    """Router in which a new connection of a peer takes over from the one before."""
    socket = Socket(context, zmq.ROUTER)
    socket.raw.setsockopt(zmq.IDENTITY, identity)
    socket.raw.setsockopt(zmq.ROUTER_HANDOVER, 1)
    return socket


def _bind_to_port(socket: Socket, endpoint: str, ports: Optional[tuple[int, int]]) -> int:
    if ports is None:
        return int(socket.raw.bind_to_random_port(endpoint))
    first, last = ports
    for port in range(first, last + 1):
        try:
            socket.raw.bind(f"{endpoint}:{port}")
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise OSError(error.errno, f"{endpoint}: {error}") from error
        else:
            return port
    raise OSError(zmq.EADDRINUSE, f"No port from {first} to {last} is free on {endpoint}.")


class ListeningSocket:
    """Socket of a manager that listens, for the one interchange that connects; used as a connected `Socket` is.

    What is sent while no interchange is connected is dropped.
    """

    def __init__(self, router: Socket) -> None:
        self.raw = router.raw
        self._router = router

    def receive(self, limit: int = 1000) -> Iterator[list[Any]]:
        """Yield up to *limit* messages of the interchange that have arrived."""
        for sender, *frames in self._router.receive(limit):
            if sender == INTERCHANGE and frames:
                yield frames

    def send(self, frames: Sequence[Any]) -> None:
        """Queue one message, as `Socket.send` does."""
        self._router.send([INTERCHANGE, *frames])

    def close(self, linger: float = 0.0) -> None:
        """Close the socket, as `Socket.close` does."""
        self._router.close(linger)


def bind_peer_router(context: Context[Any], secret_key: str) -> tuple[Socket, int]:
    """Create the ROUTER with which a manager serves other managers, at any free port; return it with the port.

    Args:
        context: from `new_context`.
        secret_key: CURVE key of this server; every peer that knows its public key may connect.

    Raises:
        OSError: no port is free.
    """
    socket = Socket(context, zmq.ROUTER)
    socket.raw.curve_secretkey = secret_key.encode()
    socket.raw.curve_server = True
    try:
        return socket, _bind_to_port(socket, "tcp://*", None)
    except zmq.ZMQError as error:
        socket.close()
        raise OSError(error.errno, str(error)) from error


AnySocket = Union[Socket, ListeningSocket]
"""Socket of a manager, whether it has connected or listens."""


def listening_router(
    context: Context[Any],
    endpoint: str,
    ports: Optional[tuple[int, int]],
    identity: bytes,
    curve: Optional[tuple[str, str, str]] = None,
) -> tuple[ListeningSocket, ConnectionMonitor, int]:
    """Create the socket of a manager that listens, and its monitor; return them with the port.

    Args:
        context: from `new_context`.
        endpoint: ``tcp://ADDRESS`` without a port.
        ports: first and last port to try; None takes any free port.
        identity: routing id, unique among the managers.
        curve: as in `connect_monitored_dealer`: who listens has no part in that.

    Raises:
        OSError: the address does not belong to this machine, or no port is free.
    """
    socket = _new_router(context, identity)
    _set_keys(socket, curve)
    monitor = ConnectionMonitor(socket.raw)
    try:
        return ListeningSocket(socket), monitor, _bind_to_port(socket, endpoint, ports)
    except OSError:
        monitor.close()
        socket.close()
        raise


def connect_dealer(
    context: Context[Any],
    endpoint: str,
    identity: bytes = b"",
    curve: Optional[tuple[str, str, str]] = None,
) -> Socket:
    """Create a DEALER that connects as soon as *endpoint* listens; arguments as in `connect_monitored_dealer`."""
    socket = _new_dealer(context, endpoint, identity, curve)
    socket.raw.connect(endpoint)
    return socket


def connect_monitored_dealer(
    context: Context[Any],
    endpoint: str,
    identity: bytes = b"",
    curve: Optional[tuple[str, str, str]] = None,
) -> tuple[Socket, ConnectionMonitor]:
    """Create a DEALER that connects as soon as *endpoint* listens, and its monitor, which misses no connection.

    Args:
        context: from `new_context`.
        endpoint: ``tcp://HOST:PORT`` or ``ipc://PATH``.
        identity: routing id, unique among the server's peers; ZeroMQ makes one when empty.
        curve: public key of the server, public and secret key of this end; None for a plain socket.
    """
    socket = _new_dealer(context, endpoint, identity, curve)
    monitor = ConnectionMonitor(socket.raw)
    socket.raw.connect(endpoint)
    return socket, monitor


def _new_dealer(context: Context[Any], endpoint: str, identity: bytes, curve: Optional[tuple[str, str, str]]) -> Socket:
    socket = Socket(context, zmq.DEALER)
    _enable_ipv6(socket, endpoint)
    if identity:
        socket.raw.setsockopt(zmq.IDENTITY, identity)
    _set_keys(socket, curve)
    return socket


def _set_keys(socket: Socket, curve: Optional[tuple[str, str, str]]) -> None:
    if curve is not None:
        server, public, secret = curve
        socket.raw.curve_serverkey = server.encode()
        socket.raw.curve_publickey = public.encode()
        socket.raw.curve_secretkey = secret.encode()


def _enable_ipv6(socket: Socket, endpoint: str) -> None:
    """Enable IPv6 only for a literal address: a name may resolve to an IPv6 address at which nothing listens."""
    if endpoint.startswith("tcp://["):
        socket.raw.setsockopt(zmq.IPV6, 1)


class ConnectionMonitor:
    """Reports when a connection of a socket is made and lost; its owner polls `raw` and calls `read`.

    `is_refused` once the other end has refused the key of this one.
    """

    def __init__(self, dealer: zmq.Socket[bytes]) -> None:
        self._dealer = dealer
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        self.raw: Any = dealer.get_monitor_socket(events)
        self.is_refused = False

    def read(self) -> list[bool]:
        """Return the changes since the last call, in order: True for a connection that is ready, False for its loss."""
        changes = []
        while self.raw.getsockopt(zmq.EVENTS) & READABLE:
            # Parsed here, because zmq.utils.monitor imports asyncio: 40 ms of a manager's start.
            event, _ = _MONITOR_EVENT.unpack(self.raw.recv_multipart(_NOBLOCK)[0])
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self.is_refused = True
            else:
                changes.append(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)
        return changes

    def close(self) -> None:
        """Stop monitoring; before the DEALER is closed."""
        self._dealer.disable_monitor()
        self.raw.close(0)


def new_key_pair() -> tuple[str, str]:
    """Public and secret CURVE key, as Z85 text."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def decode_key(key: str) -> bytes:
    """Bytes of a CURVE key that is given as Z85 text."""
    return z85.decode(key)


def bind_reply(context: Context[Any], endpoint: str) -> Any:  # noqa: ANN401 - a socket of pyzmq
    """Create a REP socket of *context* that serves *endpoint*, which is of the same context."""
    raw = context.socket(zmq.REP)
    raw.bind(endpoint)
    return raw
