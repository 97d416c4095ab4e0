"""Blocks of one executor by id, indexed by what is decided on, so that no decision looks at all of them. No I/O.

::

    put(block), after each change of it ──> waiting, unconfirmed, untried, draining, lonely, unproven, accepted, active,
                                       │           coming,
                                       │           unanswered
                                       └──> sums of connected managers and of their slots
    remove(id) ───────────────────────────> out of all of them

Thousands of blocks: each `put` costs the same, and a decision as much as what it decides on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.block import Block, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cnflow.ids import BlockId, NativeId

Index = dict["BlockId", Block]


class BlockTable:
    """Blocks that are not over; see the module. Reading is safe from any thread, one step at a time.

    Attributes:
        waiting: still to be submitted, in the order of requests.
        unconfirmed: their submission got no answer.
        untried: will soon show whether blocks work; see `Block.is_untried`.
        draining: given no further task.
        lonely: run without a manager.
        unproven: connected, and not seen with a task yet.
        accepted: known to the provider.
        active: count as capacity, present or coming.
        coming: active, without a connected manager.
        unanswered: of these, those that may start, and cannot be drained until their submission is answered.
        managers: connected managers of all blocks.
        slots: of these managers.
        active_slots: of those of them whose blocks are active.
        on_change: called with each block that is put or removed; None if there is no listener.
        on_removed: called with the id of each block that is removed, before `on_change`.
    """

    def __init__(self) -> None:
        self._blocks: Index = {}
        self._counted: dict[BlockId, tuple[int, int, int]] = {}
        self._owners: dict[NativeId, BlockId] = {}
        self.waiting: Index = {}
        self.unconfirmed: Index = {}
        self.untried: Index = {}
        self.draining: Index = {}
        self.lonely: Index = {}
        self.unproven: Index = {}
        self.accepted: Index = {}
        self.active: Index = {}
        self.coming: Index = {}
        self.unanswered: Index = {}
        self.managers = 0
        self.slots = 0
        self.active_slots = 0
        self.on_change: Callable[[Block], None] | None = None
        self.on_removed: Callable[[BlockId], None] | None = None

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Block]:
        return iter(list(self._blocks.values()))  # one step, as seen from other threads

    def get(self, block: BlockId) -> Block | None:
        """Return the block of that id."""
        return self._blocks.get(block)

    def owner(self, native: NativeId) -> BlockId | None:
        """Return the block that the provider has under *native*."""
        return self._owners.get(native)

    @property
    def may_run(self) -> bool:
        """True if a block runs, drains, or may come; one whose submission hangs does not count."""
        return any(
            block.native is not None or block.managers or block.submitted_at is None or block.unconfirmed_since is None
            for block in self
            if not block.is_waiting
        )

    def hosts(self, block: BlockId) -> Sequence[str]:
        """Return the hosts of a block, as far as its provider's system has named them."""
        known = self._blocks.get(block)
        return known.last_status.hosts if known is not None and known.last_status is not None else ()

    def put(self, block: Block) -> None:
        """Add *block*, or follow a change of it."""
        self._blocks[block.id] = block
        if block.native is not None:
            self._owners[block.native] = block.id
        for index, belongs in (
            (self.waiting, block.is_waiting),
            (self.unconfirmed, block.unconfirmed_since is not None),
            (self.untried, block.is_untried),
            (self.draining, block.stage is Stage.DRAINING),
            (self.lonely, block.is_lonely),
            (self.unproven, block.is_unproven),
            (self.accepted, block.native is not None),
            (self.active, block.is_active),
            (self.coming, block.is_active and not block.managers),
            (self.unanswered, block.stage is Stage.REQUESTED and not block.is_waiting),
        ):
            if belongs:
                index[block.id] = block
            else:
                index.pop(block.id, None)
        self._count(block.id, block.managers, block.slots, block.slots if block.is_active else 0)
        if self.on_change is not None:
            self.on_change(block)

    def remove(self, block: Block) -> None:
        """Remove a block whose life is over."""
        self._blocks.pop(block.id, None)
        if block.native is not None:
            self._owners.pop(block.native, None)
        for index in (
            self.waiting,
            self.unconfirmed,
            self.untried,
            self.draining,
            self.lonely,
            self.unproven,
            self.accepted,
            self.active,
            self.coming,
            self.unanswered,
        ):
            index.pop(block.id, None)
        self._count(block.id, 0, 0, 0)
        if self.on_removed is not None:
            self.on_removed(block.id)
        if self.on_change is not None:
            self.on_change(block)

    def _count(self, block: BlockId, managers: int, slots: int, active_slots: int) -> None:
        before = self._counted.pop(block, (0, 0, 0))
        self.managers += managers - before[0]
        self.slots += slots - before[1]
        self.active_slots += active_slots - before[2]
        if managers:
            self._counted[block] = managers, slots, active_slots
