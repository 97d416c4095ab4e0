"""All that is said to ZeroMQ, so that the loops hold no socket option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import zmq
from zmq.utils import z85

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


READABLE = int(zmq.POLLIN)
WRITABLE = int(zmq.POLLOUT)

Poller = zmq.Poller

_COPIED_BELOW = 64 * 1024
"""Bytes of a frame; copying fewer costs less than seeing to it that they live until they have left."""


class Socket:
    """A DEALER or ROUTER that never drops and never blocks."""

    def __init__(self, context: zmq.Context[Any], kind: int) -> None:
        self.raw = context.socket(kind)
        self._copied = 2 if kind == zmq.ROUTER else 1
        self.raw.setsockopt(zmq.SNDHWM, 0)
        self.raw.setsockopt(zmq.RCVHWM, 0)
        self.raw.setsockopt(zmq.LINGER, 0)
        self.raw.setsockopt(zmq.IPV6, 0)
        # The other end may still be starting: the default of 100 ms between tries would be most of a local start-up.
        self.raw.setsockopt(zmq.RECONNECT_IVL, 10)
        self.raw.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)

    def received(self, limit: int = 1000) -> Iterator[list[Any]]:
        """Messages that are there now, up to *limit*: the sender (of a ROUTER) and the head as bytes, then `zmq.Frame`.

        Written out, since pyzmq's recv_multipart takes a third longer for one small message and raises when there is
        none: 10 us of a round trip.
        """
        receive, option, copied = self.raw.recv, self.raw.getsockopt, self._copied
        for _ in range(limit):
            if not option(zmq.EVENTS) & READABLE:
                return
            parts: list[Any] = [receive(zmq.NOBLOCK)]
            while option(zmq.RCVMORE):
                parts.append(receive(zmq.NOBLOCK, copy=len(parts) < copied))
            yield parts

    def send(self, frames: Sequence[Any]) -> None:
        """Queue one message; frames above 64 KiB are not copied and must not change afterwards."""
        send, last = self.raw.send, len(frames) - 1
        for position, frame in enumerate(frames):
            flags = zmq.NOBLOCK if position == last else zmq.NOBLOCK | zmq.SNDMORE
            send(frame, flags, copy=len(frame) < _COPIED_BELOW)

    def close(self, linger: float = 0.0) -> None:
        """Close; what is queued may take *linger* seconds to leave."""
        self.raw.close(int(linger * 1000))


def context() -> zmq.Context[Any]:
    """A context of one's own with a single I/O thread."""
    return zmq.Context(io_threads=1)


def serve(
    context: zmq.Context[Any],
    endpoint: str,
    ports: Optional[tuple[int, int]] = None,
    secret_key: str = "",
    largest: int = -1,
) -> tuple[Socket, int]:
    """A ROUTER that listens, and its TCP port (0 for a socket file).

    Args:
        context: the process's own.
        endpoint: ``tcp://ADDRESS`` without a port, an IPv6 address in brackets; or ``ipc://PATH``.
        ports: first and last port to try; None takes any free one.
        secret_key: makes it speak CURVE, as server.
        largest: bytes of a message's part; who sends a larger one over TCP is disconnected. -1 is any.

    Raises:
        OSError: the address is not this machine's, or no port is free.
    """
    socket = Socket(context, zmq.ROUTER)
    _speak_ipv6(socket, endpoint)
    if secret_key:
        socket.raw.curve_secretkey = secret_key.encode()
        socket.raw.curve_server = True
        socket.raw.zap_domain = b"cnflow"
    if not endpoint.startswith("tcp://"):
        socket.raw.bind(endpoint)
        return socket, 0
    socket.raw.setsockopt(zmq.MAXMSGSIZE, largest)
    if ports is None:
        return socket, int(socket.raw.bind_to_random_port(endpoint))
    first, last = ports
    for port in range(first, last + 1):
        try:
            socket.raw.bind(f"{endpoint}:{port}")
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise OSError(error.errno, f"{endpoint}: {error}") from error
        else:
            return socket, port
    raise OSError(zmq.EADDRINUSE, f"no port from {first} to {last} is free on {endpoint}")


def connect(
    context: zmq.Context[Any],
    endpoint: str,
    identity: bytes = b"",
    curve: Optional[tuple[str, str, str]] = None,
) -> Socket:
    """A DEALER that connects, now or as soon as *endpoint* is there.

    Args:
        context: the process's own.
        endpoint: ``tcp://HOST:PORT`` or ``ipc://PATH``.
        identity: routing id, unique among the server's peers; made up by ZeroMQ when empty.
        curve: the server's public key, and one's own public and secret keys.
    """
    socket = Socket(context, zmq.DEALER)
    _speak_ipv6(socket, endpoint)
    if identity:
        socket.raw.setsockopt(zmq.IDENTITY, identity)
    if curve is not None:
        server, public, secret = curve
        socket.raw.curve_serverkey = server.encode()
        socket.raw.curve_publickey = public.encode()
        socket.raw.curve_secretkey = secret.encode()
    socket.raw.connect(endpoint)
    return socket


def _speak_ipv6(socket: Socket, endpoint: str) -> None:
    """Only where *endpoint* asks for it: a name may stand for an IPv6 address at which nobody listens."""
    if endpoint.startswith("tcp://["):
        socket.raw.setsockopt(zmq.IPV6, 1)


def new_key_pair() -> tuple[str, str]:
    """Public and secret CURVE key, Z85 text."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def poller() -> zmq.Poller:
    """Waits for sockets and plain file descriptors alike."""
    return zmq.Poller()


class Doorkeeper:
    """Answers ZeroMQ's question who may speak to CURVE servers (ZAP, RFC 27); in the owner's own loop, no thread."""

    def __init__(self, context: zmq.Context[Any], allowed: Mapping[str, str]) -> None:
        """*allowed*: public keys by the block that comes with each."""
        self.raw = context.socket(zmq.REP)
        self.raw.bind("inproc://zeromq.zap.01")
        self._keys: dict[str, bytes] = {}
        for block, key in allowed.items():
            self.admit(block, key)

    def admit(self, block: str, key: str) -> None:
        """From now on *block* may come with *key*."""
        self._keys[block] = z85.decode(key)

    def forget(self, block: str) -> None:
        """Nobody comes with the key of *block* any more."""
        self._keys.pop(block, None)

    def answer(self) -> Optional[str]:
        """Answer one question that is waiting; the address that was turned away, if one was."""
        version, sequence, _, address, _, mechanism, *credentials = self.raw.recv_multipart()
        welcome = mechanism == b"CURVE" and credentials[:1] and credentials[0] in self._keys.values()
        code, text = (b"200", b"OK") if welcome else (b"400", b"key not of this run")
        self.raw.send_multipart([version, sequence, code, text, b"", b""])
        return None if welcome else address.decode(errors="replace")

    def close(self) -> None:
        """Stop answering; nobody new gets in."""
        self.raw.close(0)
