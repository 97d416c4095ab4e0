"""A task's wishes on its way through the kernel: noted at its submission, told to its executor at its launch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.data_futures import DataFuture
from cnflow.dataflow.dependencies import with_results
from cnflow.dataflow.wishes import AUTO_LOGNAME, NO_WISHES, Wishes, run_options
from cnflow.model.task import TaskToRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.dataflow.records import TaskRecord
    from cnflow.ids import TaskId

_IN_ONE_FOLDER = 10_000
"""Tasks whose log files share a folder, as in the reference."""


def note(wishes: Wishes, record: TaskRecord, autopath: Callable[[TaskRecord, str], Any] | None, run_dir: Path) -> None:
    """Name the files for AUTO_LOGNAME, and tell the task's future of its files."""

    def place(stream: str, wished: Any) -> Any:  # noqa: ANN401 - a Stream
        if not isinstance(wished, int) or wished != AUTO_LOGNAME:
            return wished
        return autopath(record, stream) if autopath is not None else _logname(record, stream, wishes.label, run_dir)

    future = record.future
    future.stdout, future.stderr = place("stdout", wishes.stdout), place("stderr", wishes.stderr)
    future.outputs = [DataFuture(future, file, future.tid) for file in wishes.outputs]
    record.wishes = wishes._replace(stdout=future.stdout, stderr=future.stderr)


def resolved(task: TaskId, record: TaskRecord, fill: Callable[[Any], Any] = with_results) -> TaskToRun:
    """The task with results in place of futures, as *fill* puts them there.

    Raises:
        Exception: a container of the user's refuses its results.
    """
    if not record.depends and record.wishes is NO_WISHES:
        return TaskToRun(task, record.app, record.args, record.kwargs)
    args, kwargs = fill(record.args), fill(record.kwargs)
    if record.wishes is NO_WISHES:
        return TaskToRun(task, record.app, args, kwargs)
    wishes = record.wishes._replace(inputs=fill(record.wishes.inputs))
    return TaskToRun(task, record.app, args, kwargs, run_options(wishes))


def _logname(record: TaskRecord, stream: str, label: str, run_dir: Path) -> str:
    number = record.future.tid
    name = "_".join(part for part in (f"task_{number:04d}", record.app.name, label) if part)
    return os.fspath(Path(run_dir) / "task_logs" / f"{number // _IN_ONE_FOLDER:04d}" / f"{name}.{stream}")
