"""The interchange's process as the driver sees it: how it starts and ends, and the stream to it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING

from cnflow.errors import InterchangeLostError
from cnflow.log_tail import quoted_tail
from cnflow.model.interchange_settings import GREETING
from cnflow.text import describe_exit
from cnflow.wire.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 5.0
"""Seconds between the order to stop and SIGKILL."""

_LONGEST_GREETING = 64 * 1024
"""Bytes that programs of a login may print before the relay's greeting."""


class InterchangeProcess:
    """One process, from its start to its end: an interchange, or the command that connects with one elsewhere.

    Args:
        argv: command line.
        first_line: written to its stdin, a socket, since it may hold keys; messages follow. None leaves it to
            `configure`.
        log_file: its stderr is appended here.
        is_relay: its stdout is the same socket, and brings a greeting before messages.
        environment: its variables; None for those of the driver.
        given: descriptors that it inherits under the same numbers.

    Attributes:
        pid: process id.
        stream: to it; whoever connects it closes it.
        death: descriptor that is readable once the process has ended; closed by `reap` and `stop`.
        awaits_greeting: the relay has yet to report that it has reached an interchange.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        first_line: bytes | None,
        log_file: Path,
        *,
        is_relay: bool = False,
        environment: Mapping[str, str] | None = None,
        given: Sequence[int] = (),
    ) -> None:
        self.awaits_greeting = is_relay
        self.death, inherited = _open_death_descriptors()
        ours, theirs = socket.socketpair()
        try:
            with theirs, log_file.open("ab") as log:
                self._process = subprocess.Popen(
                    argv,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno() if is_relay else log.fileno(),
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[*inherited, *given],
                    env=environment,
                )
        except BaseException:
            ours.close()
            if inherited:
                os.close(self.death)
            raise
        finally:
            for descriptor in inherited:
                os.close(descriptor)
        if not inherited:
            self.death = os.pidfd_open(self._process.pid)
        self.pid = self._process.pid
        self._socket = ours
        self.stream = Stream(ours)
        if first_line is not None:
            self.configure(first_line)

    def configure(self, first_line: bytes) -> None:
        """Write the first line to a process that was started without it."""
        self.stream.send_line(first_line)

    def read_greeting(self) -> str | None:
        """Read the word with which the relay begins; None if it has not arrived yet.

        Raises:
            ConnectionError: the relay has ended, or something else writes to its stdout.
        """
        while (line := _read_line(self._socket)) is not None:
            if line.startswith(GREETING):
                self.awaits_greeting = False
                return line[len(GREETING) :].decode(errors="replace")
            logger.info("the command of the interchange printed: %s", line.decode(errors="replace"))
        return None

    def kill(self) -> None:
        """End it at once; `death` reports that."""
        self._process.kill()

    def reap(self) -> str:
        """Collect the ended process and describe its end: ``exited with code 1``."""
        exitcode = self._process.wait()
        self._close()
        return describe_exit(exitcode)

    def stop(self) -> None:
        """Wait for its end, whose cause is the end of its stream; also after its death."""
        self._close()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            logger.warning("the interchange did not stop within %.0f s and was killed", STOP_TIMEOUT)
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        if self.death >= 0:
            os.close(self.death)
            self.death = -1


def _read_line(end: socket.socket) -> bytes | None:
    """Read a line, without its end, and nothing beyond; None if its end has not arrived: then it stays in the socket.

    Raises:
        ConnectionError: the other end has closed, or sends no line.
    """
    try:
        there = end.recv(_LONGEST_GREETING, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    size = there.find(b"\n") + 1
    if size:
        return end.recv(size)[:-1]
    if not there or len(there) == _LONGEST_GREETING:
        raise ConnectionError("the command of the interchange printed no greeting")
    return None


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


_LONGEST_SOCKET_PATH = 107
"""Bytes; unix(7), less the terminating zero."""


def make_socket_folder() -> str:
    """Make a private folder for socket files: in the usual one for temporary files, unless the path gets too long."""
    usual = tempfile.gettempdir()
    is_short = len(usual.encode()) + len("/cnflow-xxxxxxxx/managers") <= _LONGEST_SOCKET_PATH
    folder = usual if is_short else "/tmp"  # noqa: S108 - a private one in it
    try:
        return tempfile.mkdtemp(prefix="cnflow-", dir=folder)
    except OSError as error:
        why = f"{error.strerror} for the folder of its socket. Make room there, or set TMPDIR to another folder"
        raise OSError(error.errno, why, folder) from error
