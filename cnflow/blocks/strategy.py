"""How many blocks there are to be; pure. A strategy is a function from a `Situation` to changes.

Write your own as any callable of that shape and pass it as ``Config(strategy=...)``. It is called whenever something
changed and at each look at the provider, so it must be quick and may be asked the same question many times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.ids import BlockId
    from cnflow.units import Seconds


class Limits(NamedTuple):
    """What the user allows; see `cnflow.config.ProviderSettings`."""

    init_blocks: int
    min_blocks: int
    max_blocks: int
    nodes_per_block: int
    parallelism: float
    max_idletime: Seconds


class BlockView(NamedTuple):
    """A block that is asked for or runs, and is not on its way out."""

    id: BlockId
    workers: int
    """Of its connected managers; 0 before one has connected."""

    idle_for: Seconds
    """Since it held a task; 0 when it holds one, or where that is not known."""


class Situation(NamedTuple):
    """All that a strategy decides from."""

    tasks: int
    """Waiting and running."""

    idle_for: Seconds
    """Since there was a task; 0 while there is one."""

    blocks: tuple[BlockView, ...]
    """Oldest first."""

    slots_per_block: int
    """Tasks that a block runs at a time: as the connected managers say, or what is expected of the first."""

    is_first: bool
    """Whether the executor starts just now."""

    limits: Limits


class Start(NamedTuple):
    """Ask for so many more blocks; `Limits.max_blocks` is kept whatever the strategy says."""

    number: int


class Drain(NamedTuple):
    """Give these blocks nothing more, and end each when it has done what it has."""

    blocks: tuple[BlockId, ...]


Change = Start | Drain
Strategy = Callable[[Situation], Iterable[Change]]


def none(situation: Situation) -> list[Change]:
    """Keep ``init_blocks``, whatever there is to do; one that ends is replaced."""
    limits = situation.limits
    return _grow_to(max(limits.init_blocks, limits.min_blocks), situation)


def simple(situation: Situation) -> list[Change]:
    """Grow with the tasks; shrink to ``min_blocks`` once there was none for ``max_idletime``."""
    return _grow_to(_wanted(situation), situation) or _shrink_when_all_is_quiet(situation)


def htex_auto_scale(situation: Situation) -> list[Change]:
    """As `simple`; also while there are tasks, drain blocks that are not needed and were idle for ``max_idletime``."""
    if not situation.tasks:
        return simple(situation)
    wanted = _wanted(situation)
    longest = situation.limits.max_idletime
    idle = [block for block in situation.blocks if block.idle_for and block.idle_for >= longest]
    return _grow_to(wanted, situation) or _drain(idle, len(situation.blocks) - wanted)


STRATEGIES: Mapping[str, Strategy] = {"none": none, "simple": simple, "htex_auto_scale": htex_auto_scale}


def blocks_for(tasks: int, slots_per_block: int, limits: Limits) -> int:
    """Blocks that *tasks* are worth: as many as give `parallelism` slots to each, at least one for any.

    The reference's formulas: p = 0 is ``max(min_blocks, 1)``, p = 1 is ``min(max_blocks, ceil(tasks / slots))``, and
    p = 1/2 puts two tasks on each slot before a further block is asked for.
    """
    if not tasks:
        return limits.min_blocks
    worth = math.ceil(round(tasks * limits.parallelism / slots_per_block, 9))  # 0.1 * 30 is a little more than 3
    return min(limits.max_blocks, max(limits.min_blocks, worth, 1))


def _wanted(situation: Situation) -> int:
    first = situation.limits.init_blocks if situation.is_first else 0
    return max(first, blocks_for(situation.tasks, situation.slots_per_block, situation.limits))


def _grow_to(wanted: int, situation: Situation) -> list[Change]:
    missing = wanted - len(situation.blocks)
    return [Start(missing)] if missing > 0 else []


def _shrink_when_all_is_quiet(situation: Situation) -> list[Change]:
    limits = situation.limits
    if situation.tasks or situation.is_first or situation.idle_for < limits.max_idletime:
        return []
    return _drain(list(situation.blocks), len(situation.blocks) - limits.min_blocks)


def _drain(candidates: list[BlockView], spare: int) -> list[Change]:
    """Up to *spare* of them: first those that do not run yet, then the youngest."""
    if spare <= 0 or not candidates:
        return []
    youngest_first = candidates[::-1]
    youngest_first.sort(key=lambda block: block.workers > 0)
    return [Drain(tuple(block.id for block in youngest_first[:spare]))]
