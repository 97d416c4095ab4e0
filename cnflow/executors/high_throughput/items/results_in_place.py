"""Results whose tasks have left items: those that have a place are fetched before the result is reported.

::

    take ── items with a place ──> fetched, all at once ──> all are there ──> on_end(parcel, items that stay, None)
      │                               │    └── one cannot be had, or written ──> on_end(parcel, .., the error)
      └── items without: they stay    └── cancel ──> nothing is brought there, and all are released
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future

    from cnflow.executors.high_throughput.items.driver_items import DriverItems
    from cnflow.ids import TaskId
    from cnflow.model.item import Item
    from cnflow.wire.messages import ResultParcel

    OnEnd = Callable[[ResultParcel, tuple[Item, ...], BaseException | None], object]


class _Waiting:
    """Result that waits for its items."""

    def __init__(
        self, parcel: ResultParcel, fetched: Sequence[Item], staying: tuple[Item, ...], places: Mapping[str, str]
    ) -> None:
        self.parcel = parcel
        self.places = places
        self.fetched = fetched
        self.staying = staying
        self.futures: list[Future[str]] = []
        self.missing = len(fetched)


class ResultsInPlace:
    """The results; the module has a picture. Safe from any thread.

    Args:
        items: fetches them.
        on_end: called once for each result that is not cancelled, from the thread that brings the last item.
    """

    def __init__(self, items: DriverItems, on_end: OnEnd) -> None:
        self._items = items
        self._on_end = on_end
        self._lock = threading.Lock()
        self._waiting: dict[TaskId, _Waiting] = {}

    def take(self, parcel: ResultParcel, places: Mapping[str, str]) -> None:
        """Bring the items of a result to their *places*, by their names, and then end it."""
        result = parcel[0]
        if self.is_arriving(result.id):
            return  # sent once more, by a manager that a restarted interchange asked to register again
        self._items.leave(result.items)
        fetched = [item for item in result.items if item.name in places]
        staying = tuple(item for item in result.items if item.name not in places)
        if not fetched:
            self._on_end(parcel, staying, None)
            return
        waiting = _Waiting(parcel, fetched, staying, places)
        with self._lock:
            self._waiting[result.id] = waiting
        waiting.futures = [self._items.fetch(item, places[item.name]) for item in fetched]
        if self._waiting.get(result.id) is not waiting:  # cancelled meanwhile, by another thread
            self._items.cancel_fetches(waiting.futures)
            return
        for future in waiting.futures:
            future.add_done_callback(functools.partial(self._on_done, waiting))

    def is_arriving(self, task: TaskId) -> bool:
        """True if items of the result of *task* are missing."""
        return task in self._waiting

    def fetched(self, task: TaskId) -> list[tuple[Item, str]]:
        """Items of *task* that are not all at their places, with these."""
        waiting = self._waiting.get(task)
        return [] if waiting is None else [(item, waiting.places[item.name]) for item in waiting.fetched]

    def cancel(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Bring the items of *tasks* nowhere; return those that waited for some."""
        if not self._waiting:
            return []
        with self._lock:
            cancelled = {task: found for task in tasks if (found := self._waiting.pop(task, None)) is not None}
        for waiting in cancelled.values():
            self._items.cancel_fetches(waiting.futures)
            self._items.release_all([*waiting.fetched, *waiting.staying])
        return [*cancelled]

    def _on_done(self, waiting: _Waiting, future: Future[str]) -> None:
        task = waiting.parcel[0].id
        error = future.exception()
        with self._lock:
            if self._waiting.get(task) is not waiting:
                return  # cancelled, or an item before has failed
            waiting.missing -= 1
            if waiting.missing and error is None:
                return
            del self._waiting[task]
        if waiting.missing:
            self._items.cancel_fetches(waiting.futures)
        self._items.release_all(waiting.fetched)
        self._on_end(waiting.parcel, waiting.staying, error)
