"""Tells whether a task runs here: then a call of an app is a call of its function.

::

    worker process            always, in all its threads
    thread of the driver      while it runs the function of a Python or bash app; those of join apps submit

Keeps what the task of a worker leaves on its node, until the worker has announced it.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

in_worker = False
"""True in a worker process."""


class _Thread(threading.local):
    runs_task = False


thread = _Thread()
"""``runs_task``: True while this thread of the driver runs a task."""


def enter_worker() -> None:
    """Mark this process as a worker."""
    global in_worker  # noqa: PLW0603 - it is one for its whole life
    in_worker = True


class Left(NamedTuple):
    """Content that a task leaves on its node, or an object that it has changed."""

    key: bytes
    size: int
    form: int
    """A `cnflow.model.item.ItemForm`."""

    name: str
    """Place, as in `cnflow.model.item.Item.name`, or `CHANGED`."""

    path: str
    """File in the folder for contents on their way (`cnflow.tasks.area`), from now on the manager's."""


CHANGED = "changed"
"""Name for an object that the task has written to: it is no content of its key any more, and the manager drops it."""

_left: list[Left] = []


def leave_item(key: bytes, size: int, form: int, name: str, path: str) -> None:
    """Have the running task of this worker leave the file at *path*; the arguments are those of `Left`.

    Streams are left also by a task that fails, all else by one that succeeds.
    """
    _left.append(Left(key, size, form, name, path))


def take_left() -> list[Left]:
    """Return what the task leaves, once: its worker writes a record of each before that of the result."""
    taken = _left[:]
    _left.clear()
    return taken
