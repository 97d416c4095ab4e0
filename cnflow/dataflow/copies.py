"""Removes the copies of inputs that tasks of their own have made for a task, once that is over.

::

    stage_in ──place──> RUN/staged/TOKEN-N/name ──> the task reads it
                                                       │ done, or failed for good
              the task's result names the copy: kept <─┴─> no longer needed: removed with its folder

A copy on a machine whose files the driver does not see is its task's to remove (`cnflow.tasks.staging.copies`).
"""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.futures.app_future import failure_in, result_as_it_is
from cnflow.model.file import File

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future


class StagedCopies:
    """Copies for one task."""

    def __init__(self) -> None:
        self._folders: list[str] = []
        self._staged: list[Future[Any]] = []

    def add(self, path: str | None, staged: Future[Any] | None) -> None:
        """Note the copy at *path*, in a folder of its own, that *staged* makes; nothing without a path."""
        if path is not None and staged is not None and os.path.isabs(path):  # noqa: PTH117 - a text
            self._folders.append(os.path.dirname(path))  # noqa: PTH120 - a text
            self._staged.append(staged)

    def remove_after(self, task: Future[Any]) -> None:
        """Remove the copies when *task* is done, and what makes them: that may go on where the task has failed."""
        if self._folders:
            task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: Future[Any]) -> None:
        for folder, staged in zip(self._folders, self._staged, strict=True):
            if not _names_folder(task, folder):
                staged.add_done_callback(functools.partial(_remove, folder))


def _remove(folder: str, _staged: Future[Any]) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _names_folder(task: Future[Any], folder: str) -> bool:
    """Return True if the result of *task* is, or holds, a file or a path in *folder*."""
    if task.cancelled() or failure_in(task) is not None:
        return False
    return any(path.startswith(folder) for path in map(_path_of, _parts(result_as_it_is(task))))


def _path_of(part: object) -> str:
    """Path that *part* is, by its type: isinstance asks a value of the user's for its ``__class__``; empty for none."""
    kind = type(part)
    if issubclass(kind, File):
        return part.local_path or ""  # type: ignore[attr-defined]  # it is one
    if issubclass(kind, (str, os.PathLike)):
        path = os.fspath(part)  # type: ignore[call-overload]  # it is one
        return path if isinstance(path, str) else os.fsdecode(path)
    return ""


def _parts(value: object) -> Iterator[object]:
    rest, seen = [value], set()
    while rest:
        part: Any = rest.pop()
        if not issubclass(type(part), (dict, list, tuple, set)):
            yield part
        elif id(part) not in seen:  # one that holds itself is searched once
            seen.add(id(part))
            rest += part.values() if isinstance(part, dict) else part
