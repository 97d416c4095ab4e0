"""The tasks that failed, which outlive their records: whoever depends on one later is told why."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from cnflow.dataflow.futures.app_future import title_of_future
from cnflow.dataflow.retry import error_of
from cnflow.errors import DependencyError
from cnflow.model.task import TaskState, title_of

if TYPE_CHECKING:
    from cnflow.dataflow.external_futures import ExternalFutures
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.records import TaskRecord
    from cnflow.ids import TaskId


class Failures:
    """Their errors, known from the moment the machine knows, which is before futures are set. Under the kernel's lock.

    Args:
        outside: futures of others, which tasks may depend on too.
    """

    def __init__(self, outside: ExternalFutures) -> None:
        self._outside = outside
        self._futures: dict[TaskId, AppFuture] = {}
        self._errors: dict[TaskId, BaseException] = {}

    def add(self, task: TaskId, state: TaskState, record: TaskRecord, failed_by: TaskId | None) -> BaseException:
        """*task* is final in *state*, one that is no success; its error. *failed_by* is the dependency that failed."""
        error = self._error_of(task, state, record, failed_by)
        self._futures[task], self._errors[task] = record.future, error
        return error

    def future_of(self, task: TaskId) -> AppFuture | None:
        """The future of *task* if that failed."""
        return self._futures.get(task)

    def _error_of(self, task: TaskId, state: TaskState, record: TaskRecord, failed_by: TaskId | None) -> BaseException:
        if state is TaskState.CANCELLED:
            return CancelledError()
        if failed_by is None:
            assert record.error is not None  # noted before the machine was told
            return record.error
        title = title_of(task, record.app.name)
        if failed_by < 0:
            outside = self._outside.future_of(failed_by)
            return DependencyError(title, title_of_future(outside), error_of(outside))
        return DependencyError(title, title_of_future(self._futures[failed_by]), self._errors[failed_by])
