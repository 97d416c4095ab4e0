"""The driver's line to its interchange: the process, the socket, and the one thread that serves both."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.managers import AskStanding, AskTask, Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from cnflow.ids import FunctionId, TaskId
    from cnflow.interchange.loop import InterchangeSettings
from cnflow.providers.endings import exit_words

logger = logging.getLogger(__name__)

_END_WITHIN = 5.0
"""Seconds that an interchange told to stop gets before it is killed."""

Order = msg.Cancel | msg.BlockGone | msg.Drain | msg.AskIdle | AskStanding | AskTask | Hold

_MOST_TASKS = 5_000
"""In one message, so that the interchange can begin with the first while the next are packed."""


class Line:
    """Starts an interchange process and carries messages; everything that arrives is handed to *receive* in one thread.

    Args:
        label: names the thread.
        log_file: what the interchange logs.
        receive: called with each message and its attached frames.
        lost: called with how the interchange was lost, when that was not asked for.
        has_needs: whether any task so far said what it needs; asked once for each message.
    """

    def __init__(
        self,
        label: str,
        log_file: Path,
        receive: Callable[[msg.ToDriver, list[Any]], None],
        lost: Callable[[str], None],
        has_needs: Callable[[], bool] = lambda: True,
    ) -> None:
        self._has_needs = has_needs
        self._receive = receive
        self._lost = lost
        self._log_file = log_file
        self._outbox: deque[tuple[msg.Function, msg.TaskParcel]] = deque()
        self._leaving = threading.Lock()
        """Held by whoever takes tasks out of the outbox; putting in needs none."""

        self._orders: deque[Order] = deque()
        self._sent: set[FunctionId] = set()
        self._wake_read, self._wake_write = os.pipe()
        self._asleep = False
        self._stopping = False
        self._is_up = False
        """The interchange has spoken and lives; otherwise nobody is there to send to."""

        self._life = threading.Lock()
        """Held while it starts, and while it is decided that it stops."""

        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{label}-line", daemon=True)
        self._folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, make_settings: Callable[[str], InterchangeSettings]) -> None:
        """Start process and thread, unless stopped already. *make_settings* is given a private folder for socket files.

        Raises:
            OSError: the process cannot be started.
        """
        with self._life:
            if not self._stopping:
                self._start(make_settings)

    def _start(self, make_settings: Callable[[str], InterchangeSettings]) -> None:
        # Not the run's folder: the path of a socket file may have 107 bytes at most (unix(7)).
        self._folder = tempfile.mkdtemp(prefix="cnflow-", dir=_folder_for_sockets())
        settings = make_settings(self._folder)
        self._context = sockets.context()
        self._socket = sockets.await_interchange(self._context, settings.driver_endpoint)
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cnflow.interchange"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": _python_path()},
            )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(settings) + b"\n")
        self._process.stdin.flush()
        self._thread.start()

    def send(self, packed: tuple[msg.Function, msg.TaskParcel]) -> None:
        """Queue a task; also before `start`. Safe from any thread."""
        self._outbox.append(packed)
        self._wake_if_asleep()

    def cancel(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Take back those of *tasks* that have not left, and return them; ask the interchange to stop the others.

        Safe from any thread.
        """
        taken: list[TaskId] = []
        with self._leaving:
            for _ in range(len(self._outbox)):
                packed = self._outbox.popleft()
                number: TaskId = packed[1][0].id  # type: ignore[assignment]  # plain numbers on the wire
                if number in tasks:
                    taken.append(number)
                else:
                    self._outbox.append(packed)
        others = list(set(tasks).difference(taken))
        if others:
            self.order(msg.Cancel(list(others)))
        return taken

    def order(self, order: Order) -> None:
        """Queue an order; it leaves after all tasks that were queued before it. Safe from any thread."""
        self._orders.append(order)
        self._wake_if_asleep()

    def stop(self) -> None:
        """Have the interchange stop its managers and end; waits for it."""
        with self._life:
            if self._stopping:
                return
            self._stopping = True
        if self._process is not None:
            self._wake()
            if self._thread is not threading.current_thread():
                self._thread.join()
            self._end_process(self._process)
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _wake_if_asleep(self) -> None:
        if self._asleep:
            self._asleep = False
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # stopped, and closed, in this moment
            os.write(self._wake_write, b"x")

    def _serve(self) -> None:
        try:
            self._turn()
        except BaseException as error:  # a silent end would leave everybody waiting
            logger.exception("the line to the interchange broke")
            self._is_up = False
            self._lost(f"the line to it broke: {type(error).__name__}: {error}")

    def _turn(self) -> None:
        assert self._process is not None
        death = os.pidfd_open(self._process.pid)
        poller = sockets.poller()
        for source in (self._socket.raw, self._wake_read, death):
            poller.register(source, sockets.READABLE)
        while not self._stopping:
            self._asleep = True
            self._flush()
            ready = dict(poller.poll())
            self._asleep = False
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if self._socket.raw in ready:
                self._is_up = True
                for head, *attached in self._socket.received():
                    self._receive(msg.decode_to_driver(head), attached)
            if death in ready:
                poller.unregister(death)
                self._report_death(self._process)
        if self._is_up:
            self._socket.send([msg.encode(msg.Stop())])
        self._socket.close(1.0)
        os.close(death)
        self._context.term()

    def _report_death(self, process: subprocess.Popen[bytes]) -> None:
        exitcode = process.wait()
        self._is_up = False
        if not self._stopping:
            logger.error("the interchange %s; see %s", exit_words(exitcode), self._log_file)
            self._lost(f"it {exit_words(exitcode)}; see {self._log_file}")

    def _flush(self) -> None:
        while self._is_up and (self._outbox or self._orders):
            # Looked at before the outbox: whatever is cancelled by now has left before, or leaves now.
            orders = [self._orders.popleft() for _ in range(len(self._orders))]
            while self._outbox:
                self._send_work()
            for order in orders:
                self._socket.send([msg.encode(order)])

    def _send_work(self) -> None:
        functions: list[msg.Function] = []
        parcels: list[msg.TaskParcel] = []
        with self._leaving:
            while self._outbox and len(parcels) < _MOST_TASKS:
                function, parcel = self._outbox.popleft()
                if function.id not in self._sent:
                    self._sent.add(function.id)  # type: ignore[arg-type]  # plain bytes on the wire
                    functions.append(function)
                parcels.append(parcel)
        if parcels:
            heads, attached = msg.flatten(parcels)
            self._socket.send([msg.encode(msg.Work(functions, heads, self._has_needs())), *attached])

    @staticmethod
    def _end_process(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()  # the driver's life line: its end alone makes the interchange stop
        try:
            process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            logger.warning("the interchange did not end within %.0f s of being told to; killed", _END_WITHIN)
            process.kill()
            process.wait()


_LONGEST_SOCKET_FILE = 107
"""Bytes; unix(7), less the end mark."""


def _folder_for_sockets() -> str | None:
    """Where to make the folder for socket files: the usual one for temporary files, unless its name is too long."""
    usual = tempfile.gettempdir()
    return usual if len(usual.encode()) + len("/cnflow-xxxxxxxx/managers") <= _LONGEST_SOCKET_FILE else "/tmp"  # noqa: S108 - mkdtemp makes a private one in it


def _python_path() -> str:
    """Where the interchange finds its packages: as here, but the script's own folder last, whose names may be any."""
    return os.pathsep.join(entry for entry in [*sys.path[1:], *sys.path[:1]] if entry)
