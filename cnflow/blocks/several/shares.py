"""Part of an executor's tasks that each of its providers sees, from which its blocks follow. No I/O.

::

    tasks ──> held: what connected blocks take, in order of preference
        └───> missing ──> the first provider without trouble, as far as it has room
                     ├──> as many more at once as `hedge` says        connected: what the others have in excess goes
                     └──> the next, once the last task would wait longer than `spill_after`: for the slots that keep the
                          wait below that

    provider in trouble: counts for nothing, and is asked for one block, which shows whether it works again
    provider passed over: asked for nothing

Nothing oscillates: a share only grows by tasks, by trouble or by time; blocks beyond a share live on until they were
idle for `max_idletime`; a block is withdrawn only where another has connected, at most ``hedge - 1`` for each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.allowance import ALL, Allowance
from cnflow.blocks.several.pace import Source, TaskPace, wait_for_last

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.blocks.callbacks import Demand
    from cnflow.units import Seconds

_ENDS_SPILL = 0.5
"""Part of `spill_after` below which the wait must fall until the next provider is not asked any more."""


class Situation(NamedTuple):
    """Blocks of one provider."""

    label: str
    slots: int
    """Of connected managers, of blocks that do not drain."""

    coming: int
    """Blocks that do not drain and have no manager."""

    room: int
    """Blocks that may be requested besides all that there are."""

    slots_per_block: int
    parallelism: float
    starts_in: float
    """Seconds until the first of the coming blocks is expected; of a block that were asked for now without any."""

    connections: int
    """Blocks that ever connected."""

    trouble: str = ""
    """What is wrong with it now; empty if nothing is."""

    passed_over: str = ""
    """Why it is asked for nothing; empty if it is."""

    waiting: int = 0
    """Coming blocks that are not submitted yet."""

    out: int = 0
    """Coming blocks whose submission has no answer yet: they cannot be withdrawn before."""

    @property
    def tasks_per_block(self) -> float:
        """Tasks for which the strategy has one block."""
        return self.slots_per_block / self.parallelism if self.parallelism else math.inf

    @property
    def held(self) -> float:
        """Tasks for which the strategy has the connected blocks."""
        if not self.slots:
            return 0.0
        return self.slots / self.parallelism if self.parallelism else math.inf

    @property
    def possible(self) -> float:
        """Tasks for which there can be blocks besides the connected ones."""
        blocks = self.coming + max(0, self.room)
        return blocks * self.tasks_per_block if blocks else 0.0

    @property
    def is_trusted(self) -> bool:
        """True if its blocks are expected to come."""
        return not self.trouble and not self.passed_over


class Share(NamedTuple):
    """Part of one provider."""

    tasks: float = 0.0
    """Tasks that its blocks are to take."""

    allowance: Allowance = ALL


class Shares:
    """Divides tasks among the providers of one executor.

    Args:
        spill_after: seconds; see `HighThroughputExecutor`.
        hedge: number of providers asked at a time.
    """

    def __init__(self, spill_after: float, hedge: int) -> None:
        self.spill_after = spill_after
        self._hedge = hedge
        self.pace = TaskPace()
        self._short_since: Seconds | None = None
        self._spilled: set[str] = set()
        self._connections: dict[str, int] = {}
        self._credits: dict[str, float] = {}
        """Slots of each provider that may be withdrawn, since others have connected."""

        self.wait = 0.0
        """Seconds until the last task begins, by the first provider and those that are asked besides it."""

    def divide(self, demand: Demand, providers: Sequence[Situation], now: Seconds) -> list[Share]:
        """Return the share of each of *providers*, which are in order of preference."""
        held, missing = _hold(demand.slots, providers)
        working = sum(each.slots for each in providers)
        self.pace.on_look(demand.finished, min(demand.slots, working), now)
        self._on_connections(providers)
        if missing <= 0:
            self._short_since = None
            self._spilled.clear()
            self.wait = 0.0
            asked = [0.0] * len(providers)
        else:
            self._short_since = now if self._short_since is None else self._short_since
            asked = self._ask(missing, float(working), providers, now - self._short_since)
        return [
            Share(holds + asks, self._allow(each, asks))
            for each, holds, asks in zip(providers, held, asked, strict=True)
        ]

    def on_withdrawn(self, label: str, blocks: int, slots_per_block: int) -> None:
        """Count blocks that were withdrawn in the place of ones that connected."""
        self._credits[label] = max(0.0, self._credits.get(label, 0.0) - blocks * slots_per_block)

    def _ask(self, missing: float, working: float, providers: Sequence[Situation], elapsed: float) -> list[float]:
        asked: list[float] = []
        coming: list[Source] = []
        trusted, in_time = 0, 0.0
        for each in providers:
            if each.passed_over:
                asked.append(0.0)
                continue
            if each.trouble:
                asked.append(min(missing, each.tasks_per_block, each.possible))
                continue
            if trusted < self._hedge:
                asks = missing
            else:
                asks = min(missing - in_time, self._spilling(each.label, missing, working, coming, elapsed))
            asks = max(0.0, min(asks, each.possible))
            asked.append(asks)
            trusted += asks > 0 or each.slots > 0
            if asks > 0:
                coming.append(Source(each.starts_in, min(missing, asks)))
                in_time += asks / self._hedge if each.starts_in <= self.spill_after else 0.0
        self.wait = self._wait(missing, working, coming, elapsed)
        return asked

    def _spilling(self, label: str, missing: float, working: float, coming: list[Source], elapsed: float) -> float:
        """Return the tasks for which a further provider is asked, so that none waits for longer than `spill_after`."""
        wait = self._wait(missing, working, coming, elapsed)
        limit = self.spill_after * (_ENDS_SPILL if label in self._spilled else 1.0)
        if wait <= limit:
            self._spilled.discard(label)
            return 0.0
        self._spilled.add(label)
        seconds = self.pace.seconds_per_task
        if not seconds or not self.spill_after:
            return missing
        in_time = [source for source in coming if source.starts_in <= self.spill_after]
        slots = working + sum(source.slots for source in in_time)
        return max(1.0, missing * seconds / self.spill_after - slots)

    def _wait(self, missing: float, working: float, coming: list[Source], elapsed: float) -> float:
        wait = wait_for_last(missing, working, coming, self.pace.seconds_per_task)
        if math.isinf(wait) and (working or coming):  # of the durations nothing is known
            return max([elapsed, *(source.starts_in for source in coming)])
        return wait

    def _on_connections(self, providers: Sequence[Situation]) -> None:
        """Let as much be withdrawn from the others as has connected at a provider."""
        if self._hedge < 2:  # noqa: PLR2004 - one alone is no hedge
            return
        for each in providers:
            new = each.connections - self._connections.get(each.label, 0)
            self._connections[each.label] = each.connections
            for other in providers:
                if new > 0 and other is not each:
                    self._credits[other.label] = self._credits.get(other.label, 0.0) + new * each.slots_per_block

    def _allow(self, each: Situation, asks: float) -> Allowance:
        if each.passed_over:
            return Allowance(further=0, reason=each.passed_over)
        needed = max(1, math.ceil(asks / each.tasks_per_block)) if asks else 0
        excess = each.coming - needed
        if each.trouble:
            return Allowance(further=max(0, needed - (each.coming - each.waiting)), reason=each.trouble)
        credit = self._credits.get(each.label, 0.0)
        if excess <= 0:
            self._credits.pop(each.label, None)  # what comes is wanted: an earlier connection is no reason any more
        return Allowance(withdrawn=max(0, min(excess, each.coming - each.out, int(credit // each.slots_per_block))))


def _hold(slots: float, providers: Sequence[Situation]) -> tuple[list[float], float]:
    """Return the tasks that the connected blocks of each provider take, and those left."""
    held: list[float] = []
    for each in providers:
        held.append(min(float(slots), each.held))
        slots -= held[-1]
    return held, float(slots)
