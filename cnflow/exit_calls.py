"""Calls at the end of the interpreter, in two steps: waiting first, while threads can still be started.

::

    last line of the script, sys.exit(), or an exception
          │
          v  threading's exit calls
    `wait` of each entry ──Ctrl-C──> the other waits are left out ────┐
          │                                                           │
          v  Python joins the user's own threads, which may call apps │
    atexit                                                            │
    `end` of each entry, those added last first                       v
          └──> exit code 0 ...                     SIGINT ends the process after all exit calls

`atexit` alone would be too late: from Python 3.12 on, no thread can be started there, which a run that goes on needs.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - its exit call is registered before ours, and therefore called after it
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class _Entry(NamedTuple):
    wait: Callable[[], None]
    end: Callable[[], None]
    pid: int


_entries: dict[int, _Entry] = {}
_lock = threading.Lock()
_is_registered = False
_is_interrupted = False


def register(wait: Callable[[], None], end: Callable[[], None]) -> Callable[[], None]:
    """Have both called at the end of this process, not of those that it forks.

    Args:
        wait: waits for work, as long as that takes; a KeyboardInterrupt in it ends the process after all `end`.
        end: called after it; must be quick.

    Returns:
        A function that takes both back.
    """
    global _is_registered  # noqa: PLW0603 - threading's exit calls cannot be taken back, so there is one
    with _lock:
        if not _is_registered:
            _is_registered = True
            with contextlib.suppress(AttributeError, RuntimeError):  # private; or the interpreter ends already
                threading._register_atexit(_wait)  # type: ignore[attr-defined]  # noqa: SLF001 - as concurrent.futures
            atexit.register(_end)
    entry = _Entry(wait, end, os.getpid())
    _entries[id(entry)] = entry
    return lambda: _entries.pop(id(entry), None) and None


def error_of_script() -> BaseException | None:
    """Return the exception that ended the script; None if there was none, in a session, and before the end."""
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return None  # the last error that the user saw, which did not end the session
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def _own_entries() -> list[_Entry]:
    return [entry for entry in reversed(list(_entries.values())) if entry.pid == os.getpid()]


def _wait() -> None:
    global _is_interrupted  # noqa: PLW0603 - threading drops what an exit call raises
    try:
        for entry in _own_entries():
            entry.wait()
    except KeyboardInterrupt:
        _is_interrupted = True


def is_interrupted() -> bool:
    """Return True once the user has interrupted the wait at the end of the process."""
    return _is_interrupted


def _end() -> None:
    for entry in _own_entries():
        entry.end()
    if _is_interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        globals()["_last"] = _EndBySignal(os.getpid())


class _EndBySignal:
    """Ends the process by SIGINT when the interpreter drops its modules: after all exit calls, as Ctrl-C does.

    Python ignores what exit calls raise and would return 0: a pipeline would go on with half of the results.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __del__(self, kill: Callable[[int, int], None] = os.kill, own_pid: Callable[[], int] = os.getpid) -> None:
        if own_pid() == self._pid:
            kill(self._pid, 2)
