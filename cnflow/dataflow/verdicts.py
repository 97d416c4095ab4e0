"""What an error or a future says about trying again; pure."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.machine import Verdict
from cnflow.errors import AppFailedError, CnflowError, ManagerLost, WorkerLost

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


def verdict_on(error: BaseException | None, *, closed: bool, cancelling: bool) -> Verdict:
    """Whether another try makes sense.

    Args:
        error: how the try ended; None is success.
        closed: the run ends.
        cancelling: the user has cancelled the task.
    """
    if error is None:
        return Verdict.DONE
    if cancelling:
        return Verdict.CANCELLED  # whatever it failed with in its last moments
    if closed:
        return Verdict.GIVEN_UP
    if isinstance(error, (WorkerLost, AppFailedError)) or not isinstance(error, CnflowError):
        return Verdict.FAILED  # the user's code; a worker that it ended is its own doing, as far as can be told
    return Verdict.LOST if isinstance(error, ManagerLost) else Verdict.GIVEN_UP
