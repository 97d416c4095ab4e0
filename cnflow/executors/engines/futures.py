"""Engine of any `concurrent.futures.Executor`: the standard pools, mpi4py's, and those that other packages have.

::

    submit ──> pool.submit(run_task, function, call) ──> Future ──done──> Reply, or the error of the pool
                  └── the pool is broken: made anew where a function makes it     └── BrokenExecutor: ManagerLost
"""

from __future__ import annotations

import functools
import logging
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, ConfigurationError, InfrastructureError, ManagerLost
from cnflow.tasks.engine_calls import run_task
from cnflow.text import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from concurrent.futures import Future

    from cnflow.executors.engines.engine import EngineCall, OnEnds
    from cnflow.ids import TaskId
    from cnflow.model.resources import Resources

logger = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds that the end waits for tasks that run before it logs a warning."""


class FuturesEngine:
    """Runs calls in a pool; see `cnflow.executors.engines.engine.Engine`.

    Args:
        label: of the executor, for messages.
        make: makes the pool, which is shut down in the end; None where *pool* is the user's own.
        pool: that of the user, who shuts it down.
    """

    def __init__(self, label: str, make: Callable[[], Executor] | None, pool: Executor | None = None) -> None:
        self._label = label
        self._make = make
        self._pool = pool
        self._futures: dict[TaskId, Future[Any]] = {}
        self._lock = threading.RLock()
        self._all_done = threading.Condition(self._lock)
        self._is_closed = False

    def start(self, on_ends: OnEnds) -> None:
        """Nothing is started yet: a pool is made with the first task."""
        self._on_ends = on_ends

    def refusal(self, resources: Resources) -> str:
        """A pool passes no resources on."""
        asked = ", ".join(name for name, value in resources._asdict().items() if value is not None)
        return (
            f"runs it in a pool of concurrent.futures, which knows no resources ({asked}). Leave out resources=, or "
            "run it on a HighThroughputExecutor."
        )

    def submit(self, calls: Sequence[EngineCall]) -> None:
        """Submit each of *calls* to the pool."""
        for call in calls:
            try:
                future = self._submit(call)
            except BaseException as error:  # noqa: BLE001 - of any pool; it is the end of this call
                self._on_ends([(call.task, self._error(call, error))])
                continue
            future.add_done_callback(functools.partial(self._on_done, call))

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Cancel what waits in the pool; a call that runs there goes on, since no pool can stop one."""
        with self._lock:
            futures = [self._futures[task] for task in tasks if task in self._futures]
        for future in futures:
            future.cancel()

    def workers(self) -> int:
        """Number of the pool's workers, where it tells."""
        number = getattr(self._pool, "num_workers", None) or getattr(self._pool, "_max_workers", None)
        return number if isinstance(number, int) else int(self._pool is not None)

    def close(self) -> None:
        """Cancel what waits and let end what runs; shut down the pool if it was made here."""
        with self._lock:
            self._is_closed = True
            futures = list(self._futures.values())
        for future in futures:
            future.cancel()
        with self._all_done:
            if not self._all_done.wait_for(lambda: not self._futures, _PATIENCE):
                running = len(self._futures)
                logger.warning("executor %s waits for %d running tasks: a pool stops none", self._label, running)
                self._all_done.wait_for(lambda: not self._futures)
            pool, self._pool = self._pool, None
        if pool is not None and self._make is not None:
            pool.shutdown(wait=True)

    def _submit(self, call: EngineCall) -> Future[Any]:
        with self._lock:
            if self._is_closed:
                raise CancelledError
            if self._pool is None:
                assert self._make is not None
                self._pool = self._make()
            try:
                future = self._pool.submit(run_task, call.function, call.call)
            except BrokenExecutor:
                if self._make is None:
                    raise
                logger.warning("executor %s: its pool is broken and is made anew", self._label)
                broken, self._pool = self._pool, self._make()
                broken.shutdown(wait=False)
                future = self._pool.submit(run_task, call.function, call.call)
            self._futures[call.task] = future
        return future

    def _on_done(self, call: EngineCall, future: Future[Any]) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        end = future.result() if error is None else self._error(call, error)
        self._on_ends([(call.task, end)])
        with self._all_done:  # afterwards, since `close` waits for it
            if self._futures.get(call.task) is future:  # else the task was submitted again meanwhile
                del self._futures[call.task]
            if not self._futures:
                self._all_done.notify_all()

    def _error(self, call: EngineCall, error: BaseException) -> BaseException:
        """Return what ends *call*, whose pool has raised *error*: `run_task` itself raises nothing."""
        if isinstance(error, (CancelledError, InfrastructureError, ConfigurationError)):
            return error
        if isinstance(error, BrokenExecutor):
            advice = "" if self._make else " It cannot be used again: give a function that makes it, pool=make_pool."
            kind = ManagerLost if self._make else BlockError
            ended: BaseException = kind(
                f"{call.title} was in the pool of executor {self._label!r} when a worker of that died: "
                f"{describe_error(error)}.{advice}"
            )
        else:
            ended = BlockError(
                f"{call.title} was refused by the pool of executor {self._label!r}: {describe_error(error)}. Its "
                "workers need cnflow of the driver's version; see the pool's own log."
            )
        ended.__cause__ = error
        return ended
