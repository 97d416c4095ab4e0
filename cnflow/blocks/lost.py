"""Blocks that were submitted without an answer and given up, since their provider does not list them. No I/O.

::

    on_found, absent ──> add ──> sought for a time ── listed, late ──────> removed at the provider
                          │            │           └─ manager connects ──> adopted: counts as a block again
                          │            └─ time over: asked for at the end of the run only
                          └─ its id is never submitted again: a late start would hold the name
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.actions import Action, Forget, Remove, ReportEnd
from cnflow.blocks.block import Block, Stage
from cnflow.model.block import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.ids import BlockId, NativeId
    from cnflow.units import Seconds


_MOST = 10_000


class _Lost(NamedTuple):
    requested_at: float
    since: Seconds


class LostBlocks:
    """Ids of the lost blocks of one executor.

    Args:
        label: of the executor, for messages.
        patience: seconds for which the provider is asked for each of them.
    """

    def __init__(self, label: str, patience: Seconds) -> None:
        self._label = label
        self._patience = patience
        self._lost: dict[BlockId, _Lost] = {}

    @property
    def ids(self) -> Collection[BlockId]:
        """All that may still appear."""
        return list(self._lost)

    def add(self, block: Block, now: Seconds) -> None:
        """Keep the id of a block that was given up; the oldest of very many is kept no more."""
        self._lost[block.id] = _Lost(block.requested_at, now)
        if len(self._lost) > _MOST:
            del self._lost[next(iter(self._lost))]

    def give_up(self, block: Block, why: str, now: Seconds) -> tuple[str, bool]:
        """End a block that got no answer and is not listed.

        Returns:
            A sentence on it for the user, and True if that is a failure: no manager of it ever connected.
        """
        self.add(block, now)
        is_failure = block.connected_at is None
        block.become(Stage.MISSING if is_failure or block.is_late else Stage.ENDED)
        reason = f"The submission of block {block.id} of executor {self._label!r} got no answer, and {why}."
        return f"{reason} {block.message}".rstrip(), is_failure

    def on_found(self, found: Mapping[BlockId, NativeId]) -> list[Action]:
        """Remove lost blocks that the provider lists: they started late, and nobody waits for them."""
        actions: list[Action] = []
        for block in [block for block in self._lost if block in found]:
            del self._lost[block]
            reason = f"Block {block} of executor {self._label!r} started after it was given up; it is removed."
            actions += [Remove(block, found[block]), ReportEnd(block, reason, is_unexpected=False), Forget(block)]
        return actions

    def on_answer(self, block: BlockId, answer: NativeId | Refused) -> list[Action]:
        """Follow the late answer to the submission of *block*: what was started is removed."""
        if not isinstance(answer, Refused):
            return self.on_found({block: answer})
        if answer.kind is not Refusal.UNKNOWN:  # it was never started
            self._lost.pop(block, None)
            return [Forget(block)]
        return []

    def are_sought(self, now: Seconds) -> bool:
        """Return True while the provider is to be asked for one of them."""
        return any(now - lost.since < self._patience for lost in self._lost.values())

    def adopt(self, block: BlockId, now: Seconds) -> Block | None:
        """Return a lost block as one without an answer; None if *block* is not lost."""
        lost = self._lost.pop(block, None)
        return None if lost is None else Block(block, requested_at=lost.requested_at, unconfirmed_since=now)
