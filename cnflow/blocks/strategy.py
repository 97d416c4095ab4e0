"""Strategies: functions from a `Situation` to the number of blocks that there should be. No I/O.

Any callable of this shape can be passed as ``Config(strategy=...)``. It is called whenever something changed and
whenever the provider was asked, so it must be quick, and must give the same answer to the same situation.

::

    tasks ──> blocks_for(tasks) ── more than there are ──> Start(number)
              + warm_blocks     └─ fewer, and idle for max_idletime ──> Drain(blocks)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    from cnflow.blocks.block import Block
    from cnflow.ids import BlockId
    from cnflow.units import Seconds


class Limits(NamedTuple):
    """Limits that the user sets; see `cnflow.config.ProviderSettings`."""

    init_blocks: int
    min_blocks: int
    max_blocks: int
    nodes_per_block: int
    parallelism: float
    max_idletime: Seconds
    warm_blocks: int = 0
    is_single_use: bool = False
    """Each block takes one task, and ends by itself after it."""


class BlockView(NamedTuple):
    """A block that is requested or runs, and does not drain."""

    id: BlockId
    workers: int
    """Workers of its connected managers; 0 before one has connected."""

    idle_for: Seconds
    """Time since it held a task; 0 if it holds one, or if this is not known."""


class BlockViews(Sequence[BlockView]):
    """Views of many blocks, made when they are looked at: a strategy that only counts blocks costs the same for any.

    Args:
        blocks: all of them, by id.
        view: makes the view of one.
    """

    def __init__(self, blocks: Mapping[BlockId, Block], view: Callable[[Block], BlockView]) -> None:
        self._blocks = blocks
        self._view = view
        self._made: tuple[BlockView, ...] | None = None

    def __len__(self) -> int:
        return len(self._blocks)

    @overload
    def __getitem__(self, index: int) -> BlockView: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[BlockView, ...]: ...

    def __getitem__(self, index: int | slice) -> BlockView | tuple[BlockView, ...]:
        if self._made is None:
            self._made = tuple(map(self._view, self._blocks.values()))
        return self._made[index]


class Situation(NamedTuple):
    """Input of a strategy."""

    tasks: int
    """Unfinished tasks, waiting and running."""

    idle_for: Seconds
    """Time since there was a task; 0 while there is one."""

    blocks: Sequence[BlockView]
    """Oldest first."""

    slots_per_block: int
    """Tasks that a block runs at a time: reported by connected managers, or expected of the first one."""

    is_first: bool
    """True in the first decision of an executor."""

    limits: Limits
    slots_wanted: int | None = None
    """Slots that the tasks take to run all at the same time, by their `resources`; None is one for each."""

    is_idle_known: bool = True
    """False promises that `BlockView.idle_for` is 0 for each block, so that a strategy need not look."""

    slots_lost: int = 0
    """Slots that blocks of several nodes have no more, or never had, since some of their nodes are gone."""


class Start(NamedTuple):
    """Request so many more blocks; beyond `Limits.max_blocks` the number is cut."""

    number: int


class Drain(NamedTuple):
    """Give these blocks no further task, and end each once its tasks are finished."""

    blocks: tuple[BlockId, ...]


Change = Start | Drain
Strategy = Callable[[Situation], Iterable[Change]]


def none(situation: Situation) -> list[Change]:
    """Keep ``init_blocks`` and ``warm_blocks``, however many tasks there are; replace each that ends."""
    return _grow_to(fixed_number(situation.limits), situation)


def simple(situation: Situation) -> list[Change]:
    """Grow with the tasks; shrink to ``min_blocks`` or ``warm_blocks`` after ``max_idletime`` without a task."""
    return _grow_to(_target(situation), situation) or _shrink_when_idle(situation)


def htex_auto_scale(situation: Situation) -> list[Change]:
    """Behave like `simple`, and drain surplus blocks that were idle for ``max_idletime`` while other blocks work."""
    if not situation.tasks:
        return simple(situation)
    wanted = _target(situation)
    if len(situation.blocks) <= wanted or not situation.is_idle_known:
        return _grow_to(wanted, situation)
    longest = situation.limits.max_idletime
    idle = [block for block in situation.blocks if block.idle_for and block.idle_for >= longest]
    return _drain(idle, len(situation.blocks) - wanted)


STRATEGIES: Mapping[str, Strategy] = {"none": none, "simple": simple, "htex_auto_scale": htex_auto_scale}


def blocks_for(tasks: int, slots_per_block: int, limits: Limits) -> int:
    """Return the number of blocks that gives `parallelism` slots to each task, at least one if there is a task.

    `warm_blocks` are added, so that as many are idle, as far as `max_blocks` allows. A task that needs more of a node
    than one slot counts for as many tasks (`Situation.slots_wanted`).

    Parsl's formulas: p = 0 is ``max(min_blocks, 1)``, p = 1 is ``min(max_blocks, ceil(tasks / slots))``, and
    p = 1/2 puts two tasks on each slot before a further block is asked for.
    """
    worth = math.ceil(round(tasks * limits.parallelism / slots_per_block, 9))  # 0.1 * 30 is a little more than 3
    needed = max(worth, 1) if tasks else 0
    return min(limits.max_blocks, max(limits.min_blocks, needed + limits.warm_blocks))


def fixed_number(limits: Limits) -> int:
    """Return the number of blocks of the strategy `none`."""
    return min(limits.max_blocks, max(limits.init_blocks, limits.min_blocks) + limits.warm_blocks)


def _target(situation: Situation) -> int:
    first = situation.limits.init_blocks if situation.is_first else 0
    slots = situation.tasks if situation.slots_wanted is None else situation.slots_wanted
    wanted = max(first, blocks_for(slots, situation.slots_per_block, situation.limits))
    return min(wanted + situation.slots_lost // situation.slots_per_block, max(wanted, situation.limits.max_blocks))


def _grow_to(wanted: int, situation: Situation) -> list[Change]:
    missing = wanted - len(situation.blocks)
    return [Start(missing)] if missing > 0 else []


def _shrink_when_idle(situation: Situation) -> list[Change]:
    limits = situation.limits
    if situation.tasks or situation.is_first or situation.idle_for < limits.max_idletime:
        return []
    return _drain(list(situation.blocks), len(situation.blocks) - blocks_for(0, 1, limits))


def _drain(candidates: list[BlockView], spare: int) -> list[Change]:
    """Drain up to *spare* of *candidates*: first blocks that do not run yet, then the youngest."""
    if spare <= 0 or not candidates:
        return []
    youngest_first = candidates[::-1]
    youngest_first.sort(key=lambda block: block.workers > 0)
    return [Drain(tuple(block.id for block in youngest_first[:spare]))]
