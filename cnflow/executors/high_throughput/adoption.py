"""Tasks that a killed driver left with its managers, and the tasks of its successor that are the same. No I/O.

A number means nothing in another process: tasks are matched by content (`cnflow.wire.task_digest`). Life of an old
task::

    managers register again, with what they hold ── on_held ──> old task: running, or ended without a driver
                                                                   │
       submitted by the new driver, same digest ── take ───────────┤
          ├── it ended: its result at once                         │ on_results: renamed to the new task
          ├── it runs: the new task waits for it <─────────────────┤ on_manager_lost: the new task is sent normally
          └── no such task: sent normally                          │
                                                                   └── never submitted again: counted at the end

While managers are awaited (`is_collecting`), new tasks are held back: one that is sent could be the same as one that a
manager reports a moment later, and run twice. Of two equal old tasks each serves one new task.

An old task that was cancelled, or came back without having run, is no result for anybody: its new task is sent
normally.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.ids import ManagerId, TaskId
    from cnflow.wire.manager_messages import HeldTask
    from cnflow.wire.messages import ResultParcel
    from cnflow.wire.task_digest import TaskIdentity

_WITHOUT_RESULT = frozenset(
    {
        ResultKind.CANCELLED,
        ResultKind.RETURNED,
        ResultKind.CUT_OFF,
        ResultKind.REFUSED,
        ResultKind.ARGUMENT_LOST,  # what the killed driver was about to send; this one has it, with the new task
        ResultKind.ITEM_LOST,
    }
)


class _Old:
    """Task of a killed driver."""

    __slots__ = ("attempt", "classes", "digest", "is_cancelled", "manager", "new", "result")

    def __init__(self, held: HeldTask, manager: ManagerId) -> None:
        self.attempt = held.attempt
        self.digest = held.digest
        self.classes = held.classes
        self.manager = manager
        self.is_cancelled = False
        """True if the new task was cancelled. A cancellation by the killed driver leaves this False."""

        self.new: tuple[TaskId, int] | None = None
        """Task and attempt that wait for it."""

        self.result: ResultParcel | None = None

    @property
    def is_here(self) -> bool:
        """The result has arrived, with all its parts: a large one is only announced, and stays with its manager."""
        return self.result is not None and not (self.result[0].blobs or self.result[0].items)


class Renamed(NamedTuple):
    """Effects of results, or of the loss of a manager."""

    results: list[ResultParcel]
    """Results under the numbers of new tasks."""

    to_send: list[TaskId]
    """New tasks that have to run after all."""


class Adoption:
    """State; the module has a picture.

    Args:
        awaited: managers of the killed driver.
        first_new: number of the first task of this driver; all smaller ones are old.
        unite_classes: lets ids of the user's classes, of an old task, stand for those of a new one; False if it cannot.
    """

    def __init__(
        self,
        awaited: Iterable[ManagerId],
        first_new: TaskId,
        unite_classes: Callable[[Sequence[str], Sequence[str]], bool],
    ) -> None:
        self._unite_classes = unite_classes
        self._awaited = set(awaited)
        self._first_new = first_new
        self._old: dict[TaskId, _Old] = {}
        self._by_digest: dict[bytes, deque[TaskId]] = {}
        """Old tasks that nobody waits for."""

        self._waiting: dict[TaskId, TaskId] = {}
        """New task -> old task."""

        self._held_back: dict[TaskId, tuple[SerializedTask, TaskIdentity]] = {}
        self.is_collecting = bool(self._awaited)
        self.adopted = 0
        """New tasks that were found among the old ones."""

    @property
    def unclaimed(self) -> int:
        """Number of old tasks that no new task is the same as."""
        return sum(old.new is None for old in self._old.values())

    @property
    def is_over(self) -> bool:
        """True once no new task can be found among the old ones: digests need not be made any more."""
        return not self.is_collecting and not self._by_digest

    def is_old(self, task: TaskId) -> bool:
        """True for a number of the killed driver."""
        return task < self._first_new

    def waits_elsewhere(self, task: TaskId) -> bool:
        """True for a new task that the interchange must not be sent: it is held back, or an old one runs for it."""
        return task in self._waiting or task in self._held_back

    # Events

    def await_only(self, managers: Collection[ManagerId]) -> None:
        """Await none but *managers*: the blocks of all others have ended."""
        self._awaited.intersection_update(managers)
        self.is_collecting = self.is_collecting and bool(self._awaited)

    def on_held(self, manager: ManagerId, tasks: Mapping[TaskId, HeldTask]) -> None:
        """Add the tasks that *manager* holds, and those that ended there without a driver that took their results."""
        for number, held in tasks.items():
            if number in self._old or not self.is_old(number):
                continue
            self._old[number] = _Old(held, manager)
            self._by_digest.setdefault(held.digest, deque()).append(number)

    def on_manager_back(self, manager: ManagerId) -> None:
        """Stop awaiting *manager*: it has registered, and reported its tasks before that."""
        self._awaited.discard(manager)
        self.is_collecting = self.is_collecting and bool(self._awaited)

    def on_manager_lost(self, manager: ManagerId) -> list[TaskId]:
        """Forget the old tasks of *manager* whose results are not here; return the new tasks that waited for them."""
        self.on_manager_back(manager)
        lost = [number for number, old in self._old.items() if old.manager == manager and not old.is_here]
        return [new for number in lost if (new := self._forget(number)) is not None]

    def on_time_over(self) -> None:
        """Await no more managers; the tasks of one that registers later serve tasks that are submitted after that."""
        self._awaited.clear()
        self.is_collecting = False

    def on_results(self, results: Iterable[ResultParcel]) -> Renamed:
        """Rename the results of old tasks; keep those that nobody waits for."""
        renamed: list[ResultParcel] = []
        to_send: list[TaskId] = []
        for parcel in results:
            result = parcel[0]
            if not self.is_old(result.id):
                renamed.append(parcel)
                continue
            old = self._old.get(result.id)
            if old is None or old.attempt != result.attempt or old.result is not None:
                continue  # of an attempt that nobody can want
            if result.kind == ResultKind.PARTIAL:
                continue  # of a stream whose beginning went to the killed driver
            if result.kind in _WITHOUT_RESULT and not (old.is_cancelled and result.kind == ResultKind.CANCELLED):
                if (new := self._forget(result.id)) is not None:
                    to_send.append(new)
            elif old.new is None:
                old.result = parcel
            else:
                self._forget(result.id)
                renamed.append(_rename(parcel, old.new))
        return Renamed(renamed, to_send)

    def hold_back(self, task: SerializedTask, identity: TaskIdentity) -> None:
        """Keep a new task until all managers have reported."""
        self._held_back[task[1][0].id] = task, identity

    def take_held_back(self) -> list[tuple[SerializedTask, TaskIdentity]]:
        """Return the tasks that were held back, in their order, once no manager is awaited any more."""
        held, self._held_back = list(self._held_back.values()), {}
        return held

    def take(self, task: SerializedTask, identity: TaskIdentity) -> bool | ResultParcel:
        """Look for an old task that is the same as *task*.

        Returns:
            Its result; True if it runs, so that *task* waits for it; False if there is none.
        """
        numbers = self._by_digest.get(identity.digest)
        if not numbers or not self._unite_classes(self._old[numbers[0]].classes, identity.classes):
            return False
        head = task[1][0]
        number = numbers.popleft()
        if not numbers:
            del self._by_digest[identity.digest]
        self.adopted += 1
        old = self._old[number]
        if old.result is not None:
            del self._old[number]
            return _rename(old.result, (head.id, head.attempt))
        old.new = head.id, head.attempt
        self._waiting[head.id] = number
        return True

    def cancel(self, tasks: Collection[TaskId]) -> tuple[list[TaskId], dict[TaskId, int]]:
        """Take back tasks that are held back; return them, and the old attempts that run for others of *tasks*."""
        removed = [task for task in tasks if self._held_back.pop(task, None) is not None]
        running = {self._waiting[task]: self._old[self._waiting[task]] for task in tasks if task in self._waiting}
        for old in running.values():
            old.is_cancelled = True
        return removed, {number: old.attempt for number, old in running.items()}

    def _forget(self, number: TaskId) -> TaskId | None:
        """Remove an old task; return the new one that waited for it."""
        old = self._old.pop(number)
        if old.new is not None:
            del self._waiting[old.new[0]]
            return old.new[0]
        numbers = self._by_digest[old.digest]
        numbers.remove(number)
        if not numbers:
            del self._by_digest[old.digest]
        return None


def _rename(parcel: ResultParcel, new: tuple[TaskId, int]) -> ResultParcel:
    result, frames = parcel
    result.id, result.attempt = new
    return result, frames
