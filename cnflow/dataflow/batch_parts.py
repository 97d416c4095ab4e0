"""Counts what a call of a model adds to a batch, once its arguments are there. No I/O.

A call runs alone if it streams, if nobody knows the number of its rows, or if it has options that are of the process
in which it runs (streams, a sandbox, files); environment variables may be those of a whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.model.batching import BatchPart
from cnflow.model.task import NO_OPTIONS
from cnflow.tasks.models import STREAM, RowForm

if TYPE_CHECKING:
    from cnflow.model.task import RunOptions, TaskToRun

_ROW, _VALUES = int(RowForm.ROW), int(RowForm.VALUES)


def with_part(ready: TaskToRun, apart: Any, *, is_bulk: bool) -> TaskToRun:  # noqa: ANN401 - a text, or the user's function
    """Return *ready*, a call of a model, with its part in a batch.

    Raises:
        Exception: any that the user's function *apart* raises.
    """
    if ready.kwargs or not _is_batchable(ready.options):
        return ready
    form, rows = ready.args[:2]
    if form >= STREAM:
        return ready
    if form == _ROW:
        count, shown = 1, [rows]
    elif form == _VALUES and hasattr(rows, "__len__"):  # a reference to a result has none
        count, shown = len(rows), rows
    else:
        return ready
    name = str(apart(shown)) if callable(apart) else apart
    return ready._replace(batch=BatchPart(count, name, is_bulk))


def _is_batchable(options: RunOptions) -> bool:
    if options is NO_OPTIONS:
        return True
    return options._replace(walltime=None, resources=None, env={}, keep_from=None) == NO_OPTIONS
