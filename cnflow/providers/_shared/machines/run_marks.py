"""Marks of the runs whose driver lives on this machine: locked files, which the kernel unlocks with their process.

::

    first machine of a run ── hold(run) ──> CACHE/cloud-runs/HOST/RUN, locked, with the driver's process id
    end of the run ────────── release(run) > the file is removed
    SIGKILL, power cut ─────────────────────> the file stays, unlocked

    `cnflow clean --cloud` ── living_driver(run) ──> process id    machines of the run are left alone
                                                     None          nobody needs them: orphans

Only runs of this machine and user are looked for, since machines carry both in the tag `cnflow-owner`. The lock is one
of fcntl(2), which a child that the driver forks does not inherit.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING

from cnflow.capsule.build import default_cache_dir
from cnflow.providers._shared.machines.tags import tag_value

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_held: dict[str, tuple[int, int]] = {}
"""Descriptor of each mark of this process, and its number of holders: closing one of two descriptors of a file ends
the lock of both."""


def folder() -> Path:
    """Return the folder of the marks of this machine; it need not exist."""
    return default_cache_dir() / "cloud-runs" / tag_value(socket.gethostname())


def hold(run: str) -> None:
    """Mark the run with the tag *run* as one whose driver lives; each call needs a `release`.

    A mark that cannot be made is logged: the run goes on, and `cnflow clean --cloud` takes its machines for orphans.
    """
    with _lock:
        descriptor, count = _held.get(run, (-1, 0))
        if not count:
            try:
                descriptor = _make(folder() / run)
            except OSError as error:
                logger.warning(
                    "`cnflow clean --cloud` will take the machines of run %s for orphans, since this file cannot be "
                    "made: %s",
                    run,
                    error,
                )
                return
        _held[run] = (descriptor, count + 1)


def release(run: str) -> None:
    """End a `hold`; with the last one the mark is removed. One that was never held is no error."""
    with _lock:
        descriptor, count = _held.pop(run, (-1, 0))
        if count > 1:
            _held[run] = (descriptor, count - 1)
        elif count:
            (folder() / run).unlink(missing_ok=True)
            os.close(descriptor)


def living_driver(run: str) -> int | None:
    """Return the process id of the driver of the run with the tag *run*; None if none lives on this machine."""
    with _lock:
        if run in _held:
            return os.getpid()
        if not run:
            return None
        try:
            descriptor = os.open(folder() / run, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows both
            return int(os.pread(descriptor, 32, 0) or b"0")
        finally:
            os.close(descriptor)
    return None


def others_live(runs: Collection[str]) -> bool:
    """Return whether drivers of other runs than those with the tags *runs* live on this machine."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        marks = sorted(each.name for each in folder().iterdir())
        return any(living_driver(each) is not None for each in marks if each not in runs)
    return False


def forget(run: str) -> None:
    """Remove the mark of a run without a driver, of which nothing is left."""
    if living_driver(run) is None:
        (folder() / run).unlink(missing_ok=True)


def _make(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
