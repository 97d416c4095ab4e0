"""CURVE keys of a run: one pair for its interchange, one for each block; Z85 text, as ZeroMQ takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping


class KeyPair(NamedTuple):
    """CURVE keys of one end of a connection."""

    public: str
    secret: str


class Keyring:
    """Keys of one executor in one run. Secret keys reach managers in their settings file only.

    Written by the thread that requests blocks, read by any thread.
    """

    def __init__(self, server: Optional[KeyPair] = None, public_keys: Optional[Mapping[str, str]] = None) -> None:
        """Make the keyring of a new run; of one that was taken over, with its *server* and *public_keys* of blocks."""
        self.server = server or _new_pair()
        self._blocks = {block: KeyPair(key, "") for block, key in (public_keys or {}).items()}

    def block_keys(self, block: str) -> KeyPair:
        """Pair of *block*; created on the first call."""
        pair = self._blocks.get(block)
        if pair is None:
            pair = self._blocks[block] = _new_pair()
        return pair

    def forget(self, block: str) -> None:
        """Delete the pair of a block that is gone."""
        self._blocks.pop(block, None)

    def public_keys(self) -> dict[str, str]:
        """Public keys of the blocks that may connect."""
        return {block: pair.public for block, pair in dict(self._blocks).items()}


def _new_pair() -> KeyPair:
    from cnflow.wire.sockets import new_key_pair  # noqa: PLC0415 - ZeroMQ, which a driver without keys need not import

    return KeyPair(*new_key_pair())
