"""Futures among the arguments of tasks that this graph did not make: other libraries', or another run's.

The state machine sees each as a task with an id below zero that is launched from the start::

    id_of(future) ──> on_new(id) ──watch()──future done──> on_done(id, future) ──has a result──> forget(id)
                                                                               └──failed──> set_failed(id): title and
                                                                                            error are kept

A future of another library runs that library's code when it is asked: `watch`, `is_finished_external` and `set_failed`
are called without the graph's lock, everything else with it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.futures.app_future import AppFuture, title_of_future
from cnflow.dataflow.futures.callbacks import on_done
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.retry import error_of, has_failed
from cnflow.ids import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from cnflow.dataflow.failures import Failures
    from cnflow.dataflow.task_record import TaskRecord


def is_finished_external(future: Future[Any]) -> bool:
    """Return True for another library's future that has its result, so that no task need wait for it."""
    return not isinstance(future, (AppFuture, DataFuture)) and future.done() and not has_failed(future)


def id_of_dependency(
    future: Future[Any], records: Mapping[TaskId, TaskRecord], failures: Failures, external: ExternalFutures
) -> TaskId | None:
    """Return the id of a dependency; None for one that has its result, since no task need wait for it.

    Called under the graph's lock.
    """
    if isinstance(future, DataFuture):
        future = future.parent
    if isinstance(future, AppFuture):
        record = records.get(future.tid)
        if (record.future if record else failures.future_of(future.tid)) is future:
            return future.tid
        if future.done() and not has_failed(future):
            return None
    return external.id_of(future)


class ExternalFutures:
    """Gives each external future one id.

    Args:
        on_new: called with each new id.
        on_done: called with the id and the future when the future is done; from any thread.
    """

    def __init__(self, on_new: Callable[[TaskId], object], on_done: Callable[[TaskId, Future[Any]], None]) -> None:
        self._on_new = on_new
        self._on_done = on_done
        self._next = -1
        self._ids: dict[int, TaskId] = {}
        """Id by Python's id() of the future."""

        self._futures: dict[TaskId, Future[Any]] = {}
        """Futures that are not done or have failed. Kept alive, or their id() could be given to another object."""

        self._unwatched: list[tuple[TaskId, Future[Any]]] = []
        self._failures: dict[TaskId, tuple[str, BaseException]] = {}

    def id_of(self, future: Future[Any]) -> TaskId:
        """Return the id of *future*, a new one the first time."""
        existing = self._ids.get(id(future))
        if existing is not None:
            return existing
        number = self._ids[id(future)] = TaskId(self._next)
        self._next -= 1
        self._futures[number] = future
        self._on_new(number)
        self._unwatched.append((number, future))
        return number

    def watch(self) -> None:
        """Have `on_done` called for the futures that are new; at once for those that are done."""
        while self._unwatched:
            try:
                number, future = self._unwatched.pop()
            except IndexError:  # another thread took it
                return
            on_done(future, functools.partial(self._on_done, number))

    def forget(self, number: TaskId) -> None:
        """Drop the future of *number*, which has a result, so that no task waits for it any more."""
        del self._ids[id(self._futures.pop(number))]

    def set_failed(self, number: TaskId, future: Future[Any]) -> None:
        """Keep the title and the error of *future*, which has failed, for the errors of tasks that depend on it."""
        self._failures[number] = (title_of_future(future), error_of(future))

    def failure_of(self, number: TaskId) -> tuple[str, BaseException]:
        """Return the title and the error of a future that has failed."""
        return self._failures[number]
