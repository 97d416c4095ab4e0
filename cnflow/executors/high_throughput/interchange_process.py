"""The interchange's process as the driver sees it: how it starts, ends, and how often it may be started again."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from cnflow.errors import InterchangeLostError
from cnflow.log_tail import quoted_tail
from cnflow.text import describe_exit

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)

_STOP_TIMEOUT = 5.0
"""Seconds between the order to stop and SIGKILL."""

MOST_RESTARTS = 5
"""Restarts within `RESTART_WINDOW`."""

RESTART_WINDOW = 60.0
"""Seconds."""


class InterchangeProcess:
    """One process, from its start to its end.

    Args:
        settings: written to its stdin, since they hold keys; the descriptor in them is inherited.
        log_file: its stdout and stderr are appended here.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, settings: InterchangeSettings, log_file: Path) -> None:
        self.death, inherited = _open_death_descriptors()
        """Descriptor that is readable once the process has ended; closed by `reap` and `stop`."""

        try:
            self._process = self._start(settings, log_file, inherited)
        except BaseException:
            if inherited:
                os.close(self.death)
            raise
        if not inherited:
            self.death = os.pidfd_open(self._process.pid)
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it died at once, which `death` reports
            self._stdin.write(msgspec.json.encode(settings) + b"\n")
            self._stdin.flush()

    def _start(self, settings: InterchangeSettings, log_file: Path, inherited: list[int]) -> subprocess.Popen[bytes]:
        """Start the process, and close the descriptors that are *inherited* by it alone."""
        try:
            with log_file.open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-m", "cnflow.interchange"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[settings.driver, *inherited],
                    # The second one keeps the current folder's modules from going first; Python 3.10 does not know it.
                    env={**os.environ, "PYTHONPATH": _python_path(), "PYTHONSAFEPATH": "1"},
                )
        finally:
            for descriptor in inherited:
                os.close(descriptor)

    def reap(self) -> str:
        """Collect the ended process and describe its end: ``exited with code 1``."""
        exitcode = self._process.wait()
        self._close()
        return describe_exit(exitcode)

    def stop(self) -> None:
        """Make it end, and wait for that; also after its death."""
        self._close()  # the driver's life line: the end of stdin alone stops an interchange
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            logger.warning("the interchange did not stop within %.0f s and was killed", _STOP_TIMEOUT)
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        if self.death >= 0:
            os.close(self.death)
            self.death = -1
        with contextlib.suppress(BrokenPipeError):  # it did not read all of its settings
            self._stdin.close()


def _open_death_descriptors() -> tuple[int, list[int]]:
    """Open a pipe whose far end the interchange inherits, so that its end closes the pipe.

    Only where pidfd_open(2) is missing, as before Linux 5.3 and under older seccomp profiles. A pidfd is better: if
    another thread of the driver forks at this moment, the child has a copy of the far end and hides the death while it
    lives.

    Returns:
        The near end, and the far end in a list; -1 and an empty list where a pidfd can be had.
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        near, far = os.pipe()
        return near, [far]
    return -1, []


def interchange_lost_error(label: str, how: str, log_file: Path) -> InterchangeLostError:
    """The error of every task of the executor *label* after its interchange was lost."""
    advice = f"Nothing more can run on it: end the run and load the configuration again.{quoted_tail(log_file)}"
    return InterchangeLostError(f"Executor {label!r} lost its interchange: {how}. {advice}")


class RestartLimit:
    """Allows `MOST_RESTARTS` restarts within `RESTART_WINDOW`. No I/O."""

    def __init__(self) -> None:
        self.count = 0
        """Restarts so far."""

        self._moments: deque[Seconds] = deque(maxlen=MOST_RESTARTS)

    def allow(self, now: Seconds) -> bool:
        """Return whether one more restart is allowed at *now*, and count it if so."""
        if len(self._moments) == MOST_RESTARTS and now - self._moments[0] < RESTART_WINDOW:
            return False
        self._moments.append(now)
        self.count += 1
        return True


_LONGEST_SOCKET_PATH = 107
"""Bytes; unix(7), less the terminating zero."""


def make_socket_folder() -> str:
    """Make a private folder for socket files: in the usual one for temporary files, unless the path gets too long."""
    usual = tempfile.gettempdir()
    is_short = len(usual.encode()) + len("/cnflow-xxxxxxxx/managers") <= _LONGEST_SOCKET_PATH
    return tempfile.mkdtemp(prefix="cnflow-", dir=usual if is_short else "/tmp")  # noqa: S108 - a private one in it


def _python_path() -> str:
    """PYTHONPATH of the interchange: the driver's, but the script's folder last: its modules may have any name."""
    return os.pathsep.join(entry for entry in [*sys.path[1:], *sys.path[:1]] if entry)
