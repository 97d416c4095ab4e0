"""Callbacks of futures: cnflow's own run where a future is settled, the user's in threads of their own.

::

    a thread that reports outcomes, or runs tasks
          │ future is settled
          ├── own callbacks: parts of results, joins, tasks that wait. Quick; called at once
          └── the user's ──> queue ──> leader: one thread calls one after the other
                                          │ busy with one for longer than 50 ms
                                          v
                                       the next thread leads; the first one ends its callback and waits

A callback may wait for another task, or never return: called where its future is settled, it would stop the executor,
and the task that it waits for. A future without a callback pays nothing, and most have none. In the user's own threads,
such as in a call whose result was cached, callbacks are called at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.backpressure import is_driver_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

logger = logging.getLogger(__name__)

LONG = 0.05
"""Seconds after which a callback does not hold up the next one."""

_IDLE = 10.0
"""Seconds without a callback after which a thread ends."""

_DONE = frozenset({"CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED"})


class CallbackThreads:
    """Calls the user's functions one after the other; in several threads while some take long. Safe from any thread.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str = "cnflow-callbacks") -> None:
        self._name = name
        self.on_called: Callable[[], object] | None = None
        """Called after each call; for the limit of unfinished tasks, whose results callbacks hold."""

        lock = threading.Lock()
        self._changed, self._ended = threading.Condition(lock), threading.Condition(lock)
        self._queue: deque[Callable[[], object]] = deque()
        self._busy: set[int] = set()
        """Threads that are inside a call."""

        self._leader = 0
        self._began = 0.0
        """Time at which the leader began its call."""

        self._idle = 0
        self._is_starting = self._is_watched = self._is_closed = False
        """A new thread is about to look at the queue; one waits for the leader to take too long; idle ones end."""

    def run(self, work: Callable[[], object]) -> None:
        """Call *work* once those before it were called, or take long."""
        with self._changed:
            self._queue.append(work)
            if self._has_next_thread() or self._leader:
                return
            left, self._queue = self._queue, deque()
        for each in left:  # no thread is to be had: a limit, or the end of the interpreter
            each()

    def _has_next_thread(self) -> bool:
        """Have a thread look at the queue, which is not empty; return False if there is none. Under the lock."""
        if self._is_starting or (self._leader and self._is_watched):
            return True
        if self._idle:
            self._changed.notify()
            return True
        self._is_starting = True
        try:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        except RuntimeError as error:
            self._is_starting = False
            logger.warning("no thread can be started for callbacks: %s", error)
        return self._is_starting

    def __len__(self) -> int:
        """Number of calls that have not returned."""
        return len(self._queue) + len(self._busy)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until every call has returned, but for one of this thread; return False if there was none.

        Args:
            timeout: seconds after which this returns nevertheless.
        """
        with self._ended:
            had_work = self.number_of_others() > 0
            self._ended.wait_for(lambda: not self.number_of_others(), timeout)
        return had_work

    def number_of_others(self) -> int:
        """Number of calls that have not returned, but for one of this thread."""
        return len(self._queue) + len(self._busy - {threading.get_ident()})

    def close(self) -> None:
        """End the threads that have no work."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _serve(self) -> None:
        own = threading.get_ident()
        with self._changed:
            self._is_starting = False
            while self._queue or not self._has_ended(own):
                if not self._queue:
                    continue  # another thread was quicker
                if self._leader in {0, own}:
                    self._leader = own
                    self._call(own)
                elif (left := self._began + LONG - time.monotonic()) <= 0:
                    self._leader = own
                else:
                    self._is_watched = True
                    self._changed.wait(left)
                    self._is_watched = False

    def _has_ended(self, own: int) -> bool:
        """Wait for work; return True if there was none for long."""
        if self._leader == own:
            self._leader = 0
        self._ended.notify_all()
        self._idle += 1
        is_woken = not self._is_closed and self._changed.wait(_IDLE)
        self._idle -= 1
        return not is_woken or self._is_closed

    def _call(self, own: int) -> None:
        work = self._queue.popleft()
        self._began = time.monotonic()
        self._busy.add(own)
        if self._queue:
            self._has_next_thread()
        self._changed.release()
        try:
            work()
        except BaseException:
            logger.exception("a callback raised")
        finally:
            del work  # and with it the future
            self._changed.acquire()
            self._busy.discard(own)
            if self.on_called is not None:
                self.on_called()


class CallbacksApart:
    """Mixin of futures: tells cnflow's own callbacks from the user's. Comes before `concurrent.futures.Future`."""

    _own_callbacks: Any = ()
    _condition: Any
    _state: str
    _done_callbacks: Any

    def _callback_threads(self) -> CallbackThreads | None:
        """Threads for the user's callbacks; None calls them at once."""
        raise NotImplementedError

    def _add_own_callback(self, function: Callable[[Any], object]) -> None:
        """Call *function*, which is quick and does not raise, when this future is done; at once if it is."""
        with self._condition:
            if self._state not in _DONE:
                if not self._own_callbacks:
                    self._own_callbacks = []
                self._own_callbacks.append(function)
                return
        function(self)

    def _invoke_callbacks(self) -> None:
        if not self._done_callbacks and not self._own_callbacks:
            return  # nearly always
        for function in self._own_callbacks:
            function(self)
        if not self._done_callbacks:
            return
        threads = self._callback_threads()
        if threads is None or not is_driver_thread():
            super()._invoke_callbacks()  # type: ignore[misc]
        else:
            threads.run(self._call_users_callbacks)

    def _call_users_callbacks(self) -> None:
        for callback in self._done_callbacks:
            try:
                callback(self)
            except BaseException:
                logger.exception("a callback of %r raised", self)


def on_done(future: Future[Any], function: Callable[[Any], object]) -> None:
    """Call *function*, one of cnflow's own, when *future* is done; at once if it is."""
    if isinstance(future, CallbacksApart):
        future._add_own_callback(function)  # noqa: SLF001 - a public name would hide a result's
    else:
        future.add_done_callback(function)
