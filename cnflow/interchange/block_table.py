"""Blocks that the driver has admitted, and their managers. No I/O.

::

    admit ──> managers, one for each node ── on_registered ──> managers ── on_departed ──> departed: refused from now on
                │                                                ^             │
                │                  expect ──> awaited ───────────┴─────────────┤
                │                                                              └── the last one: ReportDrained if the
                │                                                                  driver has ordered that, or else
                │                                                                  ReportBlockEmpty if all came and
                v                                                                  drained by themselves
    remove: nothing is kept but the last ids, so that managers of the block that still come are refused
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.interchange.actions import Action, ReportBlockEmpty, ReportDrained

if TYPE_CHECKING:
    from cnflow.ids import BlockId, ManagerId

UNKNOWN = "the interchange does not have this manager any more: it was silent for too long"
NOT_ADMITTED = "its block has ended, or is none of this run"

_MOST_REMOVED = 1000
"""Blocks that are over and whose managers are refused at once; one of an older block waits in vain."""


class BlockRecord:
    """Managers of one block.

    Attributes:
        managers: those that are registered.
        awaited: those that were registered with a predecessor of this interchange and have not come back.
        departed: those that were registered or awaited, and are gone.
        nodes: number of nodes, each of which has a manager; 1 until one of them has registered.
        is_draining: the driver has ordered that the block runs nothing more.
    """

    __slots__ = ("awaited", "departed", "is_draining", "managers", "nodes")

    def __init__(self) -> None:
        self.managers: set[ManagerId] = set()
        self.awaited: set[ManagerId] = set()
        self.departed: set[ManagerId] = set()
        self.nodes = 1
        self.is_draining = False

    @property
    def is_empty(self) -> bool:
        """True if no manager is registered or awaited."""
        return not (self.managers or self.awaited)

    @property
    def is_complete(self) -> bool:
        """True if the manager of each node has registered at some time."""
        return len(self.managers) + len(self.awaited) + len(self.departed) >= self.nodes


class BlockTable:
    """Records of the admitted blocks; the module has a picture. The work for each event is that for one block."""

    def __init__(self) -> None:
        self._blocks: dict[BlockId, BlockRecord] = {}
        self._removed: dict[BlockId, None] = {}
        self._departed: dict[ManagerId, BlockId] = {}

    def get(self, block: BlockId) -> BlockRecord | None:
        """Record of *block*; None if it is not admitted."""
        return self._blocks.get(block)

    def refusal(self, manager: ManagerId, block: BlockId) -> str:
        """Reason to refuse *manager* of *block*; empty if there is none."""
        if self.has_departed(manager):
            return UNKNOWN
        return NOT_ADMITTED if block in self._removed else ""

    def is_removed(self, block: BlockId) -> bool:
        """True if *block* was removed, and not forgotten since."""
        return block in self._removed

    def has_departed(self, manager: ManagerId) -> bool:
        """True if *manager* was registered or awaited, and is gone."""
        return manager in self._departed

    def admit(self, block: BlockId) -> bool:
        """Let managers of *block* register, until it is removed; return False if they may already."""
        if block in self._blocks:
            return False
        self._blocks[block] = BlockRecord()
        return True

    def remove(self, block: BlockId) -> None:
        """Keep nothing of *block* and its managers."""
        self.forget(block)
        self._removed[block] = None
        if len(self._removed) > _MOST_REMOVED:
            del self._removed[next(iter(self._removed))]

    def forget(self, block: BlockId) -> None:
        """Keep nothing of *block* and its managers, and refuse none that still come; it has to be admitted again."""
        record = self._blocks.pop(block, None)
        for manager in record.departed if record is not None else ():
            del self._departed[manager]

    def expect(self, manager: ManagerId, block: BlockId) -> None:
        """Await *manager*, which was registered with a predecessor, if its block is admitted."""
        record = self._blocks.get(block)
        if record is not None:
            record.awaited.add(manager)

    def on_registered(self, manager: ManagerId, block: BlockId, nodes: int) -> None:
        """Add *manager* to its block, which has *nodes* nodes."""
        record = self._blocks[block]
        record.nodes = max(record.nodes, nodes)
        record.awaited.discard(manager)
        record.managers.add(manager)

    def on_departed(self, manager: ManagerId, block: BlockId, *, was_draining: bool = False) -> list[Action]:
        """Refuse *manager* from now on; report *block*, if it is admitted and has no other one."""
        record = self._blocks.get(block)
        if record is None:
            return []
        record.managers.discard(manager)
        record.awaited.discard(manager)
        record.departed.add(manager)
        self._departed[manager] = block
        if not record.is_empty:
            return []
        if record.is_draining:
            return [ReportDrained(block)]
        return [ReportBlockEmpty(block)] if was_draining and record.is_complete else []
