"""Drives an executor without a dataflow kernel, for tests of executors."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

from cnflow.ids import TaskId
from cnflow.model.task import NO_OPTIONS, AppFunction, AppKind, Outcome, RunOptions, TaskToRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.interfaces import Executor


class TaskDriver:
    """Stands for the dataflow kernel: starts an executor, submits and cancels tasks, and keeps every outcome.

    Args:
        executor: not started; the test shuts it down.
        patience: seconds to wait for an outcome.

    Attributes:
        executor: as given.
        reported_twice: tasks with more than one outcome, which no executor may have.
    """

    def __init__(self, executor: Executor, patience: float = 60.0) -> None:
        self.executor = executor
        self.reported_twice: list[TaskId] = []
        self._patience = patience
        self._ids = itertools.count()
        self._outcomes: dict[TaskId, Outcome] = {}
        self._changed = threading.Condition()
        executor.start(self._report)

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        with self._changed:
            self.reported_twice += [outcome.id for outcome in outcomes if outcome.id in self._outcomes]
            self._outcomes.update((outcome.id, outcome) for outcome in outcomes)
            self._changed.notify_all()

    def next_id(self) -> TaskId:
        """An id that no task has yet."""
        return TaskId(next(self._ids))

    def python(self, function: Callable[..., Any], *args: Any, **options: Any) -> TaskId:  # noqa: ANN401 - the function's
        """Submit a call of *function*; *options* are those of `RunOptions`."""
        return self.submit([self.task(function, *args, **options)])[0]

    def bash(self, command: str, **options: Any) -> TaskId:  # noqa: ANN401 - RunOptions has any
        """Submit *command* as the task of a bash app."""
        return self.submit([self.task(_returning(command), kind=AppKind.BASH, **options)])[0]

    def task(
        self,
        function: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - the function's own
        kind: AppKind = AppKind.PYTHON,
        **options: Any,  # noqa: ANN401 - RunOptions has any
    ) -> TaskToRun:
        """A task with a new id, not submitted."""
        chosen = RunOptions(**options) if options else NO_OPTIONS
        return TaskToRun(self.next_id(), AppFunction(function, kind), args, {}, chosen)

    def submit(self, tasks: Sequence[TaskToRun]) -> list[TaskId]:
        """Submit *tasks* in one call and return their ids."""
        self.executor.submit(tasks)
        return [task.id for task in tasks]

    def cancel(self, *tasks: TaskId) -> None:
        """Cancel *tasks* in one call."""
        self.executor.cancel(tasks)

    def outcome(self, task: TaskId, timeout: float | None = None) -> Outcome:
        """Outcome of *task*, waited for."""
        with self._changed:
            reported = self._changed.wait_for(lambda: task in self._outcomes, timeout or self._patience)
            assert reported, f"no outcome of task {task}"
            return self._outcomes[task]

    def error(self, task: TaskId, timeout: float | None = None) -> BaseException | None:
        """Error of *task*, waited for; None if it succeeded."""
        return self.outcome(task, timeout).error

    def value(self, task: TaskId, timeout: float | None = None) -> Any:  # noqa: ANN401 - the function's
        """Result of *task*, waited for; raises its error."""
        outcome = self.outcome(task, timeout)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def is_reported(self, task: TaskId) -> bool:
        """Return whether *task* has an outcome by now."""
        return task in self._outcomes


def _returning(command: str) -> Callable[[], str]:
    return lambda: command
