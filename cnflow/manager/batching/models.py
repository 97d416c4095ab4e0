"""Models that each worker loads before its first task. No I/O.

::

    on_prepare ──> each idle worker, and each that is ready later: LOAD ──LOADED──> Prepared; the worker gets tasks
                                           │                         └── error ───> Prepared with it; it gets tasks, too
                                           └── the worker ends ──> Prepared with its last words; its successor tries
                                                                   again, but the third time the model is given up

The same `Prepare` comes again when an interchange was restarted: what is loaded is reported once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.task import AppKind
from cnflow.wire.batch_records import unpack_loaded
from cnflow.wire.function_messages import Function, Prepared
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import FunctionId, WorkerRank
    from cnflow.manager.workers.exit import Exit
    from cnflow.manager.workers.table import Workers
    from cnflow.manager.workers.worker import Worker
    from cnflow.wire.batch_records import LoadedRecord
    from cnflow.wire.pipe import Record

_MOST_DEATHS = 3
_APP_KINDS = frozenset(map(int, AppKind))


class PreparedModels:
    """The models; the module has a picture.

    Args:
        python: minor version that the workers run.
        where: host, block and image, for messages.
        workers: of the manager.
    """

    def __init__(self, python: str, where: str, workers: Workers) -> None:
        self._workers = workers
        self._python = python
        self._where = where
        self.functions: dict[FunctionId, Function] = {}
        """The models, and the records of modules that they need."""

        self._models: dict[FunctionId, None] = {}
        self._deaths: dict[FunctionId, int] = {}
        self._replies: list[Prepared] = []

    def __bool__(self) -> bool:
        return bool(self._models)

    def on_prepare(self, functions: Iterable[Function]) -> None:
        """Load these models from now on; report those again that are loaded."""
        self.functions = {function.id: function for function in functions}
        self._models = dict.fromkeys(each.id for each in self.functions.values() if each.kind in _APP_KINDS)
        self._deaths = {function: deaths for function, deaths in self._deaths.items() if function in self._models}
        for function in [*self._models]:
            python = self.functions[function].python
            if python not in {"", self._python}:
                del self._models[function]
                words = f"{self._where}: its code is of Python {python}, and the workers run {self._python}"
                self._replies.append(Prepared(function, 0, words))
        for rank, worker in self._workers.items():
            for function, loaded in worker.loaded.items():
                if function in self._models:
                    self._reply(rank, loaded)

    def missing(self, worker: Worker) -> list[FunctionId]:
        """Models that *worker* has neither loaded nor failed to load."""
        return [
            function
            for function in self._models
            if function not in worker.loaded
            and function not in worker.loading
            and self._deaths.get(function, 0) < _MOST_DEATHS
        ]

    def on_records(self, rank: WorkerRank, records: list[Record]) -> list[Record]:
        """Take the replies to orders to load out of the *records* of a worker, and return the others."""
        if not self._workers[rank].loading:
            return records
        for record in records:
            if record.type == ResultKind.LOADED:
                self.on_loaded(rank, unpack_loaded(record))
        return [record for record in records if record.type != ResultKind.LOADED]

    def on_loaded(self, rank: WorkerRank, loaded: LoadedRecord) -> None:
        """Report the reply of a worker, which gets tasks once it has replied to all orders."""
        worker = self._workers[rank]
        function: FunctionId = loaded.function  # type: ignore[assignment]  # as it was sent
        if function not in worker.loading:
            return  # a process that the model has forked
        worker.loading.remove(function)
        worker.loaded[function] = loaded
        worker.is_ready = not worker.loading
        self._deaths.pop(function, None)
        if function in self._models:
            self._reply(rank, loaded)

    def on_died(self, rank: WorkerRank, exit_: Exit) -> None:
        """Report the end of a worker that was loading: the first of its models that has not replied is the cause."""
        function = self._workers[rank].loading[0]
        deaths = self._deaths[function] = self._deaths.get(function, 0) + 1
        words = f"{exit_.where} ended with exit code {exit_.exitcode} while it loaded the model{exit_.cause and ', '}"
        words += f"{exit_.cause}. Its last words: {exit_.stderr_tail.strip() or 'none'}"
        if deaths >= _MOST_DEATHS:
            words += f"\n{deaths} workers in a row: it is not loaded in advance any more here"
        if function in self._models:
            self._replies.append(Prepared(function, rank, words))

    def take_replies(self) -> list[Prepared]:
        """Remove and return the reports to send."""
        replies, self._replies = self._replies, []
        return replies

    def _reply(self, rank: WorkerRank, loaded: LoadedRecord) -> None:
        function: FunctionId = loaded.function  # type: ignore[assignment]  # as it was sent
        self._replies.append(Prepared(function, rank, loaded.error, loaded.description, loaded.seconds))
