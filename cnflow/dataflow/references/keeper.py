"""Results of one graph that stay on their nodes: made of outcomes, fetched for tasks elsewhere, made again when lost.

::

    outcome with an item "value" ──keep──> KeptResult, the task's result
                                              │ a task depends on it
      launch ──its executor has the item──────┴──> is given the item
        └─another executor──> hold ──fetched──> launched, with the value

    an attempt ends with ItemLostError ──on_lost──> the KeptResult with that key, among the results it depends on
       │                                               │ remake, once for all that need it
       │                                               v
       │                                   its task runs again as a new one, with the arguments of its call
       │                                               │   (whose own results may be lost, and made again)
       └── launched again, with the new item <─────────┘   or fails: what was lost, and why it stays so
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.dataflow.futures.app_future import result_as_it_is
from cnflow.dataflow.references.kept_result import Holding, KeptResult
from cnflow.dataflow.retry import has_failed
from cnflow.dataflow.task_record import NOT_APART
from cnflow.errors import ItemLostError
from cnflow.model.file import File
from cnflow.model.task import Kept, title_of
from cnflow.tasks.values import NAME, Description
from cnflow.text import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from cnflow.dataflow.call_options import CallOptions
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.interfaces import Executor, ItemStore
    from cnflow.model.task import AppFunction, Outcome

logger = logging.getLogger(__name__)

REMAKES = 3
"""Number of times that one result is made again."""


class Recipe(NamedTuple):
    """What a task needs to run again. It refers neither to its own future nor to its result."""

    app: AppFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    executor: str
    call_options: CallOptions
    depends: Sequence[Future[Any]]
    results: dict[int, Any] | None
    kept: Kept | None
    version: Any
    retries: float
    on_items: Callable[[Outcome], None] | None = None
    """As `TaskRecord.on_items`; not that of the first run."""

    part: tuple[Any, bool] = NOT_APART

    @classmethod
    def of(cls, record: TaskRecord) -> Recipe:
        """Return the recipe of the task of *record*."""
        return cls(
            record.app,
            record.args,
            record.kwargs,
            record.executor,
            record.call_options,
            record.depends,
            record.results,
            record.kept,
            record.version,
            record.retries,
            part=record.part,
        )

    def fill(self, record: TaskRecord) -> None:
        """Enter into *record*, a new one, what it did not get when it was made."""
        record.call_options, record.depends = self.call_options, self.depends
        record.on_items, record.part = self.on_items, self.part
        record.results, record.version, record.retries = self.results, self.version, self.retries
        # The packed arguments name the contents of results; those that are made again may be others.
        record.kept = None if self.kept is None else Kept() if self.depends else self.kept


class Graph(Protocol):
    """Task graph, as its results need it."""

    records: dict[TaskId, TaskRecord]
    """Of the tasks that are not final."""

    executors: Mapping[str, Executor]

    def run_again(self, recipe: Recipe) -> AppFuture:
        """Submit the task of *recipe* once more."""

    def relaunch(self, task: TaskId) -> None:
        """Launch *task*, which is launched and in no executor."""


class ResultKeeper:
    """Kept results of one graph, and its launched tasks that wait for some. Safe from any thread.

    Args:
        graph: theirs.
        on_ends: called with the ends of attempts that waited for a result to be made again, or to be fetched.
    """

    def __init__(self, graph: Graph, on_ends: Callable[[Sequence[AttemptEnd]], None]) -> None:
        self._graph = graph
        self._on_ends = on_ends
        self._waiting: set[TaskId] = set()

    def is_waiting(self, task: TaskId) -> bool:
        """Return True for a launched task that is in no executor: it waits for results that it depends on."""
        return task in self._waiting

    def withdraw(self, task: TaskId) -> bool:
        """Let *task*, which was cancelled, wait no longer; False if it does not."""
        try:
            self._waiting.remove(task)  # in one step: a thread may cancel it while another one brings its result
        except KeyError:
            return False
        return True

    # Outcomes

    def keep(self, outcome: Outcome, record: TaskRecord) -> Outcome:
        """Return *outcome* with a `KeptResult` in the place of the description of a value that stays on its node."""
        item = next((each for each in outcome.items if each.name == NAME), None)
        store = store_of(self._graph.executors[record.executor])
        if item is None or store is None:
            return outcome
        if outcome.error is not None:  # its files could not be had, so that its value is of no use
            store.release(item)
            return outcome
        title = title_of(outcome.id, record.app.name)
        value = KeptResult(Holding(item, store), title, Description(*outcome.value), self, Recipe.of(record))
        return outcome._replace(value=value)

    # Tasks elsewhere

    def hold(self, task: TaskId, record: TaskRecord) -> bool:
        """Have fetched what *task*, about to be launched, needs of other executors' nodes; False if all is here."""
        store = store_of(self._graph.executors[record.executor])
        needed = [kept for kept in kept_results(record.depends) if not kept.is_in(store) and not kept.is_here()]
        if not needed:
            return False
        self._waiting.add(task)
        left = Countdown(len(needed), lambda error: self._on_ready(task, record, error, AttemptResult.FAILED))
        for kept in needed:
            kept.fetch().add_done_callback(left.on_done)
        return True

    # Losses

    def remake(self, lost: KeptResult) -> Future[Any]:
        """See `cnflow.dataflow.references.kept_result.Remaking`."""
        lost.remakes += 1
        if lost.remakes > REMAKES:
            raise ItemLostError(f"it was made again {REMAKES} times already")
        logger.warning("The result of %s (%s) is lost; its task runs again.", lost.title, lost.size_in_words())
        return self._graph.run_again(lost.recipe)

    def on_lost(self, task: TaskId, record: TaskRecord, error: ItemLostError) -> bool:
        """Have the result that *error* is about made again, and the launched *task* then launched again.

        Returns False if it is no result of the tasks that *task* depends on.
        """
        lost = [kept for kept in kept_results(record.depends) if _has_key(kept, error.key)][:1]
        files = [] if lost else lost_files(record, error.key)
        if record.cancelling or not (lost or files):
            return False
        self._waiting.add(task)
        left = Countdown(
            len(lost) or len(files), lambda error: self._on_ready(task, record, error, AttemptResult.GIVEN_UP)
        )
        for remade in (*(kept.remake() for kept in lost), *(file.hold.maker.remake(file) for file in files)):
            remade.add_done_callback(left.on_done)
        return True

    def _on_ready(self, task: TaskId, record: TaskRecord, error: BaseException | None, result: AttemptResult) -> None:
        """Launch *task* again, or end its attempt with *result* where *error* is the reason."""
        if not self.withdraw(task) or self._graph.records.get(task) is not record:
            return
        if error is None:
            if record.kept is not None:
                record.kept = Kept()  # the packed arguments may name a content that was lost
            self._graph.relaunch(task)
            return
        record.error = error
        record.failures = [*record.failures, describe_error(error)]
        self._on_ends([AttemptEnd(task, result)])


class Countdown:
    """Calls a function when a number of futures are done, with the first error of theirs.

    Args:
        count: number of futures.
        on_zero: called once.
    """

    def __init__(self, count: int, on_zero: Callable[[BaseException | None], None]) -> None:
        self._left = count
        self._on_zero = on_zero
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def on_done(self, future: Future[Any]) -> None:
        """Count *future*, which is done."""
        with self._lock:
            self._error = self._error or future.exception()
            self._left -= 1
            if self._left:
                return
        self._on_zero(self._error)


def store_of(executor: Executor) -> ItemStore | None:
    """Return the items of *executor*; None for one whose tasks run in the driver."""
    store: ItemStore | None = getattr(executor, "items", None)
    return store


def kept_results(futures: Sequence[Future[Any]]) -> Iterator[KeptResult]:
    """Yield the results of *futures*, which are done, that stay on nodes."""
    for future in futures:
        # Not by isinstance: it asks a value of the user's for its __class__, which may be code that raises.
        if not has_failed(future) and type(result := result_as_it_is(future)) is KeptResult:
            yield result


def lost_files(record: TaskRecord, key: bytes) -> list[Any]:
    """Return the files with item *key* among the results that *record* depends on, which can be made again."""
    results = [result_as_it_is(future) for future in record.depends if not has_failed(future)]
    results += (record.results or {}).values()
    files = {id(each): each for each in results if issubclass(type(each), File) and each.item is not None}
    made = [file for file in files.values() if getattr(file.hold, "maker", None) is not None]
    return [file for file in made if file.item is not None and file.item.key == key]


def _has_key(kept: KeptResult, key: bytes) -> bool:
    return kept.holding is not None and kept.holding.item.key == key
