"""Every decision about blocks; pure.

This first strategy keeps `init_blocks` blocks: one that ends after it was of use is replaced, one that never was is an
error of its image, its options or its network, which another try would only repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.ids import BlockId

if TYPE_CHECKING:
    from cnflow.config import ProviderSettings


class StartBlock(NamedTuple):
    """Ask the provider for this block."""

    block: BlockId


class GiveUp(NamedTuple):
    """No block can be had; *reason* is for the user."""

    reason: str


Action = StartBlock | GiveUp

_FAILURES_IN_ROW = 3
"""Blocks that may fail one after the other once one has been of use."""


class Strategy:
    """The state; events are method calls, what is to be done comes back."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._wanted = max(1, settings.init_blocks)  # nothing else would ever start one
        self._next = 0
        self._living: dict[BlockId, bool] = {}
        """Block -> whether a manager of it has connected."""
        self._failures = 0
        self._was_of_use = False

    @property
    def living(self) -> list[BlockId]:
        """Blocks that were started and have not ended."""
        return list(self._living)

    def begin(self) -> list[Action]:
        """The executor starts."""
        return [self._start() for _ in range(self._wanted)]

    def connected(self, block: BlockId) -> None:
        """A manager of *block* registered."""
        self._failures = 0
        self._was_of_use = True
        if block in self._living:
            self._living[block] = True

    def ended(self, block: BlockId, reason: str) -> list[Action]:
        """*block* is no more, or could not be started."""
        was_connected = self._living.pop(block, None)
        if was_connected is None:
            return []
        if was_connected:
            return [self._start()]
        self._failures += 1
        if self._failures < (_FAILURES_IN_ROW if self._was_of_use else 1):
            return [self._start()]
        return [] if self._living else [GiveUp(reason)]

    def _start(self) -> StartBlock:
        block = BlockId(str(self._next))
        self._next += 1
        self._living[block] = False
        return StartBlock(block)
