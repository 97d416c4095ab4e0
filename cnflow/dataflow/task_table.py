"""``dfk.tasks``: a read-only view of the records of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cnflow.dataflow.task_record import TaskRecord
from cnflow.ids import TaskId


class TaskTable(Mapping[TaskId, TaskRecord]):
    """Live view of the records by id. Iteration walks over a copy of the ids, so that tasks may end during it.

    Args:
        unfinished: records of the tasks that are not final.
        finished: records of final tasks that were kept.
    """

    def __init__(self, unfinished: Mapping[TaskId, TaskRecord], finished: Mapping[TaskId, TaskRecord]) -> None:
        self._unfinished = unfinished
        self._finished = finished

    def __getitem__(self, task: TaskId) -> TaskRecord:
        record = self._unfinished.get(task) or self._finished.get(task)
        if record is None:
            raise KeyError(
                f"Task {task} is not among the {len(self)} tasks that are kept. Finished ones are kept only with "
                "Config(garbage_collect=False)."
            )
        return record

    def __iter__(self) -> Iterator[TaskId]:
        return iter([*list(self._finished), *list(self._unfinished)])

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._finished)

    def __repr__(self) -> str:
        return f"<{len(self._unfinished)} unfinished tasks, {len(self._finished)} finished ones>"
