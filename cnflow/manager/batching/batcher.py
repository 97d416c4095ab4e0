"""Forms batches of the calls of all models. No I/O.

::

    add ──> queue of its model, and of what is kept apart ──> take: interactive before bulk, the oldest first
                                                                 │
        ┌── split: its worker died with the batch, or ───────────┤
        │          it was not done at its walltime               ▼
        └──> halves, each a batch of its own, before others ──> runs ──> on_done: how long batches of the model take

    A call that runs alone when its worker dies is the one that killed it. Others are answered.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.manager.batching.cost import CostModel
from cnflow.manager.batching.queue import BatchQueue, Key, Waiting
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import FunctionId, TaskId
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import Task, TaskParcel

_INTERACTIVE_IN_A_ROW = 15
"""Batches after which one of bulk calls has its turn, if some wait."""

_MOST_COSTS = 1000
"""Models whose durations are kept."""

_NEVER = Seconds(math.inf)


class _Choice(NamedTuple):
    """Lane from which the next batch may be taken; the smallest one is."""

    is_bulk: bool
    number: int
    key: Key


class Batcher:
    """The calls that wait; the module has a picture."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._queues: dict[Key, BatchQueue] = {}
        self._costs: dict[FunctionId, CostModel] = {}
        self._parts: deque[list[TaskParcel]] = deque()
        """Parts of batches that were split, each a batch of its own."""

        self._new: list[Waiting] = []
        """Calls that came since the last `take`, whose time of arrival is that of the next one."""

        self._interactive_in_a_row = 0

    def __len__(self) -> int:
        """Number of calls that wait."""
        return sum(map(len, self._queues.values())) + sum(map(len, self._parts))

    def __bool__(self) -> bool:
        return bool(self._queues or self._parts)

    def parcels(self) -> list[TaskParcel]:
        """All calls that wait."""
        return [
            *(parcel for part in self._parts for parcel in part),
            *(waiting.parcel for queue in self._queues.values() for waiting in queue),
        ]

    def cost(self, function: FunctionId) -> CostModel:
        """Durations of the batches of a model."""
        cost = self._costs.get(function)
        if cost is None:
            while len(self._costs) >= _MOST_COSTS:
                del self._costs[next(iter(self._costs))]
            cost = self._costs[function] = CostModel()
        return cost

    def add(self, parcel: TaskParcel, function: Function) -> None:
        """Add a call of *function*, which has limits of batches."""
        task, limits = parcel[0], function.batching
        assert limits is not None
        if not task.rows:
            self._parts.append([parcel])
            return
        accelerators = task.needs.accelerators if task.needs is not None else limits.accelerators
        key = Key(task.function, task.apart, task.walltime, accelerators)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = BatchQueue(limits, self.cost(task.function))
        waiting = Waiting(parcel, next(self._numbers), _NEVER)
        self._new.append(waiting)
        queue.add(waiting)

    def split(self, parcels: list[TaskParcel]) -> None:
        """Run the calls of a batch that has no answer again: in two batches, which no other call joins."""
        half = (len(parcels) + 1) // 2
        self._parts.extendleft(part for part in (parcels[half:], parcels[:half]) if part)

    def put_back(self, parcels: list[TaskParcel]) -> None:
        """Run a batch next that was taken and not sent."""
        self._parts.appendleft(parcels)

    def on_done(self, function: FunctionId, rows: int, seconds: float) -> None:
        """Record the duration of a batch."""
        self.cost(function).record(rows, seconds)

    def remove(self, attempts: Mapping[TaskId, int]) -> list[Task]:
        """Remove and return those of *attempts* that wait here."""
        removed = [task for queue in self._queues.values() for task in queue.remove(attempts)]
        for part in self._parts:
            found = [parcel for parcel in part if attempts.get(parcel[0].id) == parcel[0].attempt]
            for parcel in found:
                part.remove(parcel)
                removed.append(parcel[0])
        if removed:
            self._parts = deque(part for part in self._parts if part)
            self._queues = {key: queue for key, queue in self._queues.items() if queue}
        return removed

    def clear(self) -> list[Task]:
        """Remove and return all calls."""
        tasks = [task for task, _ in self.parcels()]
        self._queues.clear()
        self._parts.clear()
        self._new.clear()
        return tasks

    def next_at(self) -> Seconds:
        """Time at which the first batch is due of those that wait for more rows; infinite if there is none."""
        due = (queue.due_at(is_bulk=_lane(queue)) for queue in self._queues.values())
        return min(due, default=_NEVER)

    def take(self, now: Seconds, workers: int, *, is_last: bool = False) -> Optional[list[TaskParcel]]:
        """Remove and return the calls of the next batch; None if none is due.

        Args:
            now: the time.
            workers: those that are idle now or soon, this one included.
            is_last: no call follows those that are here: none waits for more rows.
        """
        self._stamp(now)
        if self._parts:
            return self._parts.popleft()
        chosen = self._choose(now, is_last=is_last)
        if chosen is None:
            return None
        self._interactive_in_a_row = 0 if chosen.is_bulk else self._interactive_in_a_row + 1
        queue = self._queues[chosen.key]
        batch = queue.take(workers, is_bulk=chosen.is_bulk)
        if not queue:
            del self._queues[chosen.key]
        return batch

    def calls_per_batch(self) -> int:
        """Number of calls in the largest batch that those that wait now can be part of."""
        return max((_calls_per_batch(queue) for queue in self._queues.values()), default=1)

    def _stamp(self, now: Seconds) -> None:
        for waiting in self._new:
            waiting.arrived = now
        self._new.clear()

    def _choose(self, now: Seconds, *, is_last: bool) -> Optional[_Choice]:
        is_turn_of_bulk = self._interactive_in_a_row >= _INTERACTIVE_IN_A_ROW
        choices: list[_Choice] = []
        for key, queue in self._queues.items():
            for is_bulk in (False, True):
                first = queue.first(is_bulk=is_bulk)
                if first is None or (is_bulk and queue.first(is_bulk=False) is not None and not is_turn_of_bulk):
                    continue
                if is_last or queue.due_at(is_bulk=is_bulk) <= now:
                    choices.append(_Choice(is_bulk, first.number, key))
        if is_turn_of_bulk and any(choice.is_bulk for choice in choices):
            choices = [choice for choice in choices if choice.is_bulk]
        return min(choices, key=lambda choice: choice[:2], default=None)


def _lane(queue: BatchQueue) -> bool:
    """Lane of *queue* that is due next: bulk only if no interactive call waits."""
    return queue.first(is_bulk=False) is None


def _calls_per_batch(queue: BatchQueue) -> int:
    return -(-queue.limits.max_batch * len(queue) // max(queue.rows, 1))


def rows_of(parcels: Iterable[TaskParcel]) -> int:
    """Number of rows of a batch."""
    return sum(task.rows for task, _ in parcels)
