"""Client of the interchange: the one thread that serves its connection.

`interchange_life` decides what becomes of it, `interchange_host` starts it, `interchange_connection` has the stream,
`interchange_sender` what waits to be written to it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import threading
from typing import TYPE_CHECKING

import msgspec

from cnflow.executors.high_throughput.bulk_line import BulkLine
from cnflow.executors.high_throughput.interchange_connection import InterchangeConnection
from cnflow.executors.high_throughput.interchange_life import Order
from cnflow.executors.high_throughput.interchange_outage import Outage
from cnflow.executors.high_throughput.interchange_process import STOP_TIMEOUT, make_socket_folder
from cnflow.executors.high_throughput.interchange_sender import InterchangeSender
from cnflow.executors.high_throughput.orders import Orders
from cnflow.executors.high_throughput.wake_pipe import WakePipe
from cnflow.wire import messages as msg

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.clock import Clock
    from cnflow.executors.high_throughput.interchange_events import InterchangeEvents
    from cnflow.executors.high_throughput.interchange_host import InterchangeHost
    from cnflow.executors.high_throughput.interchange_life import InterchangeLife
    from cnflow.executors.high_throughput.task_queue import SerializedTask, TaskQueue
    from cnflow.ids import TaskId
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds
    from cnflow.wire.manager_messages import StatusQuery, TaskQuery

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_ELSEWHERE = 15.0
"""Seconds that the end of a run may take to reach an interchange elsewhere."""

_STOP_ATTEMPTS = 3
"""Connections that are made for that, at the most."""


class InterchangeClient:
    """Has an interchange started, and started again when it dies or freezes, and carries messages.

    Args:
        label: of the executor; names the thread.
        host: starts it.
        life: decides when.
        queue: tasks on their way to the interchange; used by this client only.
        clock: moments of all events.

    Attributes:
        bulk: large arguments and results, which travel in pieces between the other messages.
        host: starts the interchange.
        outage: of the connection with one elsewhere.
    """

    def __init__(
        self, label: str, host: InterchangeHost, life: InterchangeLife, queue: TaskQueue, clock: Clock
    ) -> None:
        self.host = host
        self._life = life
        self._queue = queue
        self._clock = clock
        self._write_lock = threading.Lock()
        """Held by the thread that takes tasks out of the queue or writes to the socket."""
        self._orders = Orders()
        self.bulk = BulkLine(self.order, clock.now, self._wake_if_asleep, label)
        self._pipe = WakePipe()
        self._connection = InterchangeConnection(host, self._pipe.descriptor, self._write_lock)
        self._sender = InterchangeSender(self._connection, queue, self._orders, self.bulk, self._write_lock)
        self._how = ""
        """End of the process before."""
        self.outage = Outage(host, clock.now)
        self._is_asleep = False
        self._is_stopping = False
        self._start_lock = threading.Lock()
        """Held while the process starts, and while `stop` begins."""
        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{label}-interchange", daemon=True)
        self.folder = ""
        """Private folder for socket files; set by `start`."""

        self.port = 0
        """TCP port for managers; 0 until it is known, and where there is none."""

        self.is_lost = False
        """The interchange died and is not started again."""
        self.leaves_managers = False  # True: `stop` leaves the managers to another interchange

        self._is_bound = threading.Event()
        """Managers can connect; also set where they never will, so that nothing waits for that."""

    def prepare(self) -> None:
        """Start a process that imports its modules already, unless the client is stopped; `start` is to follow."""
        with self._start_lock, contextlib.suppress(OSError):  # then `start` tries, and reports it
            if not self._is_stopping:
                self.host.prepare()

    def start(
        self,
        make_settings: Callable[[str, int], InterchangeSettings],
        events: InterchangeEvents,
        place: tuple[str, int] | None = None,
    ) -> None:
        """Start process and thread, unless the client is stopped.

        Args:
            make_settings: called with a private folder for socket files and the port of the interchange before, which
                is 0 at first; called again for each restart.
            events: called from the client's thread.
            place: folder and port of the interchange of another driver, which this one follows.

        Raises:
            OSError: the process cannot be started.
        """
        with self._start_lock:
            if not self._is_stopping:
                # Not the run's folder: the path of a socket file may have 107 bytes at most (unix(7)).
                self.folder, self.port = place or (make_socket_folder(), 0)
                self._make_settings, self._events = make_settings, events
                self._launch(Order.START)
                self._thread.start()

    def _launch(self, order: Order) -> None:
        """Start an interchange with a new session, or make the connection with the present one again."""
        if order is Order.ATTACH:
            self._connection.attach()
        else:
            settings = self._make_settings(self.folder, self.port)
            restarts = self._life.restarts
            again = settings.is_restart or restarts > 0
            self._connection.start(msgspec.structs.replace(settings, is_restart=again, restarts=restarts))
            self._is_local = not self.host.grace and settings.manager_endpoint.startswith("ipc://")
            self._sender.on_new_interchange(self._events.unfinished if restarts > 0 else None)
        self.bulk.on_new_line(is_local=self._is_local)
        self._life.on_launched(self._clock.now())

    @property
    def thread(self) -> threading.Thread:
        """Thread that serves process and socket, and calls back; it must not wait for its own end."""
        return self._thread

    def wait_until_bound(self, seconds: float) -> bool:
        """Wait until managers can connect, the interchange is lost, or the client is stopped; False if too long."""
        return self._is_bound.wait(seconds)

    def send(self, task: SerializedTask) -> None:
        """Queue a task, and have it sent; also before `start`. Safe from any thread."""
        self._queue.put(task)
        self._wake_if_asleep()

    def put(self, task: SerializedTask) -> None:
        """Queue a task that leaves by the next `push`. Safe from any thread."""
        self._queue.put(task)

    def push(self, *, at_once: bool) -> None:
        """Have the queued tasks sent; also before `start`. Safe from any thread.

        *at_once* spares them the way through the client's thread while that sleeps; it costs a message of their own.
        """
        if self._is_asleep and self._queue and not (at_once and self._sender.try_to_send_now()):
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
        """Queue an order; it leaves after the tasks before it, unless the line is full. Safe from any thread."""
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
        if self._thread.ident is not None:
            self._pipe.wake()
            if self._thread is not threading.current_thread():
                self._thread.join()
        self.host.close()
        self._pipe.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _wake_if_asleep(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._pipe.wake()

    # The client's thread

    def _serve(self) -> None:
        try:
            self._run()
        except BaseException as error:  # a silent end would leave every task waiting
            logger.exception("the client of the interchange failed")
            self._on_lost(f"its client failed: {type(error).__name__}: {error}")
        finally:
            self._sender.on_down()
            self._connection.close()

    def _run(self) -> None:
        connection, life = self._connection, self._life
        while not self._is_stopping:
            self._is_asleep = True
            self._sender.flush()
            wait = min(life.due, self.bulk.next_deadline) - self._clock.now()
            ready = connection.poll(None if wait == math.inf else max(0.0, wait))
            self._is_asleep = False
            self._handle(ready)
            now = self._clock.now()
            if now >= self.bulk.next_deadline:
                self.bulk.on_tick()
            if now >= life.due:
                self._perform(life.on_tick(now), now)
            elif not ready:
                connection.acknowledge()
        if not self.leaves_managers:
            self._finish()

    def _handle(self, ready: dict[int, int]) -> None:
        if self._pipe.descriptor in ready:
            self._pipe.clear()
        if self._connection.has_news(ready):
            self._read()
        if self._connection.has_ended(ready):
            self._on_ended()

    def _read(self) -> None:
        connection, life = self._connection, self._life
        was_greeted = connection.is_greeted
        for head, *attached in connection.receive():
            message = msg.decode_to_driver(head)
            if isinstance(message, msg.Bound):
                self.port = message.port
                self._is_bound.set()
            elif not isinstance(message, msg.Heartbeat):
                self._orders.on_message(message)
                self._events.on_message(message, attached)
        if connection.is_greeted and not was_greeted:
            life.on_greeted()
            self.outage.on_connected()
            self.bulk.on_new_line(is_local=self._is_local)
        if connection.has_received():
            life.on_message()
        self._sender.is_up = life.is_up and connection.is_open

    def _on_ended(self) -> None:
        """Let the machine decide what follows the end of the process."""
        self._read()  # its last messages; all of them are there
        connection, life = self._connection, self._life
        self._sender.on_down()
        how = connection.on_ended()
        self._how = self.host.words.gone if connection.is_gone else how
        now = self._clock.now()
        order = None if self._is_stopping else life.on_ended(now, is_gone=connection.is_gone)
        if order is not None:
            self._perform(order, now)
        elif life.is_attaching:
            self.outage.on_lost(self._how, life.due)
        elif not self._is_stopping:
            logger.error("the interchange %s; see %s", self._how, self.host.log_file)

    def _perform(self, order: Order | None, now: Seconds) -> None:
        if order is Order.HEARTBEAT:
            self._connection.heartbeat()
        elif order is Order.KILL:
            logger.error("%s is silent and is killed; see %s", self.host.name, self.host.log_file)
            self._connection.kill()
        elif order is Order.GIVE_UP:
            again = f", after {self._life.restarts} restarts" if self._life.restarts else ""
            self._on_lost(f"it {self._how}{again}; see {self.host.log_file}")
        elif order is not None:
            self._try_to_launch(order, now)

    def _try_to_launch(self, order: Order, now: Seconds) -> None:
        try:
            self._launch(order)
        except OSError as error:  # no process, no descriptor: the cause may pass
            self._how = f"could not be started: {error}"
            logger.exception("%s could not be started", self.host.name)
            self._perform(self._life.on_ended(now, is_gone=order is Order.START), now)
            return
        if order is Order.START:
            logger.warning("%s", self.host.words.restarted)

    def _finish(self) -> None:
        """Order the interchange to end, and wait for that; one elsewhere may have to be connected with again."""
        connection, is_ordered = self._connection, False
        may_live, attempts = self._life.can_attach, _STOP_ATTEMPTS
        deadline = self._clock.now() + (_STOP_TIMEOUT_ELSEWHERE if may_live else STOP_TIMEOUT)
        while (wait := deadline - self._clock.now()) > 0:
            if self._sender.is_up and not is_ordered:
                is_ordered = True
                for order in [*self._orders.take(), msg.Stop()]:
                    self._sender.send([msg.encode(order)])
            may_live = may_live and not connection.is_gone and not (is_ordered and connection.has_delivered)
            if not connection.is_running:
                if not may_live or not attempts:
                    break
                attempts -= 1
                connection.attach()
            with self._write_lock:
                connection.flush()
            self._handle(connection.poll(wait))
        if may_live:
            logger.warning("the interchange elsewhere was not stopped; it ends after %.0f s", self.host.grace)

    def _on_lost(self, how: str) -> None:
        self.is_lost = True  # before the event: a thread that starts blocks looks here after it
        self._events.on_interchange_lost(how)
        self._is_bound.set()
