"""Calls of one model that may run together, in two lanes. No I/O.

::

    add ──> lane of interactive calls ──┐
      └───> lane of bulk calls ─────────┴── take ──> batch: calls in their order, of no more rows than the limit
                                                     (a call that has more by itself runs alone)

A batch is due when it is full, or its first call has waited for `max_wait`. It has calls of both lanes only where a
latency target bounds it anyway, which it takes half of: the other half is for the wait.
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

_BATCH_SHARE = 0.5
"""Share of the latency target that is for the batch itself."""


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

    @property
    def limit(self) -> int:
        """Most rows of a batch that begins now.

        Half of the latency target is for the batch: the other half is the wait of a call that comes just after the
        start of one, and has to see its end. It is not less for calls that are late already: small batches would make
        all others late, too.
        """
        target = self.limits.latency_target
        if not target:
            return self.limits.max_batch
        return min(self.limits.max_batch, self._cost.most_rows(target * _BATCH_SHARE))

    def due_at(self, *, is_bulk: bool) -> Seconds:
        """Time from which on an idle worker begins with the first call of the lane."""
        first = self._lanes[is_bulk][0]
        wait = self.limits.max_wait
        if not wait or self._rows[is_bulk] >= self.limit:
            return first.arrived
        if self.limits.latency_target:
            wait = min(wait, self.limits.latency_target * (1 - _BATCH_SHARE))
        return Seconds(first.arrived + wait)

    def take(self, workers: int, *, is_bulk: bool) -> list[TaskParcel]:
        """Remove and return the calls of a batch that begins now with the first one of the lane.

        Args:
            workers: those that are idle now or soon, this one included: they share what they can do in less time.
            is_bulk: lane of the first call.
        """
        limit = self.limit
        rows = self._rows[is_bulk]
        share = -(-rows // workers)
        is_shared = workers > 1 and not self.limits.max_wait and rows <= limit * workers
        if is_shared and self._cost.is_worth_dividing(min(rows, limit), share):
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
