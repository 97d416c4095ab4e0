"""One end of a numbered, acknowledged channel that survives broken connections. No I/O, no clock.

A connection may break at any moment, with messages on their way that neither end ever sees. A session outlives it: each
end keeps what it sent until the other has acknowledged it, and sends it again over the next connection::

    initiator                                                    responder
    send ──> kept ── [identity, NUMBERED, 7, ack 3] + head ────> on_received: 7 follows 6 ──> payload for the owner
               ^                                                    │    number seen before: duplicate, dropped
               │ <── any message, with its acknowledgement of 7 ────┤    number skipped: dropped, and AGAIN is due
               └── released                                         │
                                                                    │
    on_disconnected: `send` keeps, nothing leaves       x───────────┤    what it sends now is lost, but kept
    on_connected ── RESUME "I have all up to 3" ──────────────────> │
                                                                    ├── take_due: its own 4, 5, ... once more
    take_due: 7, 8, ... once more  <── AGAIN "I have all up to 6" ──┤
    `send` passes messages on again

A tail that was lost without a break that either end noticed shows at the next message that is not numbered, such as a
heartbeat: it carries the number of the last one that was sent before it.

The initiator draws `identity` at random; a session with another identity is another session, and both numberings begin
at 1. Messages of an end arrive in the order in which they were sent, each exactly once, or not yet.

By default an end acknowledges what it has received. One that only passes messages on acknowledges when their receiver
has (`acknowledge`): whatever it loses when it is killed is still kept where it came from.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    Message = Sequence[Any]
    """Head and attached frames."""

_HEADER = struct.Struct("<8sBQQ")
"""Identity, kind, number (of this message; of the last numbered one in the other kinds), acknowledged number."""

_RECEIVED = struct.Struct("<Q")
"""After the header of RESUME and AGAIN: number up to which the sender has received all."""

_PLAIN, _NUMBERED, _RESUME, _AGAIN, _ACKNOWLEDGE, _REQUEST = range(6)

IDENTITY_BYTES = 8
HEADER_BYTES = _HEADER.size

MAX_KEPT = 64 * 2**20
"""Unacknowledged bytes from which a session is full."""

_ACKNOWLEDGE_BYTES = 2**20
_ACKNOWLEDGE_MESSAGES = 256
"""Received bytes or messages after which an acknowledgement is due of its own, if nothing else is sent."""


class SessionError(ValueError):
    """A message that the other end of a session never sends."""


def new_identity() -> bytes:
    """Draw the identity of a session."""
    return os.urandom(IDENTITY_BYTES)


def identity_of(head: bytes) -> bytes:
    """Identity of the session to which a message belongs, from its first frame.

    Raises:
        SessionError: the frame does not begin with a header.
    """
    if len(head) < HEADER_BYTES or head[IDENTITY_BYTES] > _REQUEST:
        raise SessionError("the head of a message does not begin with the header of a session")
    return head[:IDENTITY_BYTES]


def begins_session(head: bytes) -> bool:
    """Return whether a message is the first of its session, from its first frame."""
    _, kind, number, _ = _HEADER.unpack_from(head)
    return bool(kind == _NUMBERED and number == 1)


def payload_of(head: bytes) -> memoryview:
    """Head as its sender passed it to its session, from the first frame of a message."""
    return memoryview(head)[HEADER_BYTES:]


class Session:
    """One end; the module has a picture. Frames that are sent must not change before they are acknowledged.

    After `on_received`, `acknowledge` and `on_connected` the owner sends what is due: ``if session.is_due: for message
    in session.take_due(): ...``.

    Args:
        identity: `new_identity` at the initiator; at the responder, the identity of the first message.
        acknowledges_received: False leaves acknowledgements to the owner.

    Attributes:
        sent: number of the last message that was sent.
        received: number of the last message that was received; all before it were received, too.
        delivered: number up to which the other end has acknowledged.
        unacknowledged_bytes: size of what is kept.
        is_due: `take_due` has messages.
    """

    __slots__ = (
        "_acknowledged", "_acknowledges_received", "_asked_at", "_is_acknowledgement_due", "_is_again_due", "_is_open",
        "_is_request_due", "_is_resume_due", "_kept", "_repeat_after", "_untold_bytes", "_untold_messages", "delivered",
        "identity", "is_due", "received", "sent", "unacknowledged_bytes",
    )  # fmt: skip

    def __init__(self, identity: bytes, *, acknowledges_received: bool = True) -> None:
        self.identity = identity
        self.sent = self.received = self.delivered = 0
        self.unacknowledged_bytes = 0
        self.is_due = False
        self._acknowledged = 0
        self._acknowledges_received = acknowledges_received
        self._kept: deque[tuple[int, Message]] = deque()
        """Size and frames of the messages `delivered` + 1 to `sent`."""

        self._is_open = True
        self._is_resume_due = self._is_again_due = self._is_acknowledgement_due = self._is_request_due = False
        self._repeat_after: Optional[int] = None
        self._asked_at = -1
        """Value of `received` at the last AGAIN: each of the messages behind a gap shows the same gap."""

        self._untold_bytes = self._untold_messages = 0
        """Received since the last message that was sent, which carried an acknowledgement."""

    @property
    def is_full(self) -> bool:
        """True while so much is kept that the owner should produce no more."""
        return self.unacknowledged_bytes >= MAX_KEPT

    @property
    def owes_acknowledgement(self) -> bool:
        """True if messages were received since the last one was sent."""
        return self._untold_messages > 0

    @property
    def is_open(self) -> bool:
        """False between `on_disconnected` and the other end's answer on the next connection."""
        return self._is_open

    def send(self, frames: Message) -> list[Any]:
        """Number and keep a message; return the frames to send, or an empty list while the session is not open."""
        head = frames[0]
        size = len(head)
        is_single = len(frames) == 1
        if not is_single:
            for frame in frames[1:]:
                size += frame.nbytes if isinstance(frame, memoryview) else len(frame)
        self._kept.append((size, frames))
        self.unacknowledged_bytes += size
        self.sent = number = self.sent + 1
        if not self._is_open:
            return []
        self._untold_bytes = self._untold_messages = 0  # as in `_header`; each message comes here
        head = _HEADER.pack(self.identity, _NUMBERED, number, self._acknowledged) + head
        return [head] if is_single else [head, *frames[1:]]

    def send_unnumbered(self, frames: Message) -> list[Any]:
        """Return the frames of a message that may be lost, such as a heartbeat; empty while the session is not open."""
        return [self._header(_PLAIN, self.sent) + frames[0], *frames[1:]] if self._is_open else []

    def on_received(self, frames: Message) -> Optional[list[Any]]:
        """Accept a message of this session; return its head, as a memoryview, and its other frames.

        Returns:
            None if the message is not for the owner: seen before, behind a gap, or about the session itself.

        Raises:
            SessionError: no end that keeps to the rules sends this; the message is dropped.
        """
        head = frames[0]
        if len(head) < HEADER_BYTES:
            raise SessionError(f"the head of a message has {len(head)} bytes, fewer than its session's header")
        _, kind, number, acknowledged = _HEADER.unpack_from(head)
        if acknowledged > self.sent:
            raise SessionError(f"message {acknowledged} is acknowledged, but the last one sent is {self.sent}")
        if acknowledged > self.delivered:
            self._release(acknowledged)
        if kind == _NUMBERED:
            return self._on_numbered(frames, number)
        if kind in (_RESUME, _AGAIN):
            self._on_resume(head, kind)  # the other end repeats after these, unasked
        elif kind > _REQUEST:
            raise SessionError(f"a message of unknown kind {kind}")
        elif number > self.received:
            self._ask_again()
        if kind == _REQUEST:
            self._is_acknowledgement_due = self.is_due = True
        return [payload_of(head), *frames[1:]] if kind == _PLAIN else None

    def on_disconnected(self) -> None:
        """Keep what is sent from now on, until the next connection has shown what the other end lacks."""
        self._is_open = False

    def on_connected(self) -> None:
        """Ask the other end, over a new connection, for all that was lost with the previous one."""
        self._is_open = False
        self._is_resume_due = self.is_due = True

    def acknowledge(self, number: int, *, at_once: bool = False) -> None:
        """Acknowledge all received messages up to *number*; with *at_once*, not only with the next message."""
        if number > self._acknowledged:
            self._acknowledged = number
            if at_once or self._untold_messages >= _ACKNOWLEDGE_MESSAGES or self._untold_bytes >= _ACKNOWLEDGE_BYTES:
                self._is_acknowledgement_due = self.is_due = True

    def request_acknowledgement(self) -> None:
        """Ask the other end to acknowledge now, not with its next message."""
        self._is_request_due = self.is_due = True

    def take_due(self) -> list[list[Any]]:
        """Return the messages that the session itself has to send now, in order."""
        due: list[list[Any]] = []
        self.is_due = False
        if self._is_resume_due or self._is_again_due:
            kind = _RESUME if self._is_resume_due else _AGAIN
            due.append([self._header(kind, self.sent) + _RECEIVED.pack(self.received)])
        if self._repeat_after is not None and self._is_open:
            due += self._repeated(max(self._repeat_after, self.delivered))
        if self._is_acknowledgement_due and self._is_open and not due:
            due.append([self._header(_ACKNOWLEDGE, self.sent)])
        if self._is_request_due and self._is_open:
            due.append([self._header(_REQUEST, self.sent)])
        self._is_resume_due = self._is_again_due = self._is_acknowledgement_due = self._is_request_due = False
        self._repeat_after = None
        return due

    def drop_kept(self) -> None:
        """Keep nothing of what was sent: the other end is gone, and its owner sends it nothing more with a number."""
        self._kept.clear()
        self.unacknowledged_bytes = 0
        self.delivered = self.sent

    def unacknowledged(self) -> list[Message]:
        """Messages that are kept, in the order in which they were sent: for a session that follows this one."""
        return [frames for _, frames in self._kept]

    def _header(self, kind: int, number: int) -> bytes:
        self._untold_bytes = self._untold_messages = 0
        return _HEADER.pack(self.identity, kind, number, self._acknowledged)

    def _on_numbered(self, frames: Message, number: int) -> Optional[list[Any]]:
        if number != self.received + 1:
            if number > self.received and self._asked_at != self.received:
                self._ask_again()
            return None
        head = frames[0]
        self.received = number
        self._untold_messages += 1
        self._untold_bytes += len(head)
        payload = [memoryview(head)[HEADER_BYTES:]]
        if len(frames) > 1:
            attached = frames[1:]
            payload += attached
            self._untold_bytes += sum(map(len, attached))
        if self._acknowledges_received:
            self.acknowledge(number)
        return payload

    def _on_resume(self, head: bytes, kind: int) -> None:
        if len(head) != HEADER_BYTES + _RECEIVED.size:
            raise SessionError("a session is resumed without the number of the last message")
        (received,) = _RECEIVED.unpack_from(head, HEADER_BYTES)
        if received > self.sent:
            raise SessionError(f"message {received} was received, but the last one sent is {self.sent}")
        self._repeat_after = received
        self.is_due = True
        if kind == _RESUME:
            self._is_again_due = True
        else:
            self._is_open = True

    def _ask_again(self) -> None:
        if not self._is_open:
            return  # RESUME has asked
        self._asked_at = self.received
        self._is_again_due = self.is_due = True

    def _release(self, acknowledged: int) -> None:
        for _ in range(acknowledged - self.delivered):
            size, _ = self._kept.popleft()
            self.unacknowledged_bytes -= size
        self.delivered = acknowledged

    def _repeated(self, after: int) -> list[list[Any]]:
        kept = islice(self._kept, after - self.delivered, None)
        return [
            [self._header(_NUMBERED, number) + frames[0], *frames[1:]]
            for number, (_, frames) in enumerate(kept, after + 1)
        ]
