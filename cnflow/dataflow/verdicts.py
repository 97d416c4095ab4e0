"""What an error or a future says about trying again; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.machine import Verdict
from cnflow.errors import AppFailedError, CnflowError, ManagerLost, WorkerLost

if TYPE_CHECKING:
    from concurrent.futures import Future


def has_failed(future: Future[Any]) -> bool:
    """Whether *future*, which is done, has no result."""
    return future.cancelled() or future.exception() is not None


def verdict_on(error: BaseException | None, *, closed: bool) -> Verdict:
    """Whether another try makes sense."""
    if error is None:
        return Verdict.DONE
    if closed:
        return Verdict.GIVEN_UP
    if isinstance(error, (WorkerLost, AppFailedError)) or not isinstance(error, CnflowError):
        return Verdict.FAILED  # the user's code; a worker that it ended is its own doing, as far as can be told
    return Verdict.LOST if isinstance(error, ManagerLost) else Verdict.GIVEN_UP
