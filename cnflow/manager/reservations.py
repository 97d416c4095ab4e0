"""Workers that are restarted to see the accelerators of their next tasks. No I/O.

A restart, since a library that has listed its devices does not list them again in the same process::

    prepare ──> it sees them ─────────────────────────────────> the task is sent
         ├────> idle, and enough are free: reserve, restart ──> ready ──> take_ready: the task is sent
         └────> too few are free now ─────────────────────────> the task waits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from cnflow.manager.node.accelerators import AcceleratorPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.ids import TaskId, WorkerRank
    from cnflow.manager.workers.table import Workers
    from cnflow.wire.messages import Task, TaskParcel


class Reservations:
    """Accelerators of the workers, and the tasks of those that are restarted.

    Args:
        slots: number of workers.
        accelerators: number of them on the node.
    """

    def __init__(self, slots: int, accelerators: int) -> None:
        self._pool = AcceleratorPool(slots, accelerators)
        self.has_accelerators = accelerators > 0
        self._tasks: dict[WorkerRank, list[TaskParcel]] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def visible(self, rank: WorkerRank) -> Sequence[int]:
        """Numbers of the accelerators that the worker of *rank* sees."""
        return self._pool.visible(rank)

    def parcels(self) -> list[TaskParcel]:
        """Tasks that wait for the restart of their worker."""
        return [parcel for parcels in self._tasks.values() for parcel in parcels]

    def prepare(self, rank: WorkerRank, workers: Workers, number: Optional[int]) -> Optional[bool]:
        """True if the worker sees *number* accelerators; False if it is to be restarted, and will; None if it cannot.

        Args:
            rank: of the worker.
            workers: all of them.
            number: of accelerators; None where the task asks for none in particular.
        """
        if number is None and self._pool.is_default:
            return True
        busy = {other for other, its in workers.items() if its.tasks or other in self._tasks}
        chosen = self._pool.choose(rank, 1 if number is None or number < 0 else number, busy)
        if chosen == self._pool.visible(rank):
            return True
        if chosen is None or workers[rank].tasks:
            return None
        self._pool.set_visible(rank, chosen)
        workers[rank].is_ready, workers[rank].is_restarted = False, True
        return False

    def reserve(self, rank: WorkerRank, parcels: list[TaskParcel]) -> None:
        """Keep tasks for the worker that is restarted."""
        self._tasks[rank] = parcels

    def take_ready(self, workers: Workers) -> list[tuple[WorkerRank, list[TaskParcel]]]:
        """Remove and return the tasks whose worker is ready again."""
        ready = [rank for rank in self._tasks if workers[rank].is_ready]
        return [(rank, self._tasks.pop(rank)) for rank in ready]

    def remove(self, attempts: Mapping[TaskId, int]) -> list[Task]:
        """Remove and return those of *attempts* that wait here."""
        removed = [task for task, _ in self.parcels() if attempts.get(task.id) == task.attempt]
        if removed:
            left = {
                rank: [parcel for parcel in parcels if attempts.get(parcel[0].id) != parcel[0].attempt]
                for rank, parcels in self._tasks.items()
            }
            self._tasks = {rank: parcels for rank, parcels in left.items() if parcels}
        return removed

    def clear(self) -> list[Task]:
        """Remove and return all tasks."""
        tasks = [task for task, _ in self.parcels()]
        self._tasks.clear()
        return tasks


def number_for(task: Task) -> Optional[int]:
    """Accelerators that *task* asks for; None if it asks for none in particular."""
    return None if task.needs is None else task.needs.accelerators
