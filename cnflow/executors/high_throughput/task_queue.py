"""Tasks that wait to leave the driver."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from cnflow.wire import messages as msg

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    from cnflow.ids import FunctionId, TaskId

    Packed = tuple[msg.Function, msg.TaskParcel]

_MOST_TASKS = 5_000
"""In one message, so that the interchange can begin with the first while the next are packed."""


class Tasks(NamedTuple):
    """The tasks of an executor, as those know them who queue them."""

    unfinished: Callable[[], Iterator[Packed]]
    """Calls `Line.forget`, and gives every task that is not answered, packed."""

    have_needs: Callable[[], bool]
    """Whether any of them so far said what it needs; asked once for each message."""


class TaskQueue:
    """Putting in is safe from any thread; all else is for whoever holds the line's lock.

    Args:
        tasks: asked what the messages are to say.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._waiting: deque[Packed] = deque()
        self._sent: set[FunctionId] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, packed: Packed) -> None:
        """One more."""
        self._waiting.append(packed)

    def clear(self) -> None:
        """Drop all of them."""
        self._waiting.clear()

    def forget_receiver(self) -> None:
        """The next one has seen no function."""
        self._sent.clear()

    def take_back(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Take out those of *tasks* that are here, and return them."""
        taken: list[TaskId] = []
        for _ in range(len(self._waiting)):
            packed = self._waiting.popleft()
            number = packed[1][0].id
            if number in tasks:
                taken.append(number)
            else:
                self._waiting.append(packed)
        return taken

    def next_message(self) -> list[Any]:
        """The frames of the next message; none when nothing waits."""
        leaving = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TASKS))]
        if not leaving:
            return []
        functions, parcels = self._apart(leaving)
        heads, attached = msg.detach_frames(parcels)
        return [msg.encode(msg.Work(functions, heads, self._tasks.have_needs())), *attached]

    def messages_again(self) -> Iterator[list[Any]]:
        """The frames of the messages that an interchange gets which was restarted: with all that is unfinished."""
        tasks = self._tasks.unfinished()
        while packed := list(itertools.islice(tasks, _MOST_TASKS)):
            functions, parcels = self._apart(packed)
            heads, attached = msg.detach_frames(parcels)
            yield [msg.encode(msg.Resubmit(functions, heads)), *attached]

    def _apart(self, packed: Iterable[Packed]) -> tuple[list[msg.Function], list[msg.TaskParcel]]:
        """The functions that the interchange has not seen, and the tasks."""
        functions: list[msg.Function] = []
        parcels: list[msg.TaskParcel] = []
        for function, parcel in packed:
            if function.id not in self._sent:
                self._sent.add(function.id)
                functions.append(function)
            parcels.append(parcel)
        return functions, parcels
