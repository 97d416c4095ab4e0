"""Port of a pool for its clients: a ROUTER with CURVE, whose peers are the bridges of drivers.

::

    bridge ──> key admitted? ──no──> refused, by ZeroMQ
                 │ yes: ZeroMQ knows the name of the key
                 ├── OPEN, session ──> `admit` decides ──> GREETING: started, attached, gone; or CLOSE with a reason
                 │                          └── a MessagePipe, which the session's link accepts as its connection
                 ├── DATA, CREDIT ───> pipe ──> `receive` returns its number: it has bytes, or room again
                 └── CLOSE, malformed, key withdrawn ──> the pipe ends; the session waits for another

A context of its own: the port's encryption runs beside that of the managers' port, and a client that floods it keeps no
manager waiting.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Optional

import msgspec

from cnflow.interchange.pool.client_keys import ClientKeys
from cnflow.model.interchange_settings import GONE
from cnflow.wire import message_pipe as pipes
from cnflow.wire import sockets
from cnflow.wire.authenticator import Authenticator, key_owner
from cnflow.wire.message_pipe import MessagePipe, head_of
from cnflow.wire.messages import MALFORMED
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.pool_opening import Opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.interchange.pool.client_keys import ClientKey
    from cnflow.model.pool_settings import PoolInterchangeSettings
    from cnflow.units import Seconds

    Admit = Callable[[Opening, str, MessagePipe], tuple[str, str]]
    """Decides about a session that a bridge opens with the key of that name, and takes the pipe unless it is gone.

    Returns the greeting, and the reason to refuse the bridge, which is empty if it is admitted.
    """

logger = logging.getLogger(__name__)

_LARGEST_MESSAGE = 2**19
"""Bytes of one frame: more than a pipe sends at once."""

_MOST_WAITING = 64
_MOST_MESSAGES = 256
"""Messages that are read in one turn."""


class ClientPort:
    """The port; the module has a picture.

    Args:
        settings: of the pool.
        admit: called for each bridge that opens a pipe.

    Attributes:
        port: TCP port; 0 for a socket file.
        keys: of the clients that may connect.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, settings: PoolInterchangeSettings, admit: Admit) -> None:
        self._admit = admit
        self._context = sockets.new_context()
        self._keys = ClientKeys(settings.client_keys)
        self._authenticator = Authenticator(self._context, {})
        self._router, self.port = sockets.bind_router(
            self._context,
            settings.clients_endpoint,
            settings.clients_ports,
            settings.clients_secret_key,
            _LARGEST_MESSAGE,
            _MOST_WAITING,
        )
        self._pipes: dict[bytes, tuple[str, MessagePipe]] = {}
        """Name of the key and pipe, by the routing id of the bridge."""

        self._malformed = MalformedMessageLimit()
        self._next_number = -2
        self.read_keys()

    @property
    def keys(self) -> Mapping[str, ClientKey]:
        """Keys by the names of clients."""
        return self._keys.keys

    @property
    def sources(self) -> list[Any]:
        """Sockets to poll for reading."""
        return [self._router.raw, self._authenticator.raw]

    def next_number(self) -> int:
        """Return a number that stands for a descriptor, and is none."""
        self._next_number -= 1
        return self._next_number

    def read_keys(self) -> bool:
        """Read the keys again if they have changed; return whether they have. Pipes of withdrawn keys end."""
        before = dict(self._keys.keys)
        if not self._keys.read():
            return False
        for name, key in before.items():
            now = self._keys.keys.get(name)
            if now is None or now.public != key.public:
                self._authenticator.revoke(name)
                logger.info("the key of client %s was withdrawn", name)
                self._end_pipes(name, "the key of this client was withdrawn")
        for name, key in self._keys.keys.items():
            if name not in before or before[name].public != key.public:
                self._admit_key(name, key)
        return True

    def receive(self, ready: Mapping[Any, int], now: Seconds) -> set[int]:
        """Handle what has arrived; return the numbers of pipes that have news for their links."""
        if self._authenticator.raw in ready:
            address = self._authenticator.handle_request()
            if address is not None and self._malformed.on_malformed(address, now):
                logger.warning("refused a connection of %s: its key is none of a client", address)
        touched: set[int] = set()
        if self._router.raw in ready:
            for sender, *frames in self._router.receive(_MOST_MESSAGES):
                try:
                    number = self._accept(sender, frames)
                except (*MALFORMED, IndexError) as error:
                    number = self._on_malformed(sender, str(error), now)
                if number is not None:
                    touched.add(number)
        return touched

    def close(self) -> None:
        """Send what is queued, for a second at the most, and close."""
        for _, pipe in list(self._pipes.values()):
            pipe.close()
        self._router.close(1.0)
        self._authenticator.close()
        self._context.term()

    def _admit_key(self, name: str, key: ClientKey) -> None:
        try:
            self._authenticator.admit(name, key.public)
        except ValueError as error:
            logger.warning("the key of client %s is not used: it is no CURVE key (%s)", name, error)
            return
        logger.info("client %s may connect", name)

    def _accept(self, sender: bytes, frames: list[Any]) -> Optional[int]:
        """Handle a message of a bridge; return the number of its pipe.

        Raises:
            ValueError: no bridge sends it.
        """
        kind, number = pipes.parse_head(frames[0])
        content = frames[1]
        if kind == pipes.OPEN:
            return self._open(sender, content)
        _, pipe = self._pipes.get(sender, ("", None))
        if pipe is None:
            if kind != pipes.CLOSE:
                self._send(sender, head_of(pipes.CLOSE), b"the pool does not know this connection")
            return None
        pipe.on_message(kind, number, content.bytes)
        if kind == pipes.CLOSE:
            del self._pipes[sender]
        return pipe.fileno()

    def _open(self, sender: bytes, content: Any) -> Optional[int]:  # noqa: ANN401 - a frame of pyzmq
        """Open a pipe with a bridge, whatever became of one before of its routing id."""
        self._end_pipe_before(sender)
        name = key_owner(content)
        opening = msgspec.json.decode(content.bytes, type=Opening)
        pipe = MessagePipe(lambda head, data: self._send(sender, head, data), self.next_number())
        reason = opening.mismatch if name in self._keys.keys else "the key of this client was withdrawn"
        word, reason = ("", reason) if reason else self._admit(opening, name, pipe)
        if reason:
            logger.warning("refused client %s: %s", name, reason)
            self._send(sender, head_of(pipes.CLOSE), reason.encode())
            return None
        self._send(sender, head_of(pipes.GREETING), word.encode())
        if word == GONE:
            return None
        self._pipes[sender] = name, pipe
        return pipe.fileno()

    def _end_pipe_before(self, sender: bytes) -> None:
        """End a pipe whose bridge opens another one: nothing more arrives by it, and its session may be another one."""
        _, pipe = self._pipes.pop(sender, ("", None))
        if pipe is not None:
            pipe.end("its bridge has opened another connection")

    def _on_malformed(self, sender: bytes, reason: str, now: Seconds) -> Optional[int]:
        name, pipe = self._pipes.pop(sender, ("", None))
        if self._malformed.on_malformed(name or sender, now):
            logger.warning("dropped a malformed message of client %s: %s", name or sender.hex(), reason)
        self._send(sender, head_of(pipes.CLOSE), b"malformed message")
        if pipe is None:
            return None
        pipe.end(reason)
        return pipe.fileno()

    def _end_pipes(self, name: str, reason: str) -> None:
        for sender, (owner, pipe) in list(self._pipes.items()):
            if owner == name:
                self._send(sender, head_of(pipes.CLOSE), reason.encode())
                pipe.end(reason)

    def _send(self, sender: bytes, head: bytes, content: bytes) -> None:
        if head[0] == pipes.CLOSE:
            self._pipes.pop(sender, None)
        self._router.send([sender, head, content])
