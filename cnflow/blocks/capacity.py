"""Number of blocks of one executor: what the strategy wants, within what is allowed. No I/O.

::

    decide(demand) ──> Situation ──strategy──> Start(n) ──> REQUESTED, as far as limits and allowance let them
                                           └─> Drain ─────> blocks to drain
                       allowance ──further──> waiting blocks beyond it: over, no call was made for them
                                 ──withdrawn> blocks to drain, without a manager: waiting, then queued, then starting
                                 ──drains───> blocks to drain: all
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.allowance import BlockNumbers
from cnflow.blocks.block import Block, Stage
from cnflow.blocks.callbacks import Demand
from cnflow.blocks.strategy import (
    BlockView,
    BlockViews,
    Drain,
    Limits,
    Situation,
    Start,
    Strategy,
    blocks_for,
    fixed_number,
    none,
)
from cnflow.ids import BlockId
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.blocks.nodes import Nodes
    from cnflow.blocks.table import BlockTable


class Capacity:
    """Decides how many blocks there are; see the module.

    Args:
        table: of all blocks.
        nodes: those that blocks have lost.
        limits: of the number of blocks.
        strategy: decides how many there should be.
        slots_per_node: expected of a node until the first manager has connected.

    Attributes:
        demand: that of the last decision.
        numbers: of the blocks; those of an executor with several providers share one.
    """

    def __init__(
        self,
        table: BlockTable,
        nodes: Nodes,
        limits: Limits,
        strategy: Strategy,
        slots_per_node: int,
    ) -> None:
        self.limits = limits
        self.strategy = strategy
        self.slots_per_node = slots_per_node
        self.demand = Demand(0, -1, 0, 0)
        self.numbers = BlockNumbers()
        self._table = table
        self._nodes = nodes
        self._is_first = True
        self._quiet_since: Seconds | None = None
        self._idle: Mapping[BlockId, float] = {}

    @property
    def most(self) -> int:
        """Number of blocks that the strategy may have."""
        return fixed_number(self.limits) if self.strategy is none else self.limits.max_blocks

    @property
    def slots_per_block(self) -> int:
        """Tasks that a block runs at a time, as reported by managers, or as expected."""
        return self.slots_per_node * self.limits.nodes_per_block

    @property
    def is_full(self) -> bool:
        """True if more tasks would not lead to more blocks."""
        return len(self._table) >= self.limits.max_blocks or self.strategy is none

    @property
    def has_surplus(self) -> bool:
        """True if there are more blocks than one task needs, so that the strategy may want idle times."""
        return self.strategy is not none and len(self._table.active) > max(1, blocks_for(0, 1, self.limits))

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """Keep the idle time of each block for the next decision, after which it is out of date."""
        self._idle = seconds

    def decide(self, demand: Demand, now: Seconds) -> list[Block]:
        """Request blocks for *demand*, drop waiting ones that are not allowed, and return those to drain."""
        if demand.tasks or demand.activity != self.demand.activity:
            self._quiet_since = now
        self.demand = demand
        ids: list[BlockId] = []
        for change in self.strategy(self._situation(now)):
            match change:
                case Start(number):
                    self._request(number, now)
                case Drain(blocks):
                    ids += blocks
        self._is_first, self._idle = False, {}
        drained = [block for each in ids if (block := self._table.get(each)) is not None]
        return [*drained, *self._limit(drained)]

    def _limit(self, drained: list[Block]) -> list[Block]:
        """Drop waiting blocks that are not allowed, and return the blocks to drain besides *drained*."""
        allowance = self.demand.allowance
        if allowance.further is not None:
            for block in list(self._table.waiting.values())[allowance.further :]:
                block.become(Stage.ENDED)
                self._table.remove(block)
        if allowance.drains:
            return [block for block in self._table.active.values() if block not in drained]
        if not allowance.withdrawn:
            return []
        table = self._table
        unconnected = [
            block for block in table.coming.values() if block.id not in table.unanswered and block not in drained
        ]
        unconnected.sort(key=_progress)
        return unconnected[: allowance.withdrawn]

    def _situation(self, now: Seconds) -> Situation:
        demand = self.demand
        quiet = Seconds(0.0) if demand.tasks or self._quiet_since is None else Seconds(now - self._quiet_since)
        idle = self._idle

        def view(block: Block) -> BlockView:
            return BlockView(block.id, block.slots, Seconds(idle.get(block.id, 0.0)) or quiet)

        views = BlockViews(self._table.active, view)
        is_idle_known = bool(idle) or quiet > 0
        lost = self._nodes.gone * self.slots_per_node
        return Situation(
            demand.tasks,
            quiet,
            views,
            self.slots_per_block,
            self._is_first,
            self.limits,
            demand.slots,
            is_idle_known,
            lost,
        )

    def _request(self, count: int, now: Seconds) -> None:
        further = self.demand.allowance.further
        room = self.most - len(self._table)
        if further is not None:
            room = min(room, further - len(self._table.waiting))
        if self.demand.allowance.drains:
            room = 0
        for _ in range(min(count, room)):
            self._table.put(Block(BlockId(str(self.numbers.take())), requested_at=now))


def _progress(block: Block) -> tuple[int, float]:
    """Sort key: how far a block without a manager has come; the youngest of the same stage first."""
    stages = [Stage.REQUESTED, Stage.PENDING, Stage.RUNNING]
    return stages.index(block.stage), -block.requested_at
