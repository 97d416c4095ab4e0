"""Copies of inputs that a task itself has made: removed once it is over, also after the command of a bash app."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from contextlib import ExitStack


class _Copies(threading.local):
    undo: Optional[ExitStack] = None


copies = _Copies()
"""``undo``: removes the copies of the task that this thread runs; None where there are none."""


def at_end_of_task() -> ExitStack:
    """Return the stack of contexts that end with the task of this thread."""
    if copies.undo is None:
        copies.undo = contextlib.ExitStack()
    return copies.undo


def remove_after_task(path: str) -> None:
    """Note that the copy at *path*, in a folder of its own, is of use to this task alone."""
    at_end_of_task().callback(remove_copy, path)


def remove_noted() -> None:
    """Remove the copies of the task of this thread."""
    undo, copies.undo = copies.undo, None
    if undo is not None:
        undo.close()


def remove_copy(path: str) -> None:
    """Remove the copy at *path*, and its folder."""
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # the task has moved it
        os.unlink(path)
    with contextlib.suppress(OSError):  # the task has put something there
        os.rmdir(os.path.dirname(path))
