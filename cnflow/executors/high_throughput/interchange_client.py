"""The driver's line to its interchange: the process, the socket, and the one thread that serves both."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shutil
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.clock import SystemClock
from cnflow.executors.high_throughput.interchange_process import InterchangeProcess, Restarts, folder_for_sockets
from cnflow.executors.high_throughput.task_queue import TaskQueue, Tasks
from cnflow.wire import messages as msg
from cnflow.wire import stream
from cnflow.wire.manager_messages import Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from cnflow.executors.high_throughput.task_queue import Packed
    from cnflow.ids import TaskId
    from cnflow.model.interchange_settings import InterchangeSettings

logger = logging.getLogger(__name__)


class InterchangeClient:
    """Starts an interchange process and carries messages; everything that arrives is handed to *receive* in one thread.

    An interchange that dies is started anew, at the same address; see `cnflow.interchange.recovery`. What was queued,
    here or there, is then had from *tasks*.

    Args:
        label: names the thread.
        log_file: what the interchange logs.
        receive: called with each message and its attached frames.
        lost: called with how the interchange was lost, when that was not asked for and it is not started anew.
        tasks: what the line asks of those who queue them.
    """

    def __init__(
        self,
        label: str,
        log_file: Path,
        receive: Callable[[msg.ToDriver, list[Any]], None],
        lost: Callable[[str], None],
        tasks: Tasks,
    ) -> None:
        self._receive = receive
        self._lost = lost
        self._log_file = log_file
        self._outbox = TaskQueue(tasks)
        self._writing = threading.Lock()
        """Held by whoever takes tasks out of the outbox, or writes to the socket."""

        self._orders: deque[msg.Order] = deque()
        self._is_again = False
        """A restarted interchange is still to be sent what is unfinished, before all else."""

        self._lasting: list[msg.Drain | msg.BlockGone | Hold] = []
        """Orders that a restarted interchange must have, too."""

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

    def start(self, make_settings: Callable[[str], InterchangeSettings]) -> None:
        """Start process and thread, unless stopped already.

        *make_settings* is given a private folder for socket files, and called anew for each restart.

        Raises:
            OSError: the process cannot be started.
        """
        with self._life:
            if not self._stopping:
                # Not the run's folder: the path of a socket file may have 107 bytes at most (unix(7)).
                self.folder = folder_for_sockets()
                self._make_settings = make_settings
                self._launch()
                self._thread.start()

    def _launch(self) -> None:
        """An interchange with a socket of its own: on an old one would be what its predecessor did not read."""
        settings = self._make_settings(self.folder)
        ours, theirs = stream.stream_pair()
        settings = msgspec.structs.replace(settings, driver=theirs.fileno(), is_restart=bool(self._restarts.count))
        with theirs:
            self._process = InterchangeProcess(settings, self._log_file)
        self._socket = ours
        self._poller = select.poll()
        for source in (ours.raw.fileno(), self._wake_read, self._process.death):
            self._poller.register(source, select.POLLIN)

    def send(self, packed: Packed, *, at_once: bool = False) -> None:
        """Queue a task; also before `start`. Safe from any thread.

        *at_once* spares the task the way through the line's thread, while that sleeps; it costs a message of its own.
        """
        self._outbox.put(packed)
        if self._asleep and not (at_once and self._sent_at_once()):
            self._wake_if_asleep()

    def forget(self) -> None:
        """Drop the tasks that have not left."""
        with self._writing:
            self._outbox.clear()

    def cancel(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Take back those of *tasks* that have not left, and return them; ask the interchange to stop the others.

        Safe from any thread.
        """
        with self._writing:
            taken = self._outbox.take_back(tasks)
        others = list(set(tasks).difference(taken))
        if others:
            self.order(msg.Cancel(list(others)))
        return taken

    def order(self, order: msg.Order) -> None:
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

    def _sent_at_once(self) -> bool:
        """Whether all that is queued has left; the line's thread need not wake."""
        with self._writing:
            if not self._is_up or self._is_again or self._socket.has_unsent:
                return False
            self._socket.send(self._outbox.next_message())
            return not self._outbox and not self._socket.has_unsent

    def _serve(self) -> None:
        try:
            self._turn()
        except BaseException as error:  # a silent end would leave everybody waiting
            logger.exception("the line to the interchange broke")
            self._lost(f"the line to it broke: {type(error).__name__}: {error}")
        finally:
            with self._writing:
                self._is_up = False
                self._socket.close()

    def _turn(self) -> None:
        assert self._process is not None
        while not self._stopping:
            self._asleep = True
            self._flush()
            ready = dict(self._poller.poll())
            self._asleep = False
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if ready.get(self._socket.raw.fileno(), 0) & ~select.POLLOUT:
                self._read()
            if self._process.death in ready:
                self._after_death(self._process)
        if self._is_up:
            self._send([msg.encode(msg.Stop())])

    def _read(self) -> None:
        for head, *attached in self._socket.receive():
            self._is_up = True
            self._receive(msg.decode_to_driver(head), attached)
        if self._socket.is_closed:  # its death is heard of apart
            self._poller.unregister(self._socket.raw.fileno())

    def _after_death(self, process: InterchangeProcess) -> None:
        """Start another one, or tell that it is lost."""
        self._poller.unregister(process.death)
        words = process.died()
        if not self._socket.is_closed:
            self._read()  # its last words; all of them are there
        with self._writing:
            was_up, self._is_up = self._is_up, False
            self._outbox.forget_receiver()
        if self._stopping:
            return
        logger.error("the interchange %s; see %s", words, self._log_file)
        is_a_start = not was_up and not self._restarts.count  # what hinders the first hinders the next
        if is_a_start or not self._restarts.may_again(self._clock.now()):
            again = f", after {self._restarts.count} restarts" if self._restarts.count else ""
            self._lost(f"it {words}{again}; see {self._log_file}")
            return
        self._socket.close()
        self._is_again = True
        self._launch()
        logger.warning("the interchange is started anew; its managers keep what they have")

    def _flush(self) -> None:
        # Not to one whose end was read, though its death is not heard of yet: its successor is to have these.
        while self._is_up and not self._socket.is_closed and (self._is_again or self._outbox or self._orders):
            # Looked at before the outbox: whatever is cancelled by now has left before, or leaves now.
            orders = [self._orders.popleft() for _ in range(len(self._orders))]
            if self._is_again:
                self._send_again()
            while self._outbox:
                with self._writing:
                    self._socket.send(self._outbox.next_message())
            for order in orders:
                self._note(order)
                self._send([msg.encode(order)])
        if self._is_up and not self._socket.is_closed:
            with self._writing:
                self._socket.flush()
            events = select.POLLIN | select.POLLOUT if self._socket.has_unsent else select.POLLIN
            self._poller.modify(self._socket.raw.fileno(), events)

    def _send_again(self) -> None:
        """To a restarted interchange: what must last, and what is unfinished."""
        for order in self._lasting:
            self._send([msg.encode(order)])
        for message in self._outbox.messages_again():
            self._send(message)
        self._is_again = False

    def _send(self, frames: list[Any]) -> None:
        with self._writing:
            self._socket.send(frames)

    def _note(self, order: msg.Order) -> None:
        if isinstance(order, msg.BlockGone):
            self._lasting = [o for o in self._lasting if isinstance(o, Hold) or o.block != order.block]
        if isinstance(order, (msg.Drain, msg.BlockGone, Hold)):
            self._lasting.append(order)
