"""Processes that the driver forks: they have a copy of each run's objects, and none of its threads.

::

    parent: run ──os.fork()──> child: apps are refused, futures that were pending fail, nothing is loaded
      │                          └── cnflow.load(): a run of its own
      └── goes on: the child ends nothing of it, and writes to none of its connections

An app that was called in such a child would wait for ever, and what it sent over the parent's connection would end the
parent's run.
"""

from __future__ import annotations

import functools
import os
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.dataflow.futures import shared_lock
from cnflow.errors import NoDataFlowKernelError

if TYPE_CHECKING:
    from typing import NoReturn

    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId


class Forkable(Protocol):
    """A run in this process; called in a child that has just been forked."""

    run_dir: Any

    def on_forked(self) -> None:
        """Refuse tasks, and let the pending futures fail."""


_runs: weakref.WeakSet[Any] = weakref.WeakSet()


def watch(run: Forkable) -> None:
    """Have `on_forked` of *run* called in each process that this one forks."""
    _register()
    _runs.add(run)


def error_in_child(what: str, parent: int, run_dir: object) -> NoDataFlowKernelError:
    """Return the error of *what* is done in this process with a run of process *parent*."""
    return NoDataFlowKernelError(
        f"{what} in process {os.getpid()}, which was forked from process {parent}: the run in {run_dir} was loaded in "
        f"process {parent} and goes on there alone. Call cnflow.load() in this process, after the fork."
    )


def refuse(parent: int, run_dir: object, app: Any, *_: object, **__: object) -> NoReturn:  # noqa: ANN401 - an app
    """Refuse a call of *app* in a child; takes the place of `DataFlowKernel.submit`.

    Raises:
        NoDataFlowKernelError: always.
    """
    name = getattr(app, "name", None) or getattr(app, "__name__", "an app")  # Parsl's takes plain functions, too
    raise error_in_child(f"{name} was called", parent, run_dir)


def abandon_futures(records: dict[TaskId, TaskRecord], parent: int, run_dir: object) -> None:
    """Fail the futures of *records* in a child, where no thread will ever settle them, and drop the records."""
    for record in records.values():
        future = record.future
        if not future.done():
            what = f"The result of task {future.tid} ({future.name}) was asked for"
            _abandon(future, error_in_child(what, parent, run_dir))
    records.clear()


@functools.lru_cache(maxsize=1)
def _register() -> None:
    os.register_at_fork(after_in_child=_on_forked)


def _on_forked() -> None:
    shared_lock.lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library's own locks
    for run in list(_runs):
        run.on_forked()
    _runs.clear()


def _abandon(future: Future[Any], error: BaseException) -> None:
    """Fail *future*, and those that depend on it, without a callback of the user's: in a forked child, which has none.

    No thread waits for it there.
    """
    future._exception, future._state = error, "FINISHED"  # noqa: SLF001 - those of its own class, and of its base
    for callback in getattr(future, "_own_callbacks", ()):
        behind = getattr(callback, "__self__", None)
        if isinstance(behind, Future):  # a part of its result, or one of its files
            _abandon(behind, error)
