"""Stops one task among those that run in threads of one process: at its walltime, or when it is cancelled.

Life of a `Run`, and the effect of `stop` in each of its states::

    made ──> Python code runs ──hold──> cnflow's own code ──release──> Python code ──> close
                 │                          │                              │
             Stopped is raised          Stopped is raised              Stopped is raised
             before the next bytecode   by `release` or `wait`         at the next bytecode
                                            │
                                        wait(process): SIGTERM to its group, SIGKILL after a grace

C code is not interrupted: it has to return to Python first.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import signal
import threading
import time
from typing import TYPE_CHECKING

from cnflow.tasks.stopping import TERM_GRACE, signal_group

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

_LONGEST_WAIT = 3600.0
_COMPACT_FROM = 1000


class Stopped(BaseException):
    """Raised in a task's thread; no `Exception`, so that few handlers catch it. The reason is in its `Run`."""


class Alarm:
    """An action and its moment; made by `Timer.after`."""

    __slots__ = ("action", "order", "when")

    def __init__(self, when: float, order: int, action: Callable[[], None]) -> None:
        self.when = when
        self.order = order
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: Alarm) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class Timer:
    """Runs actions later, in one thread that is started on first use.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._alarms: list[Alarm] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._forgotten = 0
        self._closed = False

    def after(self, seconds: float, action: Callable[[], None]) -> Alarm:
        """Call *action* once, *seconds* from now; it must return soon and never raise."""
        with self._changed:
            alarm = Alarm(time.monotonic() + seconds, next(self._order), action)
            heapq.heappush(self._alarms, alarm)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            elif self._alarms[0] is alarm:
                self._changed.notify()
        return alarm

    def forget(self, alarm: Alarm) -> None:
        """Drop *alarm*; an action that runs already is not interrupted."""
        with self._changed:
            alarm.action = None
            self._forgotten += 1
            if self._forgotten > max(_COMPACT_FROM, len(self._alarms) // 2):
                self._alarms = [each for each in self._alarms if each.action is not None]
                heapq.heapify(self._alarms)
                self._forgotten = 0

    def close(self) -> None:
        """End the thread; actions that are still to come are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                wait = self._alarms[0].when - time.monotonic() if self._alarms else _LONGEST_WAIT
                if wait > 0:
                    self._changed.wait(min(wait, _LONGEST_WAIT))
                    continue
                action = heapq.heappop(self._alarms).action
            if action is not None:
                action()


class Run:
    """One task in the thread that makes this; a `cnflow.tasks.stopping.Control`. Stopped once at most.

    Args:
        timer: calls the kill of a command after its grace.
    """

    __slots__ = ("_closed", "_held", "_lock", "_process", "_sent", "_thread", "_timer", "_wake", "reason", "since")

    def __init__(self, timer: Timer) -> None:
        self.reason: BaseException | None = None
        """Error of the task, once it was stopped."""

        self.since = time.monotonic()
        self._timer = timer
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._held = self._sent = self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._wake: Callable[[], None] | None = None

    def set_wake(self, wake: Callable[[], None] | None) -> None:
        """Have *wake* called when Stopped was sent, so that an event loop does not go on waiting; None ends that."""
        with self._lock:
            self._wake = wake

    def stop(self, reason: BaseException) -> None:
        """Stop the task, from any thread; does nothing if it has ended or is being stopped."""
        with self._lock:
            if self._closed or self.reason is not None:
                return
            self.reason = reason
            if self._process is not None:
                signal_group(self._process.pid, signal.SIGTERM)
                self._timer.after(TERM_GRACE, self._kill)
            elif not self._held:
                self._sent = True
                _raise_in(self._thread, Stopped)
                if self._wake is not None:
                    self._wake()

    def hold(self) -> None:
        """See `Control.hold`; raises Stopped if that was sent before."""
        with self._lock:
            self._held = True
        if self._sent:  # also where the task has caught it
            _raise_in(self._thread, None)
            raise Stopped

    def release(self) -> None:
        """The reverse of `hold`; raises Stopped if `stop` was called since."""
        with self._lock:
            self._held = False
            came = self.reason is not None and not self._sent
            self._sent = self._sent or came
        if came:
            raise Stopped

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """See `Control.wait`."""
        with self._lock:
            came = self.reason is not None
            self._process = None if came else process
        if came:
            raise Stopped
        code = process.wait()
        with self._lock:
            self._process = None
        if self.reason is not None:
            raise Stopped
        return code

    def close(self) -> None:
        """End the run: nothing is raised in this thread from now on."""
        with self._lock:
            self._closed = True
            self._process = None
        if self._sent:
            _raise_in(self._thread, None)  # takes back an exception that has not been raised

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None:
                signal_group(self._process.pid, signal.SIGKILL)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise *error* in *thread* soon; None takes back an exception that has not been raised yet."""
    # https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc
    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
