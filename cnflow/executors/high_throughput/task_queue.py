"""Tasks that wait to leave the driver for the interchange.

::

    put ──> _waiting, and _present ── next_message ──> Work
                          │              └── an entry that is not in _present any more is passed over
                          └── remove: out of _present alone, so that a cancellation costs the same in a long queue
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

from cnflow.executors.high_throughput.own_modules.registry import records_of
from cnflow.wire import messages as msg
from cnflow.wire.bulk import BULK_FROM
from cnflow.wire.parcels import detach_frames
from cnflow.wire.sent_functions import OF_INTERCHANGE, SentFunctions, size_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.ids import TaskId
    from cnflow.wire.function_messages import Function

    SerializedTask = tuple[Function, msg.TaskParcel]

_MOST_TASKS = 5_000
"""Tasks in one message, so that the interchange can begin with the first while later ones are serialized."""


class TaskQueue:
    """Collects tasks and makes messages of them; a function goes along with its first task only.

    `put` is safe from any thread; everything else needs the lock of the client that owns the queue.

    Args:
        serializer: of the same tasks; its `has_needs` goes into each message.
    """

    def __init__(self, serializer: TaskSerializer) -> None:
        self._serializer = serializer
        self._waiting: deque[SerializedTask] = deque()
        """Tasks in their order, and entries of tasks that were removed since."""

        self._present: dict[TaskId, SerializedTask] = {}
        """Tasks that are in the queue. A task that was removed and put again is the later one of its two entries."""

        self._sent = SentFunctions(OF_INTERCHANGE)
        """Functions that the present interchange has."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, task: SerializedTask) -> None:
        """Add one task at the end."""
        self._present[task[1][0].id] = task  # first: an entry of `_waiting` that is not in here counts as removed
        self._waiting.append(task)

    def clear(self) -> None:
        """Drop all tasks."""
        self._waiting.clear()
        self._present.clear()

    def on_new_interchange(self) -> None:
        """Send every function again: the next interchange has none."""
        self._sent.on_new_session()

    def remove(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Remove those of *tasks* that are in the queue, and return them."""
        return [task for task in tasks if self._present.pop(task, None) is not None]

    def next_message(self) -> list[Any]:
        """Frames of the next message, whose tasks leave the queue; no frames if it is empty."""
        leaving = self._batch(self._leaving())
        if not leaving:
            return []
        functions, forgets = self._functions_of(leaving)
        heads, attached = detach_frames(parcel for _, parcel in leaving)
        return [msg.encode(msg.Work(functions, heads, self._serializer.has_needs, forgets)), *attached]

    def _leaving(self) -> Iterator[SerializedTask]:
        waiting, present = self._waiting, self._present
        while waiting:
            task = waiting.popleft()
            number = task[1][0].id
            if present.get(number) is task:
                del present[number]
                yield task

    def recovery_messages(self, unfinished: Iterator[SerializedTask]) -> Iterator[list[Any]]:
        """Yield the frames of messages that resubmit *unfinished* after a restart; the last one is marked."""
        batch = self._batch(unfinished)
        is_last = False
        while not is_last:
            following = self._batch(unfinished)
            is_last = not following
            functions, forgets = self._functions_of(batch)
            heads, attached = detach_frames(parcel for _, parcel in batch)
            yield [msg.encode(msg.Resubmit(functions, heads, is_last, forgets)), *attached]
            batch = following

    def _batch(self, tasks: Iterator[SerializedTask]) -> list[SerializedTask]:
        """Take tasks for one message: many, unless they need functions that make it a large one."""
        batch: list[SerializedTask] = []
        known, size = self._sent.ids, 0
        for task in itertools.islice(tasks, _MOST_TASKS):
            batch.append(task)
            if task[0].id not in known:
                size += size_of(task[0]) + sum(map(size_of, records_of(task[0])))
                if size > BULK_FROM:
                    break
        return batch

    def _functions_of(self, tasks: list[SerializedTask]) -> tuple[list[Function], bool]:
        """Functions that the interchange does not have yet; True if it first forgets others."""
        functions = {function.id: function for function, _ in tasks}
        records = {record.id: record for function in functions.values() for record in records_of(function)}
        return self._sent.add(functions.keys(), {**functions, **records})
