"""Ignores a peer for a minute after ten malformed messages, or one that it will not send again. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Hashable

MAX_MALFORMED = 10
"""Malformed messages of one peer within `WINDOW`, after which the peer is ignored until `WINDOW` ends."""

_WEIGHT_OF_LOST = 10
"""Malformed messages for which one counts that is acknowledged: nobody sends again what was in it."""

WINDOW = Seconds(60.0)
MAX_PEERS = 1000
"""Peers that are remembered: a peer that takes a new id for each message must not exhaust the memory."""

MAX_LOG_LINES = 100
"""Malformed messages of all peers within `WINDOW` that are logged: such a peer must not fill the disk either."""


class MalformedMessageLimit:
    """Counts malformed messages (or rejected connections) per peer and in total.

    Attributes:
        total: malformed messages of all peers, and messages that were dropped because their sender is ignored.
    """

    def __init__(self) -> None:
        self.total = 0
        self._peers: OrderedDict[Hashable, tuple[Seconds, int]] = OrderedDict()
        self._logged = (Seconds(0.0), 0)

    def on_malformed(self, peer: Hashable, now: Seconds, *, is_lost: bool = False) -> bool:
        """Count a malformed message (or a rejected connection) of *peer*; return whether to log it.

        With *is_lost*, its content will not come again: tasks would wait for ever for what was in it.
        """
        self.total += 1
        since, count = self._peers.pop(peer, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._peers[peer] = (since, count + (_WEIGHT_OF_LOST if is_lost else 1))
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        since, logged = self._logged
        if now - since >= WINDOW:
            since, logged = now, 0
        self._logged = (since, logged + 1)
        return count < MAX_MALFORMED and logged < MAX_LOG_LINES

    def on_message(self, peer: Hashable, now: Seconds) -> bool:
        """Return whether to read a message of *peer*; count the message if its sender is ignored."""
        if not self._peers or not self.is_ignored(peer, now):  # no peer was ever malformed, nearly always
            return True
        self.total += 1
        return False

    def is_ignored(self, peer: Hashable, now: Seconds) -> bool:
        """True if *peer* has reached `MAX_MALFORMED` in the current window."""
        since, count = self._peers.get(peer, (now, 0))
        return count >= MAX_MALFORMED and now - since < WINDOW
