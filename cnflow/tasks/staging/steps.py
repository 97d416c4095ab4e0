"""Steps of a task's staging: each names its file in the errors that it raises, and reports how far it is.

::

    staging_step(IN, file): ──report STAGING_IN, url──> counted(write) ──report bytes, once a second──> ──report STAGED
    staging_step(OUT, file): ──report STAGING_OUT, url──> ...                  the result of the task follows by itself

Who runs tasks in this thread has set `here.report`: the worker writes a record for its manager, a thread of the driver
calls the run. Without, nothing is reported.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from cnflow.errors import StagingError
from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.model.file import File

IN = "stage in"
OUT = "stage out"

STAGING_IN = "staging_in"
STAGED = "staged"
"""The files of the task are here, and its function runs."""

STAGING_OUT = "staging_out"

_PERIOD = 1.0
"""Seconds between two reports of bytes."""


class Step(NamedTuple):
    """What is reported; plain on the wire."""

    state: str
    url: str = ""
    """Masked."""

    done: int = -1
    """Bytes; below 0 where that is not known, as `total`."""

    total: int = -1


class _Here(threading.local):
    report: Optional[Callable[[Step], None]] = None
    step: Optional[Step] = None
    next_at: float = 0.0


here = _Here()


@contextlib.contextmanager
def staging_step(step: str, file: File) -> Iterator[None]:
    """Return a context that reports the *step* of *file*, and names both in its StagingErrors.

    Raises:
        StagingError: the body's, or one that names what the disk of this machine reports.
    """
    url = mask_url(file.url)
    _report(Step(STAGING_IN if step == IN else STAGING_OUT, url, 0, -1 if file.size is None else file.size))
    try:
        yield
    except StagingError as error:
        error.url = error.url or url
        error.file = error.file or file.local_path or ""
        error.step = error.step or step
        raise
    except OSError as error:
        words = f"{file.url} ({step}): {error.strerror or error}, at {error.filename or file.local_path}"
        raise StagingError(words, url=file.url, file=file.local_path or "", step=step) from error
    finally:
        here.step = None
        if step == IN:
            _report(Step(STAGED))


def moved(done: int, total: int = -1) -> None:
    """Report that *done* bytes of the file of this step were moved; once a second at most."""
    step = here.step
    if step is not None and time.monotonic() >= here.next_at:
        _report(step._replace(done=done, total=total if total >= 0 else step.total))


def _report(step: Step) -> None:
    if here.report is not None:
        here.step = step
        here.next_at = time.monotonic() + _PERIOD
        here.report(step)
