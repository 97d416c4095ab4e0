"""Errors of failed tasks. They outlive the tasks' records, since a task submitted later may depend on a failed one."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from cnflow.dataflow.end_report import LONGEST, Failure
from cnflow.dataflow.futures.app_future import title_of_future
from cnflow.errors import DependencyError
from cnflow.model.task import TaskState, title_of
from cnflow.text import describe_safely

if TYPE_CHECKING:
    from cnflow.dataflow.external_futures import ExternalFutures
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId


class Failures:
    """Futures and errors of failed tasks by id. Used under the graph's lock.

    An error is entered in the moment in which the state machine learns of the failure, before the future is settled.

    Args:
        external: futures that the graph did not make, on which tasks may depend too.
    """

    def __init__(self, external: ExternalFutures) -> None:
        self._external = external
        self._futures: dict[TaskId, AppFuture] = {}
        self._errors: dict[TaskId, BaseException] = {}
        self._words: dict[TaskId, str] = {}
        """Texts of the errors of tasks that failed by themselves."""

    def add(self, task: TaskId, state: TaskState, record: TaskRecord, failed_by: TaskId | None) -> BaseException:
        """Enter *task*, final in a *state* other than DONE, and return its error.

        *failed_by* is the dependency that failed, where the task failed by one.
        """
        error = self._error_of(task, state, record, failed_by)
        self._futures[task], self._errors[task] = record.future, error
        if failed_by is None and record.failures:
            self._words[task] = record.failures[-1][:LONGEST]
        return error

    def all(self) -> list[Failure]:
        """Return all failed, cancelled and dropped tasks."""
        return [
            Failure(self._futures[task], error, self._words.get(task) or describe_safely(error))
            for task, error in self._errors.items()
        ]

    def future_of(self, task: TaskId) -> AppFuture | None:
        """Return the future of *task*; None if the task has not failed."""
        return self._futures.get(task)

    def _error_of(self, task: TaskId, state: TaskState, record: TaskRecord, failed_by: TaskId | None) -> BaseException:
        if state is TaskState.CANCELLED:
            return CancelledError()
        if failed_by is None:
            assert record.error is not None  # stored before the state machine is given the end of the attempt
            return record.error
        title = title_of(task, record.app.name)
        if failed_by < 0:
            return DependencyError(title, *self._external.failure_of(failed_by))
        return DependencyError(title, title_of_future(self._futures[failed_by]), self._errors[failed_by])
