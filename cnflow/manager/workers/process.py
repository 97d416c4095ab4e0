"""One worker process, from the manager's side: its socket, its output and its exit.

::

    Popen ──> socket: functions and tasks in, results out      write, flush, read_records
              stop pipe + SIGUSR1: numbers of tasks to stop    stop_task
              output pipe: stdout and stderr, to our stderr    forward_output, each line with its task
                                                               (`output`); its last lines explain a crash
              pidfd: readable when the process ends            exitcode
    close_input ──> an idle worker ends by itself; signal_session ends a busy one with all that its task started
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from cnflow.manager.workers.output import WorkerOutput
from cnflow.wire.pipe import Reader, Record, pack_stop
from cnflow.wire.stream import SendBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Callable

    from cnflow.log_lines import JSONLog
    from cnflow.wire.pipe import Part

_WORKER = str(Path(__file__).resolve().parents[2] / "worker" / "__main__.py")
_CHUNK = 256 * 1024
_MOST_AT_ONCE = 4 * 2**20
"""Bytes that are read from a worker, or written to it, before others have their turn: a few milliseconds."""

_TAIL_BYTES = 8 * 1024
_TAIL_LINES = 20

_LIMITS = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
"""Errors of a limit that is reached, which pass: processes, memory, open files (fork(2), pipe(2))."""


class OutOfProcessesError(Exception):
    """No process can be started now."""


class WorkerProcess:
    """A running worker. No method but `wait` blocks.

    Args:
        rank: of the worker on its node.
        python: interpreter that runs it; empty for the manager's own.
        environment: all variables of the process.
        working_dir: folder in which it starts; None is the manager's own.
        sandbox: prefix of the paths of its sandboxes.
        write_output: called with the lines that it prints, and their tasks; must not block.

    Attributes:
        running: returns the id and the app of the task that runs, as the manager knows it; None before its loop runs.

    Raises:
        OutOfProcessesError: a limit of the node is reached.
    """

    def __init__(
        self,
        rank: int,
        python: str,
        environment: Mapping[str, str],
        working_dir: Optional[str],
        sandbox: str,
        write_output: Callable[[bytes], None],
    ) -> None:
        self.rank = rank
        self._sandbox = sandbox
        self._write_output = write_output
        self.running: Optional[Callable[[], Optional[tuple[int, str]]]] = None
        self._lines = WorkerOutput(rank, lambda: self.running and self.running())
        python = python or sys.executable
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as theirs:
            ours, output, self._stops = self._start(python, environment, working_dir, on_failure, theirs)
            on_failure.pop_all()
        os.set_blocking(self._stops, False)
        ours.setblocking(False)
        os.set_blocking(output, False)
        self.socket = ours
        self.output = output
        self.pidfd = _open_pidfd(self._process.pid)
        self.output_closed = False
        self.socket_closed = False
        """The worker closed its end, and may still run: a poll of this socket would return at once, forever."""

        self.has_worked = False
        """A task has ended in it, and may have left exit calls and open files."""

        self._reader = Reader()
        self._unsent = SendBuffer(ours, _MOST_AT_ONCE)
        self._tail = b""

    def _start(
        self,
        python: str,
        environment: Mapping[str, str],
        working_dir: Optional[str],
        on_failure: contextlib.ExitStack,
        theirs: contextlib.ExitStack,
    ) -> tuple[socket.socket, int, int]:
        """Start the process; return the socket to it, the pipe of its output and the one for stops.

        The stacks close this end where the start fails, and the worker's end in any case.
        """
        try:
            ours, inherited = socket.socketpair()
            on_failure.callback(ours.close)
            theirs.callback(inherited.close)
            output, their_output = _pipe(on_failure, theirs)
            their_stops, stops = _pipe(theirs, on_failure)
            self._process = subprocess.Popen(
                [python, "-u", _WORKER, str(inherited.fileno()), str(their_stops), self._sandbox],
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                env=dict(environment),
                cwd=working_dir,
                pass_fds=[inherited.fileno(), their_stops],
                start_new_session=True,
            )
        except OSError as error:
            if error.errno in _LIMITS:
                raise OutOfProcessesError(str(error)) from error
            raise
        return ours, output, stops

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def descriptors(self) -> list[int]:
        """Descriptors to poll: socket, output, and the end of the process where the kernel has one for it."""
        return [fd for fd in (self.socket.fileno(), self.output, self.pidfd) if fd is not None]

    @property
    def has_unsent(self) -> bool:
        """True if the socket was full; call `flush` when it is writable."""
        return bool(self._unsent)

    def write(self, chunks: Iterable[Part]) -> None:
        """Queue *chunks*; they leave with the next `flush`."""
        self._unsent.put(chunks)

    def flush(self) -> None:
        """Write as much as the socket takes. A worker that died is reported by its exit, with the exit code."""
        self._unsent.flush()

    def stop_task(self, number: int) -> None:
        """Order the worker to stop its task *number*, counted from 0."""
        try:
            os.write(self._stops, pack_stop(number))
            self._process.send_signal(signal.SIGUSR1)
        except OSError:
            return  # it died, which its exit reports; or it does not read, and is killed after the grace

    def read_records(self, *, to_the_end: bool = False) -> list[Record]:
        """Return the records that arrived since the last call; empty if the worker is gone.

        Args:
            to_the_end: read until nothing is left, instead of a part that is enough for this round.
        """
        found: list[Record] = []
        room = _MOST_AT_ONCE
        try:
            while data := self.socket.recv(_CHUNK):
                found += self._reader.feed(data)
                room -= len(data)
                if (len(data) < _CHUNK // 4 or room < 0) and not to_the_end:
                    return found
            self.socket_closed = True
        except OSError:
            pass  # nothing more now (BlockingIOError), or it died, which its exit reports
        return found

    def print_to(self, log: JSONLog) -> None:
        """Write its lines in the form of *log* from now on."""
        self._lines.format_lines = log.of_worker(self.rank)

    def forward_output(self) -> None:
        """Pass on new output, of a flood a part that is enough for this round; keep its last 8 KiB."""
        room = _MOST_AT_ONCE
        try:
            while room > 0 and not self.output_closed:
                data = os.read(self.output, _CHUNK)
                plain, lines = self._lines.feed(data) if data else (b"", self._lines.flush())
                self.output_closed = not data
                room -= len(data)
                if lines:
                    self._write_output(lines)
                self._tail = (self._tail + plain)[-_TAIL_BYTES:]
        except BlockingIOError:
            return

    def clear_tail(self) -> None:
        """Drop the output so far, which belongs to tasks that ended, from the tail."""
        self.has_worked = True
        self.forward_output()
        self._tail = b""

    def tail(self) -> str:
        """Last 20 lines of the output."""
        return "\n".join(self._tail.decode(errors="replace").splitlines()[-_TAIL_LINES:])

    def may_have_ended(self, source: object) -> bool:
        """Return whether `exitcode` is worth a system call after an event of *source*, one of `descriptors`.

        Not where the kernel reports the end by a descriptor of its own: that is an event in the same turn, or the next.
        """
        return self.pidfd is None or source == self.pidfd

    def exitcode(self) -> Optional[int]:
        """Exit code, as `subprocess.Popen.poll` returns it; None while the worker runs."""
        return self._process.poll()

    def close_input(self) -> None:
        """Close the socket: an idle worker ends in good order then."""
        self.socket.close()

    def close(self) -> None:
        """Close all descriptors; output that has no end of a line is one now."""
        if not self.output_closed and (lines := self._lines.flush()):
            self._write_output(lines)
        self.socket.close()
        os.close(self._stops)
        os.close(self.output)
        if self.pidfd is not None:
            os.close(self.pidfd)

    def signal_session(self, number: int) -> None:
        """Signal all processes of the worker's session, commands of bash apps included; return at once."""
        leader = self._process.pid
        if self._process.returncode is None:
            self._process.send_signal(number)
        seen = {leader}  # once reaped, its id may belong to another process
        while members := _session_members(leader) - seen:  # again, since they may have started others
            for pid in members:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            seen |= members

    def wait(self) -> None:
        """Wait for the end of a worker that was signalled, and remove its sandboxes."""
        self._process.wait()
        folder, name = os.path.split(self._sandbox)
        for left in Path(folder).glob(f"{name}-*"):
            shutil.rmtree(left, ignore_errors=True)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Open a pipe; the stacks close its ends."""
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def _session_members(leader: int) -> set[int]:
    """Process ids of the session of *leader*; empty on systems without /proc."""
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - names, and hundreds of them
    except OSError:
        return set()
    return {int(entry) for entry in entries if entry.isdigit() and _session_id(int(entry)) == leader}


def _session_id(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _open_pidfd(pid: int) -> Optional[int]:
    """Return a descriptor that is readable when *pid* ends; None where there is none, and the socket closes instead."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
