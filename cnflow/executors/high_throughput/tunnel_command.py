"""Program that keeps the tunnel of one executor, such as ``ssh -R``.

::

    start ──> program runs ── ends, for whatever reason ──> warning with its last words ──> pause ──┐
                  ^                                          longer each time, 15 s at most         │
                  └─────────────────────────────────────────────────────────────────────────────────┘
    close, or the end of the driver ──> SIGTERM to the program and its children, then SIGKILL to what is left of them

The program is the child of a small shell script whose stdin is a pipe from the driver: a driver that is killed must not
leave a tunnel behind, whose port the next one would find taken. The program may be a script around ssh: signals go to
the whole process group.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

from cnflow.clock import SystemClock
from cnflow.errors import ConfigurationError
from cnflow.log_tail import quoted_tail
from cnflow.text import describe_exit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.clock import Clock
    from cnflow.config.ways import Tunnel

logger = logging.getLogger(__name__)

_PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Seconds before the program is started again; the last for all further times."""

_LONG = 60.0
"""Seconds after which a program counts as one that works: the next pause is the first again."""

_STOP_TIMEOUT = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_WITH_DRIVER = f"""
exec 3<&0
closing=
trap closing=yes TERM
"$@" </dev/null 3<&- &
child=$!
(trap 'exit 0' TERM; read -r _ <&3; trap '' TERM; kill -TERM -$$; sleep {_STOP_TIMEOUT:g}; kill -KILL -$$) 2>/dev/null &
watcher=$!
wait "$child"
status=$?
if [ "$closing" ]; then
    wait "$child"
    kill -KILL -$$
fi
kill "$watcher" 2>/dev/null
exit "$status"
"""
"""Script for sh(1) that runs its arguments as long as its stdin is open."""


class Pauses:
    """Times before the program is started again. No I/O."""

    def __init__(self) -> None:
        self.ends = 0
        self._in_row = 0

    def next(self, lived: float) -> float:
        """Return the seconds to wait after a program that *lived* so many."""
        self.ends += 1
        self._in_row = 0 if lived >= _LONG else self._in_row
        pause = _PAUSES[min(self._in_row, len(_PAUSES) - 1)]
        self._in_row += 1
        return pause


class TunnelCommand:
    """Runs the program; the module has a picture.

    Args:
        label: of the executor.
        argv: the program.
        log_file: what it prints is appended here.
        clock: how long it lived.

    Attributes:
        how: end of the last program; empty while the first one runs.
    """

    def __init__(self, label: str, argv: Sequence[str], log_file: Path, clock: Clock) -> None:
        self._label = label
        self._argv = argv
        self._log_file = log_file
        self._clock = clock
        self._pauses = Pauses()
        self._is_closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{label}-tunnel", daemon=True)
        self.how = ""

    def start(self) -> None:
        """Begin.

        Raises:
            ConfigurationError: there is no such program.
        """
        if shutil.which(self._argv[0]) is None:
            raise ConfigurationError(
                f"The tunnel of executor {self._label!r} cannot be made: {self._argv[0]!r}, the first word of "
                "Tunnel(command=...), cannot be run here. Install it, or write its path."
            )
        self._thread.start()

    def close(self) -> None:
        """End the program, and wait for that."""
        self._is_closing.set()
        with self._lock:
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._thread.ident is not None:
            self._thread.join()

    def _serve(self) -> None:
        while not self._is_closing.is_set():
            begin = self._clock.now()
            try:
                self.how = self._run()
            except OSError as error:
                self.how = f"cannot be started: {error}"
            if self._is_closing.is_set():
                return
            pause = self._pauses.next(self._clock.now() - begin)
            words = quoted_tail(self._log_file)
            logger.warning("the tunnel of executor %s %s; again in %g s%s", self._label, self.how, pause, words)
            self._is_closing.wait(pause)

    def _run(self) -> str:
        """Run the program to its end; return the words for that."""
        with self._log_file.open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", _WITH_DRIVER, "sh", *self._argv],  # noqa: S607 - POSIX has it
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with self._lock:
            self._process = process
        if self._is_closing.is_set() and process.stdin is not None:
            process.stdin.close()
        with process:
            return describe_exit(process.wait())


def keep_tunnel(label: str, way: Tunnel, port: int, log_dir: Path) -> TunnelCommand:
    """Start the program that keeps the tunnel of an executor to *port*.

    Raises:
        ConfigurationError: the program does not exist.
    """
    argv = [word.replace("{port}", str(port)) for word in way.command]
    command = TunnelCommand(label, argv, log_dir / "tunnel.log", SystemClock())
    command.start()
    return command
