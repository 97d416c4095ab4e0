"""The driver's line to its interchange: the process, the socket, and the one thread that serves both."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.clock import SystemClock
from cnflow.executors.high_throughput.process import InterchangeProcess, Restarts, folder_for_sockets
from cnflow.wire import messages as msg
from cnflow.wire import sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from cnflow.ids import FunctionId, TaskId
    from cnflow.interchange.loop import InterchangeSettings

    Packed = tuple[msg.Function, msg.TaskParcel]

logger = logging.getLogger(__name__)

Order = msg.Cancel | msg.BlockGone | msg.Drain | msg.AskIdle | msg.Admit

_LAST_WORDS = 100
"""Milliseconds of silence after which what an interchange that died had sent has all come."""

_GOODBYE = 1_000  # milliseconds that last messages get to leave
_MOST_TASKS = 5_000
"""In one message, so that the interchange can begin with the first while the next are packed."""


class Line:
    """Starts an interchange process and carries messages; everything that arrives is handed to *receive* in one thread.

    An interchange that dies is started anew, at the same address; see `cnflow.interchange.restarted`. What was queued,
    here or there, is then had from *unfinished*.

    Args:
        label: names the thread.
        log_file: what the interchange logs.
        receive: called with each message and its attached frames.
        lost: called with how the interchange was lost, when that was not asked for and it is not started anew.
        unfinished: calls `forget`, and gives every task that is not answered, packed.
    """

    def __init__(
        self,
        label: str,
        log_file: Path,
        receive: Callable[[msg.ToDriver, list[Any]], None],
        lost: Callable[[str], None],
        unfinished: Callable[[], Iterator[Packed]],
    ) -> None:
        self._receive = receive
        self._lost = lost
        self._log_file = log_file
        self._unfinished = unfinished
        self._outbox: deque[Packed] = deque()
        self._leaving = threading.Lock()
        """Held by whoever takes tasks out of the outbox; putting in needs none."""

        self._orders: deque[Order] = deque()
        self._again: Iterator[Packed] | None = None
        """What a restarted interchange is still to be sent; before all else."""

        self._lasting: list[msg.Drain] = []
        """Orders that a restarted interchange must have, too."""

        self._sent: set[FunctionId] = set()
        self._wake_read, self._wake_write = os.pipe()
        self._asleep = False
        self._stopping = False
        self._is_up = False
        """The interchange has spoken and lives; otherwise nobody is there to send to."""

        self._life = threading.Lock()
        """Held while it starts, and while it is decided that it stops."""

        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{label}-line", daemon=True)
        self.folder = ""
        """Private, for socket files; from `start` on."""

        self._process: InterchangeProcess | None = None
        self._restarts = Restarts()
        self._clock = SystemClock()
        self._numbers = itertools.count()

    def start(self, make_settings: Callable[[str], InterchangeSettings]) -> None:
        """Start process and thread, unless stopped already.

        *make_settings* is given a private folder for socket files, and called anew for each restart.

        Raises:
            OSError: the process cannot be started.
        """
        with self._life:
            if not self._stopping:
                self._start(make_settings)

    def _start(self, make_settings: Callable[[str], InterchangeSettings]) -> None:
        # Not the run's folder: the path of a socket file may have 107 bytes at most (unix(7)).
        self.folder = folder_for_sockets()
        self._make_settings = make_settings
        self._context = sockets.context()
        try:
            self._launch()
        except BaseException:
            self._context.destroy(0)
            raise
        self._thread.start()

    def _launch(self) -> None:
        """An interchange with a socket of its own: on an old one would be what its predecessor did not read."""
        settings = self._make_settings(self.folder)
        endpoint = f"{settings.driver_endpoint}-{next(self._numbers)}"
        self._socket = sockets.await_interchange(self._context, endpoint)
        settings = msgspec.structs.replace(settings, driver_endpoint=endpoint, is_restart=bool(self._restarts.count))
        self._process = InterchangeProcess(settings, self._log_file)

    def send(self, packed: Packed) -> None:
        """Queue a task; also before `start`. Safe from any thread."""
        self._outbox.append(packed)
        self._wake_if_asleep()

    def forget(self) -> None:
        """Drop the tasks that have not left."""
        with self._leaving:
            self._outbox.clear()

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
            self._process.end()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

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
        finally:
            self._context.destroy(_GOODBYE)

    def _turn(self) -> None:
        assert self._process is not None
        poller = self._poller_for(self._process)
        while not self._stopping:
            self._asleep = True
            self._flush()
            ready = dict(poller.poll())
            self._asleep = False
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if self._socket.raw in ready:
                self._read()
            if self._process.death in ready:
                poller = self._after_death(self._process)
        if self._is_up:
            self._socket.send([msg.encode(msg.Stop())])

    def _poller_for(self, process: InterchangeProcess | None) -> sockets.Poller:
        """Waits for all that is to be heard of; without a *process*, for being woken."""
        poller = sockets.poller()
        for source in (self._socket.raw, self._wake_read, *([process.death] if process else [])):
            poller.register(source, sockets.READABLE)
        return poller

    def _read(self) -> None:
        self._is_up = True
        for head, *attached in self._socket.received():
            self._receive(msg.decode_to_driver(head), attached)

    def _after_death(self, process: InterchangeProcess) -> sockets.Poller:
        """Start another one, or tell that it is lost."""
        words = process.died()
        was_up = self._is_up
        while self._socket.raw.poll(_LAST_WORDS):
            self._read()
        was_up, self._is_up = was_up or self._is_up, False
        if self._stopping:
            return self._poller_for(None)
        logger.error("the interchange %s; see %s", words, self._log_file)
        is_a_start = not was_up and not self._restarts.count  # what hinders the first hinders the next
        if is_a_start or not self._restarts.may_again(self._clock.now()):
            again = f", after {self._restarts.count} restarts" if self._restarts.count else ""
            self._lost(f"it {words}{again}; see {self._log_file}")
            return self._poller_for(None)
        self._socket.close()
        self._sent.clear()
        self._again = self._unfinished()
        self._launch()
        logger.warning("the interchange is started anew; its managers keep what they have")
        return self._poller_for(self._process)

    def _flush(self) -> None:
        while self._is_up and (self._again is not None or self._outbox or self._orders):
            # Looked at before the outbox: whatever is cancelled by now has left before, or leaves now.
            orders = [self._orders.popleft() for _ in range(len(self._orders))]
            if self._again is not None:
                self._send_again(self._again)
            while self._outbox:
                self._send_work()
            for order in orders:
                self._note(order)
                self._socket.send([msg.encode(order)])

    def _send_again(self, tasks: Iterator[Packed]) -> None:
        """To a restarted interchange: what must last, and what is unfinished."""
        for order in self._lasting:
            self._socket.send([msg.encode(order)])
        while packed := list(itertools.islice(tasks, _MOST_TASKS)):
            functions, parcels = self._apart(packed)
            heads, attached = msg.flatten(parcels)
            self._socket.send([msg.encode(msg.Again(functions, heads)), *attached])
        self._again = None

    def _note(self, order: Order) -> None:
        if isinstance(order, msg.Drain):
            self._lasting.append(order)
        elif isinstance(order, msg.BlockGone):
            self._lasting = [o for o in self._lasting if o.block != order.block]

    def _send_work(self) -> None:
        with self._leaving:
            leaving = [self._outbox.popleft() for _ in range(min(len(self._outbox), _MOST_TASKS))]
        if leaving:
            functions, parcels = self._apart(leaving)
            heads, attached = msg.flatten(parcels)
            self._socket.send([msg.encode(msg.Work(functions, heads)), *attached])

    def _apart(self, packed: Iterable[Packed]) -> tuple[list[msg.Function], list[msg.TaskParcel]]:
        """The functions that the interchange has not seen, and the tasks."""
        functions, parcels = [], []
        for function, parcel in packed:
            if function.id not in self._sent:
                self._sent.add(function.id)  # type: ignore[arg-type]  # plain bytes on the wire
                functions.append(function)
            parcels.append(parcel)
        return functions, parcels
