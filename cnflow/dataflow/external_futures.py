"""Futures among the arguments of tasks that this graph did not make: other libraries', or another run's.

The state machine sees each as a task with an id below zero that is launched from the start::

    id_of(future) ──> on_new(id) ──future done──> on_done(id, future) ──has a result──> forget(id)
                                                                      └──failed──> kept, with its error
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.ids import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class ExternalFutures:
    """Gives each external future one id. Used under the graph's lock.

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

    def id_of(self, future: Future[Any]) -> TaskId:
        """Return the id of *future*, a new one the first time."""
        existing = self._ids.get(id(future))
        if existing is not None:
            return existing
        number = self._ids[id(future)] = TaskId(self._next)
        self._next -= 1
        self._futures[number] = future
        self._on_new(number)
        future.add_done_callback(lambda done: self._on_done(number, done))
        return number

    def forget(self, number: TaskId) -> None:
        """Drop the future of *number*, which has a result, so that no task waits for it any more."""
        del self._ids[id(self._futures.pop(number))]

    def future_of(self, number: TaskId) -> Future[Any]:
        """Return the future of *number*, the reverse of `id_of`."""
        return self._futures[number]
