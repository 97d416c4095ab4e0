"""Tasks whose results the driver may not have, for one that adopts the run: it asks what they were. No I/O.

::

    a task ends ──> add ──> its result leaves in message n ──> on_sent(n) ──> on_delivered(n) ──> forgotten
                                            │                     │
                                            │                     ├── parts of its result are to be fetched: kept
                                            │                     │   until on_released
                                            └─────────────────────┴── a driver adopts the run: identities, with the
                                                                      tasks that run; unfetched, to send once more

Keeps references to tasks that are in memory anyway, no more than the manager's window in most cases, and makes digests
only when they are asked for: a run that is never adopted pays for neither. A run that cannot be adopted keeps nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Optional

from cnflow.wire.manager_messages import HeldTask
from cnflow.wire.pipe import ResultKind
from cnflow.wire.task_digest import TaskDigests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.ids import FunctionId, TaskId
    from cnflow.wire.bulk import BlobId
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import Result, ResultParcel, TaskParcel


_NO_ENDS = frozenset({ResultKind.CANCELLED, ResultKind.PARTIAL})


class EndedTasks:
    """The tasks; see the module."""

    def __init__(self) -> None:
        self._new: list[TaskParcel] = []
        """Results of these have not been sent."""

        self._sent: deque[tuple[int, list[TaskParcel]]] = deque()
        self._offered: dict[tuple[TaskId, int], ResultParcel] = {}
        """Results whose parts the driver has not released, by task and attempt."""

        self._unfetched: dict[tuple[TaskId, int], TaskParcel] = {}
        """Tasks of those among them that were delivered."""

    def add(self, *tasks: TaskParcel) -> None:
        """Keep tasks that have ended."""
        self._new += tasks

    def on_sent(self, number: int, results: Iterable[ResultParcel] = ()) -> None:
        """Follow the message *number*, which has *results*: those of all that have ended."""
        self._offered.update(
            ((result.id, result.attempt), (result, frames))
            for result, frames in results
            if result.blobs or result.items
        )
        if self._new:
            self._sent.append((number, self._new))
            self._new = []

    def on_delivered(self, number: int) -> None:
        """Forget the tasks whose results left in the messages up to *number*, which the driver has."""
        while self._sent and self._sent[0][0] <= number:
            for parcel in self._sent.popleft()[1]:
                key = parcel[0].id, parcel[0].attempt
                if key in self._offered:
                    self._unfetched[key] = parcel

    def on_released(self, names: Iterable[BlobId]) -> None:
        """Forget the results with these parts or items: the driver has them, or nobody waits for them."""
        blobs = set(names)
        over = [key for key, (result, _) in self._offered.items() if not blobs.isdisjoint(_names(result))]
        for key in over:
            del self._offered[key]
            self._unfetched.pop(key, None)

    def unfetched(self, sent: Iterable[Result]) -> list[ResultParcel]:
        """Results but for *sent* that were delivered without their parts: another driver does not know them."""
        known = {(result.id, result.attempt) for result in sent}
        return [self._offered[key] for key in self._unfetched if key not in known]

    def on_new_session(self, number: int) -> None:
        """Follow results that were sent again in a session whose last message has *number*."""
        kept = [task for _, tasks in self._sent for task in tasks]
        self._sent.clear()
        if kept:
            self._sent.append((number, kept))

    def parcels(self) -> list[TaskParcel]:
        """All tasks that are kept."""
        ended = (task for _, tasks in self._sent for task in tasks)
        return [*self._unfetched.values(), *ended, *self._new]

    def identities(
        self, running: Iterable[TaskParcel], functions: Mapping[FunctionId, Function]
    ) -> dict[TaskId, HeldTask]:
        """Return the content of all these tasks, and of those that are *running*."""
        digests = TaskDigests()
        found: dict[TaskId, HeldTask] = {}
        for parcel in (*self.parcels(), *running):
            function = functions.get(parcel[0].function)
            if function is not None:
                found[parcel[0].id] = HeldTask(parcel[0].attempt, *digests.identity(function, parcel))
        return found


def sent_again(
    unacknowledged: Iterable[Result], ended: Optional[EndedTasks], *, is_adoption: bool
) -> tuple[dict[TaskId, int], list[ResultParcel]]:
    """Attempts that a new session holds by the results that it sends again, and results whose parts are not fetched.

    Not those that were stopped: an interchange that is gone may have ordered that, against the user's wish.
    """
    results = [result for result in unacknowledged if result.kind not in _NO_ENDS]
    unfetched = ended.unfetched(results) if ended is not None and is_adoption else []
    return {result.id: result.attempt for result in (*results, *(result for result, _ in unfetched))}, unfetched


def _names(result: Result) -> Iterator[BlobId]:
    """Names by which others want the parts and the items of *result*."""
    yield from (offer.blob for offer in result.blobs)
    yield from (item.id for item in result.items)
