"""Gives a task the code of its call: the function that its executor runs, and the id of that in its cache key.

::

    call ──executor pickles──> version of the function, which each attempt runs, however late
      │                           │ the id is that of a copy which is loaded from the version, where it can be; and
      │                           │ the version is still the same once the id is made
      └──cache=True────────────> id of the code ──> key
                                  │ a task in the driver runs the function as it is then: the id is made once more
                                  v after the task, and the result is stored only if it is the same
                               a result stands under the key of the code that made it
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces import Executor

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
"""Number of looks at code that other threads change."""

_reported: set[str] = set()
"""Names of apps whose results were not cached, told once each."""


def keep_code(record: TaskRecord, executor: Executor) -> None:
    """Keep the function of *record*, a new task, as *executor* needs it, and the id of its code if it is cached."""
    version_of = getattr(executor, "version_of", None)  # as `keep_function`, without a call: this is done for each task
    if version_of is not None:
        record.version = version_of(record.app)
    if record.memoize:
        _keep_id(record, executor)


def _keep_id(record: TaskRecord, executor: Executor) -> None:
    from cnflow.dataflow.memo import id_of_code  # noqa: PLC0415 - most runs cache nothing

    for _ in range(_ATTEMPTS):
        version = record.version
        apart = version.function_apart() if _has_copy(record) else None
        record.code = id_of_code(record.app, record.ignore_for_cache, runs_here=version is None, apart=apart)
        if packages := getattr(version, "packages_id", b""):
            content = hashlib.blake2b(record.code.content + packages, digest_size=32).digest()
            record.code = record.code._replace(content=content)
        if version is None:
            return
        keep_function(record, executor)
        if record.version is version:
            return
    record.memoize = False
    report_uncached(record.app.name, "was called")


def keep_function(record: TaskRecord, executor: Executor) -> None:
    """Keep the function of *record*, a new task, as it is now, where *executor* pickles functions."""
    version_of: Callable[..., object] | None = getattr(executor, "version_of", None)
    if version_of is not None:
        record.version = version_of(record.app)


def _has_copy(record: TaskRecord) -> bool:
    """Return True if the version of the task's function is that of the user's function, and can give a copy of it."""
    return record.app.function is record.app.original and hasattr(record.version, "function_apart")


def has_run_the_code_of_its_call(record: TaskRecord) -> bool:
    """Return False for a cached task that ran in the driver, and may have run other code than that of its key."""
    if record.version is not None or record.code is None:
        return True
    from cnflow.dataflow.memo import id_of_code  # noqa: PLC0415 - as above

    if id_of_code(record.app, record.ignore_for_cache, runs_here=True) == record.code:
        return True
    report_uncached(record.app.name, "waited or ran")
    return False


def report_uncached(app: str, when: str) -> None:
    """Log, once for each app, that a result is not cached since its code changed."""
    if app not in _reported:
        _reported.add(app)
        logger.warning(
            "A result of %s is not cached: its code, or a value that it refers to, changed while it %s. "
            "`cnflow explain --cache` shows what counts. Make a value that changes an argument.",
            app,
            when,
        )
