"""Who sends nonsense, and from when on he is not listened to; pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Hashable

PATIENCE = 10
"""Malformed messages of one peer within `WINDOW`; after these he is ignored."""

WINDOW = Seconds(60.0)
REMEMBERED = 1000
"""Peers; who makes up a new name for each message must not fill the memory."""


class Manners:
    """Counts malformed messages, of each peer and in all."""

    def __init__(self) -> None:
        self.malformed = 0
        """Of all peers; with whatever was not read since its sender is ignored."""

        self._peers: OrderedDict[Hashable, tuple[Seconds, int]] = OrderedDict()

    def offended(self, peer: Hashable, now: Seconds) -> bool:
        """*peer* sent a malformed message; whether he is listened to as before."""
        self.malformed += 1
        since, count = self._peers.pop(peer, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._peers[peer] = (since, count + 1)
        if len(self._peers) > REMEMBERED:
            self._peers.popitem(last=False)
        return count + 1 < PATIENCE

    def ignores(self, peer: Hashable, now: Seconds) -> bool:
        """Whether *peer* is not listened to at this moment; if so, what he sent is counted."""
        if not self._peers:  # as good as always
            return False
        since, count = self._peers.get(peer, (now, 0))
        if count < PATIENCE or now - since >= WINDOW:
            return False
        self.malformed += 1
        return True
