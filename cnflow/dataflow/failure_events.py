"""Makes the event of a failed try: what a person needs to find out why. None of the user's code runs.

::

    record.error ──> traceback: of the worker where that sent one, else of the driver's thread
                 ──> exit code, signal or lack of memory, last lines of stderr: of errors that have them
    future       ──> place and times of the try
"""

from __future__ import annotations

import signal
import time
import traceback
from typing import TYPE_CHECKING

from cnflow.dataflow.futures.origin import origin_of
from cnflow.errors import BashExitFailure, RemoteError, WorkerLost
from cnflow.model.events import FailureEvent
from cnflow.text import describe_safely, mask_url

if TYPE_CHECKING:
    from cnflow.dataflow.task_record import TaskRecord

LONGEST = 20_000
"""Characters of a traceback."""

_LONGEST_TEXT = 4_000
_MOST_FRAMES = 30
_NO_CODE = -1


def failure_event(record: TaskRecord, attempt: int, *, is_retried: bool) -> FailureEvent:
    """Return the event of try number *attempt* of the task of *record*, which ended with its error."""
    error = record.error
    assert error is not None
    origin = origin_of(record.future)
    place = origin.place
    code, name = exit_of(error)
    kind = error.type_name if isinstance(error, RemoteError) else type(error).__name__
    words = mask_url(record.failures[-1] if record.failures else describe_safely(error))
    return FailureEvent(
        time=time.time(),
        task=record.future.tid,
        attempt=attempt,
        error_type=kind,
        message=_ends(words.removeprefix(f"{kind}: "), _LONGEST_TEXT),
        is_retried=is_retried,
        traceback=_ends(mask_url(traceback_of(error)), LONGEST),
        stderr_tail=_ends(mask_url(_stderr_of(error)), _LONGEST_TEXT),
        host=place.host,
        block=place.block,
        manager=place.manager,
        worker=record.future._worker,  # noqa: SLF001 - a public name would hide a result's
        image=place.image,
        digest=place.digest,
        exit_code=code,
        signal=name,
        started=origin.started or 0.0,
        ended=origin.ended or 0.0,
        cost=record.fail_cost,
    )


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error* as the worker has printed it, or that of the driver's thread; empty for none."""
    if isinstance(error, RemoteError):
        return error.traceback_text
    cause = error.__cause__
    if cause is not None and type(cause).__name__ == "TaskTraceback" and cause.args:  # of an executor, a layer below
        return str(cause.args[0]).strip("\n")
    frames = traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES) if error.__traceback__ else None
    if not frames:
        return ""
    return f"Traceback (most recent call last):\n{''.join(traceback.format_list(frames))}{describe_safely(error)}"


def exit_of(error: BaseException) -> tuple[int, str]:
    """Return the exit code of the command or the worker, or the name of the signal; -1 and empty for none."""
    if not isinstance(error, (BashExitFailure, WorkerLost)) or not isinstance(error.exitcode, int):
        return _NO_CODE, ""
    code = error.exitcode
    if isinstance(error, WorkerLost) and "memory" in error.cause:
        return _NO_CODE, "OOM"
    if code < 0:
        try:
            return _NO_CODE, signal.Signals(-code).name
        except ValueError:
            return _NO_CODE, f"signal {-code}"
    return code, ""


def _stderr_of(error: BaseException) -> str:
    tail = getattr(error, "stderr_tail", "") if isinstance(error, (BashExitFailure, WorkerLost)) else ""
    return tail if isinstance(tail, str) else ""


def _ends(text: str, longest: int) -> str:
    """Return *text*; of a long one the beginning and the end, where the user's own lines are."""
    if len(text) <= longest:
        return text
    half = longest // 2 - 20
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters ...\n{text[-half:]}"
