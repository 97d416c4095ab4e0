"""What an error or a future says about trying again; pure."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.errors import (
    AppFailedError,
    CnflowError,
    ConfigurationError,
    DependencyError,
    ExecutorClosedError,
    ManagerLost,
    StagingError,
    TaskCutOff,
    WorkerLost,
)
from cnflow.model.task import title_of
from cnflow.text import describe_error

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cnflow.config.config import RetryHandler
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.model.task import Outcome


def has_failed(future: Future[Any]) -> bool:
    """Whether *future*, which is done, has no result."""
    return future.cancelled() or future.exception() is not None


def error_of(future: Future[Any]) -> BaseException:
    """Why *future*, which has failed, did."""
    error = CancelledError() if future.cancelled() else future.exception()
    assert error is not None  # the caller looked
    return error


def state_name_of(future: Future[Any]) -> str:
    """State of the task of *future*, which is final for the machine."""
    if not future.done():
        return "launched"  # about to be settled by another thread
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    return "done" if error is None else "dependency_failed" if isinstance(error, DependencyError) else "failed"


def classify_failure(error: BaseException, *, closed: bool, cancelling: bool) -> AttemptResult:
    """Whether another try makes sense.

    Args:
        error: how the try ended.
        closed: the run ends.
        cancelling: the user has cancelled the task.
    """
    if cancelling:
        return AttemptResult.CANCELLED  # whatever it failed with in its last moments
    if closed:
        return AttemptResult.GIVEN_UP
    if isinstance(error, (WorkerLost, AppFailedError, StagingError)) or not isinstance(error, CnflowError):
        return AttemptResult.FAILED  # the user's code; a worker that it ended is its own doing, as far as can be told
    if isinstance(error, TaskCutOff):
        return AttemptResult.LOST if error.ran else AttemptResult.RETURNED
    return AttemptResult.LOST if isinstance(error, ManagerLost) else AttemptResult.GIVEN_UP


def record_attempt(outcome: Outcome, record: TaskRecord, handler: RetryHandler | None, *, closed: bool) -> AttemptEnd:
    """Put *outcome* into *record*; what the machine is to know of it.

    Args:
        outcome: how the try ended.
        record: of its task.
        handler: prices what failed; the user's. Where it raises, that is how the task fails.
        closed: the run ends.
    """
    task, record.value, error = outcome
    if error is None:
        return AttemptEnd(task, AttemptResult.DONE)
    if closed and isinstance(error, CancelledError) and not record.cancelling:
        error = ExecutorClosedError(f"{title_of(task, record.app.name)} was stopped: the run was ended.")
    try:
        return _judged(task, record, error, handler, closed=closed)
    except Exception as broken:  # noqa: BLE001 - what the user raised may misbehave in any way; it ends this task alone
        record.error = broken
        return AttemptEnd(task, AttemptResult.GIVEN_UP)


def _judged(
    task: TaskId, record: TaskRecord, error: BaseException, handler: RetryHandler | None, *, closed: bool
) -> AttemptEnd:
    record.error = error
    verdict = classify_failure(error, closed=closed, cancelling=record.cancelling)
    if verdict is AttemptResult.RETURNED:
        return AttemptEnd(task, verdict)
    cost = 1.0
    record.failures = [*record.failures, describe_error(error)]
    if handler is not None and verdict is AttemptResult.FAILED:
        try:
            cost = _price(handler, error, record)
        except BaseException as broken:  # noqa: BLE001 - a user's handler; its failure is the task's then
            broken.__cause__ = error
            record.error, verdict = broken, AttemptResult.GIVEN_UP
    record.fail_cost += cost
    return AttemptEnd(task, verdict, cost)


def _price(handler: RetryHandler, error: BaseException, record: TaskRecord) -> float:
    cost: object = handler(error, record)
    if isinstance(cost, bool) or not isinstance(cost, (int, float)):
        name = getattr(handler, "__name__", repr(handler))
        raise ConfigurationError(f"The retry_handler {name} returned {cost!r}; it must return a number, the cost.")
    return cost
