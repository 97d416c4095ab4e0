"""Client of the interchange: its process, the socket to it, and the one thread that serves both.

Life of the interchange, as the client sees it::

    start() ──> launched ──first message──> up ──stop()──> Stop sent ──> ended
                   ^ │                       │
                   │ └── dies before it was ever up ──> on_interchange_lost()
                   │                         │
                   └── again, same port ── dies         at most 5 times a minute, then on_interchange_lost()

A message has one of two ways to an interchange that is up::

    send(task) ──> TaskQueue ──┬── few tasks under way: the submitting thread writes to the socket itself
    order(..) ───> orders ─────┴── else the client's thread wakes, and writes all tasks, then the orders

A restarted interchange first gets the orders that still hold (drains, blocks that are gone, managers on hold), then
every unfinished task, then anything new.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shutil
import threading
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from cnflow.executors.high_throughput.interchange_process import InterchangeProcess, RestartLimit, make_socket_folder
from cnflow.executors.high_throughput.orders import Orders
from cnflow.wire import messages as msg
from cnflow.wire import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from cnflow.clock import Clock
    from cnflow.executors.high_throughput.task_queue import SerializedTask, TaskQueue
    from cnflow.ids import TaskId
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.wire.manager_messages import StatusQuery, StatusReport, TaskQuery, TaskReport

    OwnersMessage = (
        msg.ManagerUp | msg.ManagerDown | msg.Drained | msg.IdleTimes | msg.Results | StatusReport | TaskReport
    )

logger = logging.getLogger(__name__)


class InterchangeEvents(Protocol):
    """Owner of a client, which calls it from its thread."""

    def on_message(self, message: OwnersMessage, attached: list[Any]) -> None:
        """Handle a message and its attached frames."""

    def on_interchange_lost(self, how: str) -> None:
        """Handle the end of an interchange that was not stopped and is not started again."""

    def unfinished(self) -> Iterator[SerializedTask]:
        """Drop the queued tasks, and give every task that is not reported, for an interchange that was restarted."""


class InterchangeClient:
    """Starts an interchange process, restarts it when it dies, and carries messages.

    Args:
        label: of the executor; names the thread.
        log_file: log of the interchange.
        queue: tasks on their way to the interchange; used by this client only.
        clock: limits the restarts.
    """

    def __init__(self, label: str, log_file: Path, queue: TaskQueue, clock: Clock) -> None:
        self._log_file = log_file
        self._queue = queue
        self._clock = clock
        self._write_lock = threading.Lock()
        """Held by the thread that takes tasks out of the queue or writes to the socket."""

        self._orders = Orders()
        self._must_resend = False
        """A restarted interchange has yet to be sent the unfinished tasks, before anything else."""

        self._wake_read, self._wake_write = os.pipe()
        self._is_asleep = False
        self._is_stopping = False
        self._is_up = False
        """The interchange has sent a message and lives; no other can be written to."""

        self._start_lock = threading.Lock()
        """Held while the process starts, and while `stop` begins."""

        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{label}-interchange", daemon=True)
        self.folder = ""
        """Private folder for socket files; set by `start`."""

        self.port = 0
        """TCP port for managers; 0 until it is known, and where there is none."""

        self.is_lost = False
        """The interchange died and is not started again."""

        self._is_bound = threading.Event()
        """Managers can connect; also set where they never will, so that nothing waits for that."""

        self._process: InterchangeProcess | None = None
        self._restarts = RestartLimit()

    def start(self, make_settings: Callable[[str, int], InterchangeSettings], events: InterchangeEvents) -> None:
        """Start process and thread, unless the client is stopped.

        Args:
            make_settings: called with a private folder for socket files and the port of the interchange before, which
                is 0 at first; called again for each restart.
            events: called from the client's thread.

        Raises:
            OSError: the process cannot be started.
        """
        with self._start_lock:
            if not self._is_stopping:
                # Not the run's folder: the path of a socket file may have 107 bytes at most (unix(7)).
                self.folder = make_socket_folder()
                self._make_settings = make_settings
                self._events = events
                self._launch()
                self._thread.start()

    def _launch(self) -> None:
        """Start an interchange with a new socket: the old one holds what its predecessor did not read."""
        settings = self._make_settings(self.folder, self.port)
        ours, theirs = stream.stream_pair()
        settings = msgspec.structs.replace(settings, driver=theirs.fileno(), is_restart=bool(self._restarts.count))
        with theirs:
            self._process = InterchangeProcess(settings, self._log_file)
        self._socket = ours
        self._poller = select.poll()
        for source in (ours.raw.fileno(), self._wake_read, self._process.death):
            self._poller.register(source, select.POLLIN)

    @property
    def thread(self) -> threading.Thread:
        """Thread that serves process and socket, and calls back; it must not wait for its own end."""
        return self._thread

    def wait_until_bound(self, seconds: float) -> bool:
        """Wait until managers can connect, the interchange is lost, or the client is stopped; False if too long."""
        return self._is_bound.wait(seconds)

    def send(self, task: SerializedTask, *, at_once: bool = False) -> None:
        """Queue a task; also before `start`. Safe from any thread.

        *at_once* spares the task the way through the client's thread while that sleeps; it costs a message of its own.
        """
        self._queue.put(task)
        if self._is_asleep and not (at_once and self._try_to_send_now()):
            self._wake_if_asleep()

    def clear(self) -> None:
        """Drop the tasks that have not left the driver."""
        with self._write_lock:
            self._queue.clear()

    def cancel(self, attempts: Mapping[TaskId, int]) -> list[TaskId]:
        """Remove those tasks that have not left and return them; order the interchange to stop the other *attempts*.

        Safe from any thread.
        """
        with self._write_lock:
            removed = set(self._queue.remove(attempts))
        others = {task: attempt for task, attempt in attempts.items() if task not in removed}
        if others:
            self.order(msg.Cancel(others))
        return [*removed]

    def order(self, order: msg.Order) -> None:
        """Queue an order; it leaves after all tasks that were queued before it. Safe from any thread."""
        self._orders.put(order)
        self._wake_if_asleep()

    def ask(self, question: StatusQuery | TaskQuery) -> bool:
        """Queue a question; False if there is no interchange to answer it. Safe from any thread."""
        if self._is_stopping or not self._is_bound.is_set():
            return False
        self.order(question)
        return True

    def stop(self) -> None:
        """Order the interchange to stop its managers and end; wait for that. Can be called twice."""
        with self._start_lock:
            if self._is_stopping:
                return
            self._is_stopping = True
        self._is_bound.set()
        if self._process is not None:
            self._wake()
            if self._thread is not threading.current_thread():
                self._thread.join()
            self._process.stop()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _wake_if_asleep(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # stopped, and closed, in this moment
            os.write(self._wake_write, b"x")

    def _try_to_send_now(self) -> bool:
        """Write all queued tasks; False if some are left, for the client's thread."""
        with self._write_lock:
            if not self._is_up or self._must_resend or self._socket.has_unsent:
                return False
            self._socket.send(self._queue.next_message())
            return not self._queue and not self._socket.has_unsent

    # The client's thread

    def _serve(self) -> None:
        try:
            self._run()
        except BaseException as error:  # a silent end would leave every task waiting
            logger.exception("the client of the interchange failed")
            self._on_lost(f"its client failed: {type(error).__name__}: {error}")
        finally:
            with self._write_lock:
                self._is_up = False
                self._socket.close()

    def _run(self) -> None:
        assert self._process is not None
        while not self._is_stopping:
            self._is_asleep = True
            self._flush()
            ready = dict(self._poller.poll())
            self._is_asleep = False
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if ready.get(self._socket.raw.fileno(), 0) & ~select.POLLOUT:
                self._read()
            if self._process.death in ready:
                self._on_death(self._process)
        if self._is_up:
            self._send([msg.encode(msg.Stop())])

    def _read(self) -> None:
        for head, *attached in self._socket.receive():
            self._is_up = True
            message = msg.decode_to_driver(head)
            if isinstance(message, msg.Bound):
                self.port = message.port
                self._is_bound.set()
            else:
                self._events.on_message(message, attached)
        if self._socket.is_closed:  # the process's end is an event of its own
            self._poller.unregister(self._socket.raw.fileno())

    def _on_death(self, process: InterchangeProcess) -> None:
        """Start another interchange, or give up."""
        self._poller.unregister(process.death)
        how = process.reap()
        if not self._socket.is_closed:
            self._read()  # its last messages; all of them are there
        with self._write_lock:
            was_up, self._is_up = self._is_up, False
            self._queue.on_new_interchange()
        if self._is_stopping:
            return
        logger.error("the interchange %s; see %s", how, self._log_file)
        is_first_start = not was_up and not self._restarts.count  # the cause would stop the next one, too
        if is_first_start or not self._restarts.allow(self._clock.now()):
            again = f", after {self._restarts.count} restarts" if self._restarts.count else ""
            self._on_lost(f"it {how}{again}; see {self._log_file}")
            return
        self._socket.close()
        self._must_resend = True
        self._launch()
        logger.warning("the interchange is restarted; its managers keep their tasks")

    def _on_lost(self, how: str) -> None:
        self.is_lost = True  # before the event: a thread that starts blocks looks here after it
        self._events.on_interchange_lost(how)
        self._is_bound.set()

    def _flush(self) -> None:
        # Nothing for an interchange whose end was read but whose death is yet to be seen: its successor gets it.
        while self._is_up and not self._socket.is_closed and (self._must_resend or self._queue or self._orders):
            # Taken before the tasks: a task that is cancelled by now has left before its cancellation, or leaves now.
            standing, orders = self._orders.standing(), self._orders.take()
            if self._must_resend:
                self._resend(standing)
            while self._queue:
                with self._write_lock:
                    self._socket.send(self._queue.next_message())
            for order in orders:
                self._send([msg.encode(order)])
        if self._is_up and not self._socket.is_closed:
            with self._write_lock:
                self._socket.flush()
            events = select.POLLIN | select.POLLOUT if self._socket.has_unsent else select.POLLIN
            self._poller.modify(self._socket.raw.fileno(), events)

    def _resend(self, standing: Iterable[msg.Order]) -> None:
        """Send a restarted interchange the *standing* orders and the unfinished tasks."""
        for order in standing:
            self._send([msg.encode(order)])
        for frames in self._queue.recovery_messages(self._events.unfinished()):
            self._send(frames)
        self._must_resend = False

    def _send(self, frames: list[Any]) -> None:
        with self._write_lock:
            self._socket.send(frames)
