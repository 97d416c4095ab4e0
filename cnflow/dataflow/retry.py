"""Decides by its error whether a failed attempt is worth another, and records attempts. No I/O.

::

    outcome ──no error──> DONE
       │
       └─error──classify_failure──> FAILED    ──retry_handler──> cost, taken from the task's retries
                                    NOT_STAGED  a file could not be moved; other retries than the user's
                                    LOST      its manager or node died; other retries than the user's
                                    RETURNED  it was not begun
                                    GIVEN_UP  another attempt would fail in the same way
                                    CANCELLED the user cancelled it
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.dataflow.futures.app_future import failure_in
from cnflow.errors import (
    AppFailedError,
    CnflowError,
    ConfigurationError,
    DependencyError,
    ExecutorClosedError,
    ItemLostError,
    ManagerLost,
    StagingError,
    TaskCutOff,
    WorkerLost,
)
from cnflow.model.task import title_of
from cnflow.text import describe_safely

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cnflow.config.config import RetryHandler
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.model.task import Outcome


# Attempts


def classify_failure(error: BaseException, *, closed: bool, cancelling: bool) -> AttemptResult:
    """Return the result of an attempt that ended with *error*.

    Args:
        error: error of the attempt.
        closed: the run ends.
        cancelling: the user has cancelled the task.
    """
    if cancelling:
        return AttemptResult.CANCELLED  # whichever error it met while it was being stopped
    if closed:
        return AttemptResult.GIVEN_UP
    if isinstance(error, StagingError) and not isinstance(error, ItemLostError):
        return AttemptResult.GIVEN_UP if error.is_final else AttemptResult.NOT_STAGED
    if isinstance(error, (WorkerLost, AppFailedError, StagingError)) or not isinstance(error, CnflowError):
        # The user's code. A lost worker counts as such too: as a rule, the task crashed it.
        return AttemptResult.FAILED
    if isinstance(error, TaskCutOff):
        return AttemptResult.LOST if error.ran else AttemptResult.RETURNED
    return AttemptResult.LOST if isinstance(error, ManagerLost) else AttemptResult.GIVEN_UP


def record_attempt(outcome: Outcome, record: TaskRecord, handler: RetryHandler | None, *, closed: bool) -> AttemptEnd:
    """Store *outcome* in *record* and return the event for the state machine.

    Args:
        outcome: result or error of the attempt.
        record: record of the task.
        handler: the user's `Config.retry_handler`, which returns the cost of a failure. If it raises, the task fails
            with its error.
        closed: the run ends.
    """
    task, record.value, error, words, *_ = outcome
    record.keep_place(outcome)
    if error is None:
        return AttemptEnd(task, AttemptResult.DONE)
    if closed and isinstance(error, CancelledError) and not record.cancelling:
        error = ExecutorClosedError(f"{title_of(task, record.app.name)} was stopped: the run ended.")
    try:
        return _record_failure(task, record, error, words or describe_safely(error), handler, closed=closed)
    except BaseException as broken:  # noqa: BLE001 - the user's error may misbehave in any way; it ends this task alone
        record.error = broken
        return AttemptEnd(task, AttemptResult.GIVEN_UP)


def _record_failure(
    task: TaskId, record: TaskRecord, error: BaseException, words: str, handler: RetryHandler | None, *, closed: bool
) -> AttemptEnd:
    record.error = error
    result = classify_failure(error, closed=closed, cancelling=record.cancelling)
    if result is AttemptResult.RETURNED:
        return AttemptEnd(task, result)
    cost = 1.0
    record.failures = [*record.failures, words]
    if handler is not None and result is AttemptResult.FAILED:
        try:
            cost = _cost_of(error, record, handler)
        except BaseException as broken:  # noqa: BLE001 - a user's handler; its failure becomes the task's
            broken.__cause__ = error
            record.error, result = broken, AttemptResult.GIVEN_UP
    record.fail_cost += cost
    return AttemptEnd(task, result, cost)


def _cost_of(error: BaseException, record: TaskRecord, handler: RetryHandler) -> float:
    cost: object = handler(error, record)
    if isinstance(cost, bool) or not isinstance(cost, (int, float)):
        name = getattr(handler, "__name__", repr(handler))
        raise ConfigurationError(f"The retry_handler {name} returned {cost!r}; it must return a number, the cost.")
    return cost


# Futures that are done


def has_failed(future: Future[Any]) -> bool:
    """Return True if *future*, which is done, has no result."""
    return future.cancelled() or failure_in(future) is not None


def error_of(future: Future[Any]) -> BaseException:
    """Return the error of *future*, which has failed."""
    error = CancelledError() if future.cancelled() else failure_in(future)
    assert error is not None  # callers check `has_failed`
    return error


def state_name_of(future: Future[Any]) -> str:
    """Return the state of the task of *future*, which is final for the state machine."""
    if not future.done():
        return "launched"  # another thread is about to settle it
    if future.cancelled():
        return "cancelled"
    error = failure_in(future)
    return "done" if error is None else "dependency_failed" if isinstance(error, DependencyError) else "failed"
