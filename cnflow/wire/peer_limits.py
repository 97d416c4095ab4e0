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

LOGGED = 100
"""Offences of all peers together within `WINDOW` that are worth a line each; nor must he fill the disk."""


class MalformedMessageLimit:
    """Counts offences, of each peer and in all."""

    def __init__(self) -> None:
        self.offences = 0
        """Of all peers; what was not read since its sender is ignored is counted, too."""

        self._peers: OrderedDict[Hashable, tuple[Seconds, int]] = OrderedDict()
        self._logged = (Seconds(0.0), 0)

    def offended(self, peer: Hashable, now: Seconds) -> bool:
        """*peer* sent a malformed message, or knocked with a wrong key; whether that is worth a line in the log."""
        self.offences += 1
        since, count = self._peers.pop(peer, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._peers[peer] = (since, count + 1)
        if len(self._peers) > REMEMBERED:
            self._peers.popitem(last=False)
        since, logged = self._logged
        if now - since >= WINDOW:
            since, logged = now, 0
        self._logged = (since, logged + 1)
        return count < PATIENCE and logged < LOGGED

    def ignores(self, peer: Hashable, now: Seconds) -> bool:
        """Whether *peer* is not listened to at this moment; if so, what he sent is counted."""
        if not self._peers or self.bears(peer, now):  # none, as good as always
            return False
        self.offences += 1
        return True

    def bears(self, peer: Hashable, now: Seconds) -> bool:
        """Whether *peer* has not offended too often."""
        since, count = self._peers.get(peer, (now, 0))
        return count < PATIENCE or now - since >= WINDOW
