"""Copies of inputs that a task itself has made: removed once it is over, also after the command of a bash app."""

from __future__ import annotations

import contextlib
import os
import threading


class _Copies(threading.local):
    paths: tuple[str, ...] = ()


copies = _Copies()
"""``paths`` of the copies of the task that this thread runs."""


def remove_after_task(path: str) -> None:
    """Note that the copy at *path*, in a folder of its own, is of use to this task alone."""
    copies.paths += (path,)


def remove_noted() -> None:
    """Remove the copies that the task of this thread has noted."""
    paths, copies.paths = copies.paths, ()
    for path in paths:
        remove_copy(path)


def remove_copy(path: str) -> None:
    """Remove the copy at *path*, and its folder."""
    with contextlib.suppress(OSError):  # the task has moved it
        os.unlink(path)
    with contextlib.suppress(OSError):  # the task has put something there
        os.rmdir(os.path.dirname(path))
