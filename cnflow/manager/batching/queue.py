"""Calls of one model that may run together, in two lanes. No I/O.

::

    add ──> lane of interactive calls ──┐
      └───> lane of bulk calls ─────────┴── take ──> batch: calls in their order, of no more rows than the limit
                                                     (a call that has more by itself runs alone)

A batch is due when it is full, or its first call has waited for `max_wait`. It has calls of both lanes only where a
latency target bounds it anyway.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.ids import FunctionId, TaskId
    from cnflow.manager.batching.cost import CostModel
    from cnflow.wire.function_messages import Batching
    from cnflow.wire.messages import Task, TaskParcel

_WAIT_SHARE = 0.5
"""Share of the latency target that the wait of a call may take of its batch: a late one makes no batch tiny."""


class Key(NamedTuple):
    """Calls that differ in one of these are never in one batch."""

    function: FunctionId
    apart: str
    walltime: float
    accelerators: int


class Waiting:
    """A call that waits.

    Attributes:
        number: order of arrival among all calls of the manager.
        arrived: time of that.
    """

    __slots__ = ("arrived", "number", "parcel", "rows")

    def __init__(self, parcel: TaskParcel, number: int, arrived: Seconds) -> None:
        self.parcel = parcel
        self.rows = parcel[0].rows
        self.number = number
        self.arrived = arrived


class BatchQueue:
    """The calls; the module has a picture.

    Args:
        limits: of the model's batches.
        cost: estimate of their duration, common to all queues of the model.
    """

    __slots__ = ("_cost", "_lanes", "_rows", "limits")

    def __init__(self, limits: Batching, cost: CostModel) -> None:
        self.limits = limits
        self._cost = cost
        self._lanes: tuple[deque[Waiting], deque[Waiting]] = (deque(), deque())
        self._rows = [0, 0]

    def __len__(self) -> int:
        return len(self._lanes[0]) + len(self._lanes[1])

    def __iter__(self) -> Iterator[Waiting]:
        return chain(*self._lanes)

    @property
    def rows(self) -> int:
        """Number of rows that wait."""
        return sum(self._rows)

    def first(self, *, is_bulk: bool) -> Waiting | None:
        """First call of the lane."""
        lane = self._lanes[is_bulk]
        return lane[0] if lane else None

    def add(self, waiting: Waiting) -> None:
        """Add a call behind those of its lane."""
        is_bulk = waiting.parcel[0].is_bulk
        self._lanes[is_bulk].append(waiting)
        self._rows[is_bulk] += waiting.rows

    def remove(self, attempts: Mapping[TaskId, int]) -> list[Task]:
        """Remove and return those of *attempts* that wait here."""
        removed: list[Task] = []
        for is_bulk, lane in enumerate(self._lanes):
            found = [each for each in lane if attempts.get(each.parcel[0].id) == each.parcel[0].attempt]
            for each in found:
                lane.remove(each)
                self._rows[is_bulk] -= each.rows
                removed.append(each.parcel[0])
        return removed

    def limit(self, now: Seconds, *, is_bulk: bool) -> int:
        """Most rows of a batch that begins now with the first call of the lane."""
        target = self.limits.latency_target
        if not target:
            return self.limits.max_batch
        first = self._lanes[is_bulk][0]
        waited = min(max(now - first.arrived, 0.0), target * _WAIT_SHARE)
        return min(self.limits.max_batch, self._cost.most_rows(target - waited))

    def due_at(self, now: Seconds, *, is_bulk: bool) -> Seconds:
        """Time from which on an idle worker begins with the first call of the lane; *now* or before if at once."""
        first = self._lanes[is_bulk][0]
        wait = self.limits.max_wait
        if not wait or self._rows[is_bulk] >= self.limit(now, is_bulk=is_bulk):
            return first.arrived
        if self.limits.latency_target:
            wait = min(wait, max(0.0, self.limits.latency_target - self._cost.seconds(self._rows[is_bulk])))
        return Seconds(first.arrived + wait)

    def take(self, now: Seconds, idle: int, *, is_bulk: bool) -> list[TaskParcel]:
        """Remove and return the calls of a batch that begins now with the first one of the lane.

        Args:
            now: the time.
            idle: workers that wait for a batch, this one included: they share what they can do in less time.
            is_bulk: lane of the first call.
        """
        limit = self.limit(now, is_bulk=is_bulk)
        rows = self._rows[is_bulk]
        share = -(-rows // idle)
        if idle > 1 and rows <= limit * idle and self._cost.is_worth_dividing(min(rows, limit), share):
            limit = share
        batch, left = self._take(is_bulk, limit, [])
        if not is_bulk and self.limits.latency_target and left > 0 and not self._lanes[0]:
            batch, _ = self._take(1, left, batch)
        return batch

    def _take(self, place: int, room: int, batch: list[TaskParcel]) -> tuple[list[TaskParcel], int]:
        """Move calls of a lane to *batch* while they fit; the first of all is taken in any case."""
        lane, taken = self._lanes[place], 0
        while lane and (lane[0].rows <= room - taken or not batch):
            first = lane.popleft()
            taken += first.rows
            batch.append(first.parcel)
        self._rows[place] -= taken
        return batch, room - taken
