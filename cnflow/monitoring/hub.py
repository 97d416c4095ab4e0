"""Carries events from the threads of the driver to the sinks.

::

    emit(event), any thread ──> queue ──once a PERIOD──> the hub's thread ──pack──> write to each sink, BATCH by BATCH
                                  └─LIMIT reached: samples are dropped, counted, and reported as `DroppedEvents` with
                                    the next batch; events of any other kind are never dropped

    start ──> running ──close──> what is queued is written, sinks are closed, the thread ends

The thread that emits appends to a queue and goes on. A sink that raises, or is slow, loses events of its own and no
task. The thread is not woken by events: each wake would stop a thread that submits or settles tasks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from cnflow.model.event_batches import pack, singles
from cnflow.model.events import DroppedEvents, samples_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.interfaces.sink import Sink
    from cnflow.model.events import AnyEvent, TaskRow

logger = logging.getLogger(__name__)

PERIOD = 0.25
"""Longest time in seconds that an event waits for its batch."""

CLOSE_TIMEOUT = 10.0
"""Seconds that the end of a run waits for its sinks, where none has a longer `close_timeout`."""

BATCH = 1_000
"""Events in one call of a sink, at most."""

LARGEST = 20_000
"""Queued events that are packed together."""

LIMIT = 100_000
"""Events that wait before samples are dropped. At about 300 bytes each, 30 MB."""


class EventHub:
    """Queue and thread; see the module.

    Args:
        sinks: that get every event; at least one.
        limit: of events that wait; beyond it samples are dropped.
    """

    def __init__(self, sinks: Sequence[Sink], limit: int = LIMIT) -> None:
        self._sinks = [(sink, getattr(sink, "takes_batches", False)) for sink in sinks]
        self._limit = limit
        self._queue: deque[AnyEvent | TaskRow] = deque()
        self.add_row: Callable[[TaskRow], None] = self._queue.append
        """Queues the row of a task. Not a method, since it is called for each task: that would take twice as long."""

        self._dropped = 0
        self._is_due = threading.Event()
        self._is_closing = False
        self.last_event: Callable[[], AnyEvent] | None = None
        """Called once, when the hub is closed: makes the last event of the run."""

        self._thread = threading.Thread(target=self._run, name="cnflow-events", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def emit(self, event: AnyEvent) -> None:
        """Queue *event*, or drop and count a sample; see `cnflow.interfaces.sink.Emit`."""
        queue = self._queue
        if len(queue) >= self._limit:
            if samples := samples_in(event):
                self._dropped += samples
                return
            if len(queue) == self._limit:
                logger.warning("%d events wait for the sinks of the run; samples are dropped now", self._limit)
        queue.append(event)

    def close(self) -> None:
        """Write what is queued and close the sinks; what is emitted later is lost. Can be called twice.

        A sink that hangs holds the end of the run up for `CLOSE_TIMEOUT` at the most, or for its own `close_timeout`,
        and is named in the log.
        """
        make_last, self.last_event = self.last_event, None
        if make_last is not None:
            self.emit(make_last())
        self._is_closing = True
        self._is_due.set()
        if self._thread.ident is None:
            self._run()  # never started: the run has failed before
        elif self._thread.is_alive() and self._thread is not threading.current_thread():
            timeout = max([CLOSE_TIMEOUT, *(getattr(sink, "close_timeout", 0.0) for sink, _ in self._sinks)])
            self._thread.join(timeout)
            if self._thread.is_alive():
                names = ", ".join(type(sink).__name__ for sink, _ in self._sinks)
                logger.warning(
                    "a sink (%s) did not finish within %.0f s of the end of the run; the events that it was not given "
                    "are lost: %d",
                    names,
                    timeout,
                    len(self._queue),
                )

    def _run(self) -> None:
        while not self._is_closing:
            self._is_due.wait(PERIOD)
            self._is_due.clear()
            self._write_all()
        self._write_all()
        for sink, _ in self._sinks:
            try:
                sink.close()
            except BaseException:
                logger.exception("%s cannot be closed", type(sink).__name__)

    def _write_all(self) -> None:
        try:
            self._write_queued()
        except Exception:
            logger.exception("events are lost that cannot be packed")

    def _write_queued(self) -> None:
        while True:
            queue = self._queue
            queued = [queue.popleft() for _ in range(min(len(queue), LARGEST))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                queued.append(DroppedEvents(time=time.time(), count=dropped, source="driver"))
            if not queued:
                return
            events = pack(queued)
            for sink, takes_batches in self._sinks:
                self._write(sink, events if takes_batches else [one for each in events for one in singles(each)])

    def _write(self, sink: Sink, events: Sequence[AnyEvent]) -> None:
        for first in range(0, len(events), BATCH):
            batch = events[first : first + BATCH]
            try:
                sink.write(batch)
            except BaseException:
                logger.exception("%s lost %d events", type(sink).__name__, len(batch))
