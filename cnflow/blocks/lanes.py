"""Threads for calls of a provider: one for each kind, so that a slow call delays its own kind only.

::

    controller ── submit ──────> submit ──┐                ┌──> Submitted
               ── query ───────> query ───┤                ├──> Listed, Reported
               ── cancel ──────> cancel ──┼──> Provider ───┼──> Cancelled                    ──> inbox
               ── read_log, ───> logs ────┘                └──> LogRead, Watching
                  watch

    close: each thread ends after the call that it is in; the last one to end calls what closes the provider

Calls of one kind never overlap. An error of the seam is part of the event; one that the seam forbids is there, too, as
`ProviderFaultError`. The threads are daemons: a call that hangs for ever does not keep the interpreter.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

Work = Callable[[], None]


class Lane(Protocol):
    """Runs work of one kind, one after the other."""

    def run(self, work: Work) -> None:
        """Queue *work*, which handles its own errors."""

    def end(self, then: Work) -> None:
        """Run nothing more after the work that is queued, and then *then*."""


class ThreadLane:
    """One thread, which starts with the first work.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._then: Work | None = None

    def run(self, work: Work) -> None:
        """See `Lane`; safe from the controller's thread only."""
        if not self._thread.ident:
            self._thread.start()
        self._queue.put(work)

    def end(self, then: Work) -> None:
        """See `Lane`."""
        self._then = then
        if self._thread.ident:
            self._queue.put(None)
        else:
            then()

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
        if self._then is not None:
            self._then()


class Lanes:
    """The four threads of one controller.

    Args:
        make: makes a lane of the given name.
    """

    def __init__(self, make: Callable[[str], Lane]) -> None:
        self.submit, self.query, self.cancel, self.logs = (make(kind) for kind in ("submit", "query", "cancel", "logs"))
        self._lock = threading.Lock()
        self._open = 4

    def close(self, last: Work) -> Future[None]:
        """End all threads, each after its present call; the last one to end calls *last*.

        Returns:
            Done, with the error of *last* if it raised one, once that has been called.
        """
        done: Future[None] = Future()

        def on_end() -> None:
            with self._lock:
                self._open -= 1
                if self._open:
                    return
            try:
                last()
            except BaseException as error:  # noqa: BLE001 - handed to who waits
                done.set_exception(error)
            else:
                done.set_result(None)

        for lane in (self.submit, self.query, self.cancel, self.logs):
            lane.end(on_end)
        return done
