"""Temporary outputs of a task, which lie on its node; made again by the same task when they are lost with it.

::

    outcome ──item──> Hold: that of the output's file, and of each file that a task reads ──dropped──> released
                       │
    a task that reads it ends with ItemLostError ──remake──> the task of the output runs again ──item──> another Hold,
                                                             once for all that read it           for each of them
"""

from __future__ import annotations

import logging
import threading
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.futures.callbacks import on_done
from cnflow.dataflow.references.keeper import REMAKES, Recipe
from cnflow.errors import ItemLostError
from cnflow.model.task import title_of
from cnflow.staging.built_in import Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.futures.data_future import DataFuture
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces import ItemStore
    from cnflow.model.file import File
    from cnflow.model.item import Item
    from cnflow.model.task import Outcome

logger = logging.getLogger(__name__)


class TemporaryOutputs:
    """Those of one task. Safe from any thread. Refers to no `Hold`, which would never be dropped.

    Args:
        store: of the task's executor.
        outputs: futures of the task's outputs.
        run_again: submits a task once more.
    """

    def __init__(
        self,
        store: ItemStore | None,
        outputs: Sequence[DataFuture],
        run_again: Callable[[Recipe], AppFuture],
    ) -> None:
        self._store = store
        self._outputs = [weakref.ref(output) for output in outputs]
        self._run_again = run_again
        self._recipe: Recipe | None = None
        self._title = ""
        self._holds: weakref.WeakValueDictionary[int, Hold] = weakref.WeakValueDictionary()
        self._going: Future[Any] | None = None
        self._fresh: dict[int, Hold] = {}
        self._remakes = 0
        self._lock = threading.Lock()

    def keep_recipe(self, record: TaskRecord) -> None:
        """Keep what the task of *record* needs to run again."""
        self._recipe, self._title = Recipe.of(record), title_of(record.id, record.app.name)

    def enter(self, number: int, item: Item) -> None:
        """Give the output *number* its item, which is held once."""
        if self._store is None:
            return
        hold = Hold(self._store, item, self)
        with self._lock:
            self._holds[number] = hold
            if self._going is not None:
                self._fresh[number] = hold
        output = self._outputs[number]()
        if output is not None:
            output.file_obj.item, output.file_obj.hold = item, hold

    def remake(self, file: File) -> Future[None]:
        """See `cnflow.staging.built_in.FileMaker`."""
        ready: Future[None] = Future()
        with self._lock:
            number = self._number_of(file)
            current = self._holds.get(number)
        if current is not None and file.item is not None and current.item.id != file.item.id:
            file.item, file.hold = current.item, current
            ready.set_result(None)
            return ready
        try:
            going = self._remaking()
        except Exception as error:  # noqa: BLE001 - it is that of the task
            ready.set_exception(error)
            return ready
        on_done(going, lambda done: self._on_remade(number, file, done, ready))
        return ready

    def _number_of(self, file: File) -> int:
        """Number of the output of which *file* is a copy."""
        name = file.item.name if file.item is not None else ""
        return int(name.partition("/")[2] or 0)

    def _remaking(self) -> Future[Any]:
        with self._lock:
            if self._going is not None:
                return self._going
            self._remakes += 1
            if self._recipe is None or self._remakes > REMAKES:
                raise ItemLostError(f"A temporary file of {self._title} was lost {self._remakes} times.")
            going = self._going = Future()
        logger.warning("A temporary file of %s was lost with its node; the task runs again.", self._title)
        try:
            again = self._run_again(self._recipe._replace(on_items=self._on_items))
        except Exception as error:  # noqa: BLE001 - the run has ended; others may wait for this future by now
            self._end(going, error)
        else:
            on_done(again, lambda done: self._on_run(done, going))
        return going

    def _on_items(self, outcome: Outcome) -> None:
        for item in outcome.items:
            kind, _, number = item.name.partition("/")
            if kind == "outputs" and outcome.error is None:
                self.enter(int(number), item)

    def _on_run(self, done: Future[Any], going: Future[Any]) -> None:
        self._end(going, None if done.cancelled() else done.exception())

    def _end(self, going: Future[Any], error: BaseException | None) -> None:
        if error is None:
            going.set_result(None)
        else:
            going.set_exception(error)
        with self._lock:
            self._going, self._fresh = None, {}

    def _on_remade(self, number: int, file: File, done: Future[Any], ready: Future[None]) -> None:
        error, hold = done.exception(), self._holds.get(number)
        if error is None and hold is None:
            error = ItemLostError(f"{self._title} has run again, and has not left its temporary file {file.filename}.")
        if error is not None or hold is None:
            ready.set_exception(error)
            return
        file.item, file.hold = hold.item, hold
        ready.set_result(None)
