"""Tasks whose results the driver may not have, for one that adopts the run: it asks what they were. No I/O.

::

    a task ends ──> add ──> its result leaves in message n ──> on_sent(n) ──> on_delivered(n) ──> forgotten
                                                                  │
                           a driver adopts the run ── identities ─┘ with the tasks that still run

Keeps references to tasks that are in memory anyway, no more than the manager's window in most cases, and makes digests
only when they are asked for: a run that is never adopted pays for neither. A run that cannot be adopted keeps nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.wire.manager_messages import HeldTask
from cnflow.wire.task_digest import TaskDigests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import FunctionId, TaskId
    from cnflow.wire.messages import Function, TaskParcel


class EndedTasks:
    """The tasks; see the module."""

    def __init__(self) -> None:
        self._new: list[TaskParcel] = []
        """Results of these have not been sent."""

        self._sent: deque[tuple[int, list[TaskParcel]]] = deque()

    def add(self, task: TaskParcel) -> None:
        """Keep a task that has ended."""
        self._new.append(task)

    def on_sent(self, number: int) -> None:
        """Follow the message *number*, which has the results of all that have ended."""
        if self._new:
            self._sent.append((number, self._new))
            self._new = []

    def on_delivered(self, number: int) -> None:
        """Forget the tasks whose results left in the messages up to *number*, which the driver has."""
        while self._sent and self._sent[0][0] <= number:
            self._sent.popleft()

    def on_new_session(self, number: int) -> None:
        """Follow results that were sent again in a session whose last message has *number*."""
        kept = [task for _, tasks in self._sent for task in tasks]
        self._sent.clear()
        if kept:
            self._sent.append((number, kept))

    def identities(
        self, running: Iterable[TaskParcel], functions: Mapping[FunctionId, Function]
    ) -> dict[TaskId, HeldTask]:
        """Return the content of all these tasks, and of those that are *running*."""
        digests = TaskDigests()
        ended = (task for _, tasks in self._sent for task in tasks)
        found: dict[TaskId, HeldTask] = {}
        for parcel in (*ended, *self._new, *running):
            function = functions.get(parcel[0].function)
            if function is not None:
                found[parcel[0].id] = HeldTask(parcel[0].attempt, *digests.identity(function, parcel))
        return found
