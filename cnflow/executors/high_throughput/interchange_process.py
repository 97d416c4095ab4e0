"""The interchange's process, as the driver sees it."""

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
from cnflow.providers._shared.exit_status import exit_words

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)

_END_WITHIN = 5.0
"""Seconds that an interchange told to stop gets before it is killed."""

MOST_RESTARTS = 5
"""Within `RESTARTS_WITHIN`."""

RESTARTS_WITHIN = 60.0
"""Seconds."""


class InterchangeProcess:
    """One of them, from its start to its end.

    Args:
        settings: go to its stdin, since they hold keys; the descriptor in them is inherited.
        log_file: what it prints is appended here.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, settings: InterchangeSettings, log_file: Path) -> None:
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cnflow.interchange"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[settings.driver],
                # The second one keeps the current folder's modules from going first; Python 3.10 does not know it.
                env={**os.environ, "PYTHONPATH": _python_path(), "PYTHONSAFEPATH": "1"},
            )
        self.death = os.pidfd_open(self._process.pid)
        """Readable once it has ended; closed by `died` and `end`."""

        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # its death is heard of as any other
            self._stdin.write(msgspec.json.encode(settings) + b"\n")
            self._stdin.flush()

    def died(self) -> str:
        """After `death`: how it ended, in words."""
        exitcode = self._process.wait()
        self._close()
        return exit_words(exitcode)

    def end(self) -> None:
        """Have it end, and wait for that; also when it has died."""
        self._close()  # the driver's life line: its end alone makes the interchange stop
        try:
            self._process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            logger.warning("the interchange did not end within %.0f s of being told to; killed", _END_WITHIN)
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        if self.death >= 0:
            os.close(self.death)
            self.death = -1
        with contextlib.suppress(BrokenPipeError):  # it did not read all of its settings
            self._stdin.close()


def lost_for_good(label: str, how: str, log_file: Path) -> InterchangeLostError:
    """The error of the executor *label* for tasks that cannot run any more."""
    advice = f"Nothing more can run on it: end the run and load the configuration again.{quoted_tail(log_file)}"
    return InterchangeLostError(f"Executor {label!r} lost its interchange: {how}. {advice}")


class Restarts:
    """How often an interchange was started anew, and whether it may be once more; pure."""

    def __init__(self) -> None:
        self.count = 0
        self._moments: deque[Seconds] = deque(maxlen=MOST_RESTARTS)

    def may_again(self, now: Seconds) -> bool:
        """Whether another restart is due at *now*; if so, it is counted."""
        if len(self._moments) == MOST_RESTARTS and now - self._moments[0] < RESTARTS_WITHIN:
            return False
        self._moments.append(now)
        self.count += 1
        return True


_LONGEST_SOCKET_FILE = 107
"""Bytes; unix(7), less the end mark."""


def folder_for_sockets() -> str:
    """A new private folder for socket files: the usual one for temporary files, unless its name is too long."""
    usual = tempfile.gettempdir()
    is_short = len(usual.encode()) + len("/cnflow-xxxxxxxx/managers") <= _LONGEST_SOCKET_FILE
    return tempfile.mkdtemp(prefix="cnflow-", dir=usual if is_short else "/tmp")  # noqa: S108 - a private one in it


def _python_path() -> str:
    """Where the interchange finds its packages: as here, but the script's own folder last, whose names may be any."""
    return os.pathsep.join(entry for entry in [*sys.path[1:], *sys.path[:1]] if entry)
