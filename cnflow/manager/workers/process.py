"""One worker process as the manager sees it: its socket, its output, its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from cnflow.wire.pipe import Reader, Record, pack_stop
from cnflow.wire.stream import SendBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.wire.pipe import Part

_WORKER = str(Path(__file__).resolve().parents[2] / "worker" / "__main__.py")
_CHUNK = 256 * 1024
_TAIL_BYTES = 8 * 1024
_TAIL_LINES = 20
_KILL_AFTER = 1.0
"""Seconds between SIGTERM and SIGKILL."""


class WorkerProcess:
    """A running worker. Nothing here blocks.

    Args:
        rank: for its environment and for the prefix of its output.
        environment: all of it.
        working_dir: where it starts; None is here.
        sandbox: what the paths of its sandboxes begin with.
    """

    def __init__(self, rank: int, environment: Mapping[str, str], working_dir: Optional[str], sandbox: str) -> None:
        self.rank = rank
        self._sandbox = sandbox
        ours, theirs = socket.socketpair()
        output, their_output = os.pipe()
        their_stops, self._stops = os.pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", _WORKER, str(theirs.fileno()), str(their_stops), sandbox],
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                env=dict(environment),
                cwd=working_dir,
                pass_fds=[theirs.fileno(), their_stops],
                start_new_session=True,
            )
        os.close(their_output)
        os.close(their_stops)
        os.set_blocking(self._stops, False)
        ours.setblocking(False)
        os.set_blocking(output, False)
        self.socket = ours
        self.output = output
        self.death = _pidfd(self._process.pid)
        self.output_closed = False
        self.socket_closed = False
        """It closed its end, and may live on: nothing more will come, and waiting for it would never wait."""

        self._reader = Reader()
        self._unsent = SendBuffer(ours)
        self._tail = b""

    @property
    def wants_to_write(self) -> bool:
        """Whether its socket was full; call `flush` when it is writable."""
        return bool(self._unsent)

    def write(self, chunks: Iterable[Part]) -> None:
        """Queue *chunks*; they leave with the next `flush`."""
        self._unsent.put(chunks)

    def flush(self) -> None:
        """Write as much as the socket takes. If it died, that is noticed by its exit, with the exit code."""
        self._unsent.flush()

    def stop(self, number: int) -> None:
        """Tell it to stop the task of that number."""
        try:
            os.write(self._stops, pack_stop(number))
            self._process.send_signal(signal.SIGUSR1)
        except OSError:
            return  # it died, which is noticed by its exit; or does not read, and is killed after the grace

    def records(self, *, to_the_end: bool = False) -> list[Record]:
        """What it sent since the last call; empty also when it is gone. *to_the_end* leaves nothing unread."""
        found: list[Record] = []
        try:
            while data := self.socket.recv(_CHUNK):
                found += self._reader.feed(data)
                if len(data) < _CHUNK // 4 and not to_the_end:
                    return found
            self.socket_closed = True
        except OSError:
            pass  # nothing more now (BlockingIOError), or it died: noticed by its exit, with the exit code
        return found

    def forward_output(self) -> None:
        """Pass what it printed on to the manager's own stderr, and remember the end of it."""
        try:
            while not self.output_closed and (data := os.read(self.output, _CHUNK)):
                with contextlib.suppress(OSError):  # a full disk takes the log, not the tasks
                    os.write(2, data)
                self._tail = (self._tail + data)[-_TAIL_BYTES:]
            self.output_closed = True
        except BlockingIOError:
            return

    def forget_output(self) -> None:
        """What it printed so far belongs to tasks that are done."""
        self.forward_output()
        self._tail = b""

    def last_lines(self) -> str:
        """The end of what it printed."""
        return "\n".join(self._tail.decode(errors="replace").splitlines()[-_TAIL_LINES:])

    def exitcode(self) -> Optional[int]:
        """As `subprocess.Popen.poll`."""
        return self._process.poll()

    def close(self) -> None:
        """Let go of it; an idle worker takes that as the order to end."""
        self.socket.close()
        os.close(self._stops)
        os.close(self.output)
        if self.death is not None:
            os.close(self.death)

    def signal_session(self, number: int) -> None:
        """Signal it and all of its session, also commands, which lead process groups of their own; returns at once."""
        leader = self._process.pid
        if self._process.returncode is None:
            self._process.send_signal(number)
        seen = {leader}  # not signalled again once it was reaped: its id may be another's
        while members := _session(leader) - seen:  # again, since they may start others meanwhile
            for pid in members:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            seen |= members

    def wait(self) -> None:
        """Return when it has ended, which it was told to; nothing of its sandboxes is left then."""
        self._process.wait()
        folder, name = os.path.split(self._sandbox)
        for left in Path(folder).glob(f"{name}-*"):
            shutil.rmtree(left, ignore_errors=True)


def end(workers: Iterable[WorkerProcess]) -> None:
    """End all of *workers* and what their tasks started: politely first, for a second at most."""
    living = list(workers)
    for worker in living:
        worker.close()
        worker.signal_session(signal.SIGTERM)
    deadline = time.monotonic() + _KILL_AFTER
    while any(worker.exitcode() is None for worker in living) and time.monotonic() < deadline:
        time.sleep(0.005)
    for worker in living:
        worker.signal_session(signal.SIGKILL)
        worker.wait()


def _session(leader: int) -> set[int]:
    """Processes of the session that *leader* began; none on systems without /proc."""
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - names, and hundreds of them
    except OSError:
        return set()
    return {int(entry) for entry in entries if entry.isdigit() and _session_of(int(entry)) == leader}


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _pidfd(pid: int) -> Optional[int]:
    """Readable when *pid* ends; None where kernel or sandbox has no such thing: the closed socket tells then."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
