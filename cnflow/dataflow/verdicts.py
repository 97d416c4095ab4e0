"""What an error or a future says about trying again; pure."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.machine import Verdict
from cnflow.errors import (
    AppFailedError,
    CnflowError,
    DependencyError,
    ManagerLost,
    StagingError,
    TaskCutOff,
    WorkerLost,
)

if TYPE_CHECKING:
    from concurrent.futures import Future


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


def verdict_on(error: BaseException, *, closed: bool, cancelling: bool) -> Verdict:
    """Whether another try makes sense.

    Args:
        error: how the try ended.
        closed: the run ends.
        cancelling: the user has cancelled the task.
    """
    if cancelling:
        return Verdict.CANCELLED  # whatever it failed with in its last moments
    if closed:
        return Verdict.GIVEN_UP
    if isinstance(error, (WorkerLost, AppFailedError, StagingError)) or not isinstance(error, CnflowError):
        return Verdict.FAILED  # the user's code; a worker that it ended is its own doing, as far as can be told
    if isinstance(error, TaskCutOff):
        return Verdict.LOST if error.ran else Verdict.RETURNED
    return Verdict.LOST if isinstance(error, ManagerLost) else Verdict.GIVEN_UP
