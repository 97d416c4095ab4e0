"""Results of an executor on their way to its report: their large parts, and the items that their tasks have left.

::

    on_results ──> large parts are here (`BulkLine`) ──> items are at their places (`ResultsInPlace`) ──> report
                        └── their manager is lost, they cannot be had ──┴──> report: ManagerLost
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from cnflow.errors import ItemLostError, StagingError
from cnflow.executors.high_throughput.items.results_in_place import ResultsInPlace
from cnflow.executors.high_throughput.results import outcome_of
from cnflow.model.item import KEY_SIZE
from cnflow.model.task import StagingNote, TaskState
from cnflow.tasks.shared_values import discard_result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from cnflow.executors.high_throughput.bulk_line import BulkLine
    from cnflow.executors.high_throughput.held_tasks import HeldTask
    from cnflow.executors.high_throughput.incomplete_results import Ended
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.ids import ManagerId, TaskId
    from cnflow.model.item import Item
    from cnflow.model.task import Outcome
    from cnflow.wire.messages import Result, ResultParcel

_MB = 10**6

logger = logging.getLogger(__name__)


class TaskOwner(Protocol):
    """Executor of the tasks."""

    def title(self, task: TaskId) -> str:
        """Title of *task* in messages."""

    def outcome_of_lost(self, task: TaskId, where: str, reason: str) -> Outcome:
        """Outcome of a task that was on a manager, or whose result was."""

    def report_held(self, outcomes: Iterable[Outcome]) -> None:
        """Report the outcomes of tasks that are still held."""


class ArrivingResults:
    """The results; the module has a picture.

    Args:
        bulk: fetches large parts and items.
        managers: describes those that ran tasks.
        owner: of the tasks.
        on_staging: takes a note of each task whose outputs are on their way.
    """

    def __init__(
        self,
        bulk: BulkLine,
        managers: ConnectedManagers,
        owner: TaskOwner,
        on_staging: Callable[[StagingNote], None] | None = None,
    ) -> None:
        self._on_staging = on_staging
        self._bulk = bulk
        self._items = bulk.items
        self._managers = managers
        self._owner = owner
        self._places = ResultsInPlace(bulk.items, self._on_placed)

    def on_results(
        self, parcels: Sequence[ResultParcel], ours: Sequence[ResultParcel], held: Mapping[TaskId, HeldTask]
    ) -> None:
        """Report *ours* among *parcels* once all their parts are here, and drop all others."""
        if len(ours) < len(parcels):
            own = {id(result) for result, _ in ours}
            for result, _ in parcels:
                if id(result) not in own:
                    discard_result(result.body)
        if any(result.blobs or result.items for result, _ in parcels):
            wanted = {id(result) for result, _ in ours}
            unwanted = [result for result, _ in parcels if id(result) not in wanted]
            self._bulk.on_unwanted(unwanted)
            self._release(unwanted)
            self.report(self._bulk.on_results(ours), held)
        else:
            self._owner.report_held(map(self._outcome, ours))

    def _note_fetches(self, result: Result, places: Mapping[str, str]) -> None:
        total = sum(item.size for item in result.items if item.name in places)
        if self._on_staging is not None and total:
            self._on_staging(StagingNote(result.id, TaskState.STAGING_OUT, total=total))

    def report(self, ended: Ended, held: Mapping[TaskId, HeldTask]) -> None:
        """Report the results of which all parts are here, or some will never be."""
        outcomes = []
        for parcel in ended.parcels:
            result = parcel[0]
            if not result.items:
                outcomes.append(self._outcome(parcel))
            elif (task := held.get(result.id)) is not None:
                self._note_fetches(result, task.places)
                self._places.take(parcel, task.places)
            else:
                self._release([result])
        for task_id, _, source, why in ended.failures:
            where = f"manager {source.hex()}"
            outcomes.append(self._owner.outcome_of_lost(task_id, where, f"its result did not arrive: {why}"))
        if outcomes:
            self._owner.report_held(outcomes)

    def on_manager_lost(self, manager: ManagerId, reason: str) -> list[TaskId]:
        """Return the tasks whose results will not come from *manager* any more; those with items report themselves."""
        tasks = [failure.task for failure in self._bulk.on_manager_lost(manager, reason)]
        self._items.on_manager_lost(manager, reason)
        return tasks

    def is_arriving(self, task: TaskId) -> bool:
        """True if the result of *task* is on its way: it has run, and need not run again."""
        return self._bulk.is_arriving(task) or self._places.is_arriving(task)

    def cancel(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Fetch the results of *tasks* no longer; return those that were not complete, and will not come."""
        return [*self._bulk.cancel(tasks), *self._places.cancel(tasks)]

    def explain(self, task: TaskId) -> list[str]:
        """Sentence on what of *task*, which has run, is on its way to the driver; none if nothing is."""
        coming = [
            f"{item.name} to {path} ({self._items.arrived(item) / _MB:,.1f} of {item.size / _MB:,.1f} MB)"
            for item, path in self._places.fetched(task)
        ]
        return [f"has run; what it has left travels to the driver: {', '.join(coming)}."] if coming else []

    def _outcome(self, parcel: ResultParcel) -> Outcome:
        outcome = outcome_of(*parcel, self._owner.title, self._managers.places)
        if parcel[0].kind == ResultKind.ITEM_LOST and isinstance(outcome.error, ItemLostError):
            flaw = self._items.flaw_of_offered(outcome.error.key[:KEY_SIZE])
            if flaw:
                title = self._owner.title(outcome.id)
                return outcome._replace(error=StagingError(f"An input of {title} could not be sent: {flaw}."))
        return outcome

    def _on_placed(self, parcel: ResultParcel, items: tuple[Item, ...], error: BaseException | None) -> None:
        outcome = self._outcome(parcel)
        if error is None:
            outcome = outcome._replace(items=items)
        else:
            self._items.release_all(items)
            if outcome.error is not None:  # the task's own error is what the user is to see
                logger.warning("%s has failed, and %s", self._owner.title(outcome.id), error)
            elif isinstance(error, ItemLostError):
                source = next(item.source for item in parcel[0].items)
                where = self._items.place_of(source)
                outcome = self._owner.outcome_of_lost(
                    outcome.id, f"manager {where}", f"an output did not arrive: {error}"
                )
            else:
                outcome = outcome._replace(value=None, error=error)
        self._owner.report_held([outcome])

    def _release(self, results: Iterable[Result]) -> None:
        """Release the items of *results* that nobody waits for."""
        for result in results:
            if result.items:
                self._items.leave(result.items)  # else a release means nothing; one that was reported keeps its users
                self._items.release_all(result.items)
