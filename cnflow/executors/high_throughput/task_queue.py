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

from cnflow.wire import messages as msg

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.ids import FunctionId, TaskId

    SerializedTask = tuple[msg.Function, msg.TaskParcel]

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

        self._sent: set[FunctionId] = set()
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
        self._sent.clear()

    def remove(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Remove those of *tasks* that are in the queue, and return them."""
        return [task for task in tasks if self._present.pop(task, None) is not None]

    def next_message(self) -> list[Any]:
        """Frames of the next message, whose tasks leave the queue; no frames if it is empty."""
        leaving = list(itertools.islice(self._leaving(), _MOST_TASKS))
        if not leaving:
            return []
        functions, parcels = self._split(leaving)
        heads, attached = msg.detach_frames(parcels)
        return [msg.encode(msg.Work(functions, heads, self._serializer.has_needs)), *attached]

    def _leaving(self) -> Iterator[SerializedTask]:
        waiting, present = self._waiting, self._present
        while waiting:
            task = waiting.popleft()
            number = task[1][0].id
            if present.get(number) is task:
                del present[number]
                yield task

    def recovery_messages(self, unfinished: Iterator[SerializedTask]) -> Iterator[list[Any]]:
        """Frames of the messages that bring *unfinished* to an interchange that was restarted; the last one says so."""
        batch = [*itertools.islice(unfinished, _MOST_TASKS)]
        is_last = False
        while not is_last:
            following = [*itertools.islice(unfinished, _MOST_TASKS)]
            is_last = not following
            functions, parcels = self._split(batch)
            heads, attached = msg.detach_frames(parcels)
            yield [msg.encode(msg.Resubmit(functions, heads, is_last)), *attached]
            batch = following

    def _split(self, tasks: Iterable[SerializedTask]) -> tuple[list[msg.Function], list[msg.TaskParcel]]:
        """Functions that the interchange does not have yet, and the parcels of *tasks*."""
        functions: list[msg.Function] = []
        parcels: list[msg.TaskParcel] = []
        for function, parcel in tasks:
            if function.id not in self._sent:
                self._sent.add(function.id)
                functions.append(function)
            parcels.append(parcel)
        return functions, parcels
