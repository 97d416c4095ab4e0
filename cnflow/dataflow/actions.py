"""Values that pass between `state`, which decides, and `loop`, which acts.

`AttemptEnd` goes in. `Actions` comes out and holds ids only; `loop` turns it into `Effects`, which hold futures and
values and are carried out once the graph's lock is released.
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.arguments import keep_result
from cnflow.model.task import TaskState
from cnflow.text import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.model.task import ArgumentUse

logger = logging.getLogger(__name__)


class AttemptResult(enum.Enum):
    """End of one attempt to run a task."""

    DONE = enum.auto()
    FAILED = enum.auto()
    """The task ran and failed; another attempt may succeed."""

    NOT_STAGED = enum.auto()
    """A file could not be moved; another attempt, from a budget of its own, may move it."""

    LOST = enum.auto()
    """Something under the task died: its manager, its block."""

    RETURNED = enum.auto()
    """The task was not begun, so that nothing was tried."""

    GIVEN_UP = enum.auto()
    """Another attempt would fail in the same way."""

    CANCELLED = enum.auto()
    """The user cancelled the task and it was stopped."""


class AttemptEnd(NamedTuple):
    """Event: one attempt of *task* ended."""

    task: TaskId
    result: AttemptResult
    cost: float = 1.0
    """Amount by which a failure reduces the task's budget of retries."""


class Actions(NamedTuple):
    """Decisions of the state machine on one batch of events."""

    launch: list[TaskId]
    """Hand these to their executors, for the first time or again."""

    final: list[tuple[TaskId, TaskState]]
    """Settle these, in this order: a dependency comes before those that failed by it."""

    failed_by: dict[TaskId, TaskId]
    """For each task in `final` that is DEPENDENCY_FAILED: the dependency that failed."""

    waiting: dict[TaskId, Sequence[TaskId]] = {}  # noqa: RUF012 - only `on_attempts_ended` writes to one, of its own
    """For a task in `final` that is DONE: the tasks that waited for it, whether or not they still wait for others."""


class Settlement(NamedTuple):
    """The record of a final task, and the state and the result or error that its future receives."""

    record: TaskRecord
    state: TaskState
    value: Any
    waiting: Sequence[tuple[TaskRecord, ArgumentUse]] = ()
    """Tasks that wait for the result, which are given a copy of it first."""

    @property
    def future(self) -> AppFuture:
        """Future of the task."""
        return self.record.future

    def settle(self) -> None:
        """Set the future. A user's callback that raises, SystemExit included, is logged and does not end the thread.

        Raises:
            KeyboardInterrupt: the user's, in the main thread; the future is set.
        """
        try:
            if self.waiting:
                keep_result(self.future, self.value, self.waiting)
        except BaseException as error:  # those that wait get the value itself, or its error when they are launched
            if is_ctrl_c(error):
                raise
            logger.exception("the result of %r cannot be copied", self.future)
        try:
            if self.state is TaskState.DONE:
                self.future.set_result(self.value)
            elif self.state is TaskState.CANCELLED:
                self.future.set_cancelled()
            else:
                self.future.set_exception(self.value)
        except BaseException as error:
            if is_ctrl_c(error):
                raise
            logger.exception("a callback of %r raised", self.future)


class Effects(NamedTuple):
    """Work to carry out outside the graph's lock: futures to settle, then tasks to launch."""

    settlements: Sequence[Settlement]
    launch: Sequence[TaskId]
