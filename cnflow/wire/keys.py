"""CURVE keys of a run: one pair for its interchange, one for each block; Z85 text as ZeroMQ wants it."""

from __future__ import annotations

from typing import NamedTuple


class KeyPair(NamedTuple):
    """Of one who speaks CURVE."""

    public: str
    secret: str


class Keyring:
    """Made new for each run and executor. Secret keys reach managers in their settings file only.

    Written by the thread that asks for blocks, read by any.
    """

    def __init__(self) -> None:
        self.server = _new_pair()
        self._blocks: dict[str, KeyPair] = {}

    def of_block(self, block: str) -> KeyPair:
        """The block's own pair, made when it is first asked for."""
        pair = self._blocks.get(block)
        if pair is None:
            pair = self._blocks[block] = _new_pair()
        return pair

    def forget(self, block: str) -> None:
        """The block is gone, and its key good for nothing any more."""
        self._blocks.pop(block, None)

    def admitted(self) -> dict[str, str]:
        """Public keys of the blocks that may connect."""
        return {block: pair.public for block, pair in dict(self._blocks).items()}


def _new_pair() -> KeyPair:
    from cnflow.wire.sockets import new_key_pair  # noqa: PLC0415 - ZeroMQ, which a driver without keys need not import

    return KeyPair(*new_key_pair())
