"""Sender of all that waits for the interchange: tasks, orders, and pieces of large arguments.

A message has one of two ways to an interchange that is up::

    send(task) ──> TaskQueue ──┬── few tasks under way: the submitting thread writes to the socket itself
    order(..) ───> orders ─────┴── else the client's thread wakes, and writes all tasks, then the orders

A restarted interchange first gets the orders that still hold, then every unfinished task, then anything new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.wire import messages as msg

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

    from cnflow.executors.high_throughput.bulk_line import BulkLine
    from cnflow.executors.high_throughput.interchange_connection import InterchangeConnection
    from cnflow.executors.high_throughput.orders import Orders
    from cnflow.executors.high_throughput.task_queue import SerializedTask, TaskQueue


class InterchangeSender:
    """Writes to *connection*; `try_to_send_now` is safe from any thread, everything else is for the client's.

    Args:
        connection: with the interchange.
        queue: tasks on their way to it.
        orders: the same for orders.
        bulk: pieces of blobs, which leave when nothing else waits.
        write_lock: held by the thread that takes tasks out of the queue or writes to the connection.
    """

    def __init__(
        self,
        connection: InterchangeConnection,
        queue: TaskQueue,
        orders: Orders,
        bulk: BulkLine,
        write_lock: threading.Lock,
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._orders = orders
        self._bulk = bulk
        self._write_lock = write_lock
        self._unfinished: Callable[[], Iterator[SerializedTask]] | None = None
        """Tasks that a restarted interchange has yet to be sent, before anything else."""
        self.is_up = False
        """Messages pass; an interchange that has sent none cannot be written to."""

    def on_new_interchange(self, unfinished: Callable[[], Iterator[SerializedTask]] | None) -> None:
        """Serve a new interchange, which has no functions; a successor gets the *unfinished* tasks first."""
        with self._write_lock:
            self._queue.on_new_interchange()
            self._unfinished = unfinished

    def on_down(self) -> None:
        """Keep what waits until another interchange is up."""
        with self._write_lock:
            self.is_up = False

    def try_to_send_now(self) -> bool:
        """Write all queued tasks; False if some are left, for the client's thread."""
        with self._write_lock:
            connection = self._connection
            if not self.is_up or self._unfinished or connection.has_unsent or connection.is_full:
                return False
            connection.send(self._queue.next_message())
            return not self._queue and not connection.has_unsent

    def flush(self) -> None:
        """Send what waits: tasks and orders first, then pieces of blobs, as long as the line has room."""
        self._flush_control()
        while self._can_send and not self._connection.has_unsent and (frames := self._bulk.next_message()):
            with self._write_lock:
                self._connection.send_unnumbered(frames)
            if self._queue or self._orders:
                self._flush_control()

    def send(self, frames: list[Any]) -> None:
        """Send one message before all that waits."""
        with self._write_lock:
            self._connection.send(frames)

    def _flush_control(self) -> None:
        connection = self._connection
        # Nothing for an interchange whose end was read but whose death is yet to be seen: its successor gets it.
        while (self._queue or self._orders or self._unfinished) and self._can_send:
            # Taken before the tasks: a task that is cancelled by now has left before its cancellation, or leaves now.
            standing, orders = self._orders.standing(), self._orders.take()
            if self._unfinished:
                self._resend(standing, self._unfinished())
            while self._queue and not connection.is_full:
                with self._write_lock:
                    connection.send(self._queue.next_message())
            for order in orders:
                self.send([msg.encode(order)])
        if self.is_up and connection.has_unsent:
            with self._write_lock:
                connection.flush()

    @property
    def _can_send(self) -> bool:
        """Messages pass, and not too much is on its way: a message that waits here takes no memory twice."""
        return self.is_up and self._connection.is_open and not self._connection.is_full

    def _resend(self, standing: Iterable[msg.Order], unfinished: Iterator[SerializedTask]) -> None:
        """Send a restarted interchange the *standing* orders and the *unfinished* tasks."""
        for order in standing:
            self.send([msg.encode(order)])
        for frames in self._queue.recovery_messages(unfinished):
            self.send(frames)
        self._unfinished = None
