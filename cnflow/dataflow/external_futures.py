"""Futures among a task's arguments that this kernel did not make; the machine knows them by ids below zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.ids import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class ExternalFutures:
    """Gives each an id, once. Used under the kernel's lock.

    Args:
        submit: tells the machine of a new id.
        done: called with the id and the future when that is done; from any thread.
    """

    def __init__(self, submit: Callable[[TaskId], object], done: Callable[[TaskId, Future[Any]], None]) -> None:
        self._submit = submit
        self._done = done
        self._next = -1
        self._ids: dict[int, TaskId] = {}
        self._futures: dict[TaskId, Future[Any]] = {}
        """Those that are not done or have failed; kept alive, so that the id() of each stays its own."""

    def id_of(self, future: Future[Any]) -> TaskId:
        """Id of *future*, a new one the first time."""
        known = self._ids.get(id(future))
        if known is not None:
            return known
        number = self._ids[id(future)] = TaskId(self._next)
        self._next -= 1
        self._futures[number] = future
        self._submit(number)
        future.add_done_callback(lambda done: self._done(number, done))
        return number

    def forget(self, number: TaskId) -> None:
        """The future of *number* has its result: nobody asks for it again."""
        del self._ids[id(self._futures.pop(number))]

    def future_of(self, number: TaskId) -> Future[Any]:
        """The reverse of `id_of`."""
        return self._futures[number]
