"""Tells whether a task runs here: then a call of an app is a call of its function.

::

    worker process            always, in all its threads
    thread of the driver      while it runs the function of a Python or bash app; those of join apps submit
"""

from __future__ import annotations

import threading

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
