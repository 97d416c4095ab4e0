"""Models that each worker loads before its first task. No I/O.

::

    on_prepare ──> each idle worker, and each that is ready later: LOAD ──LOADED──> Prepared; the worker gets tasks
                                           │                         └── error ───> Prepared with it; it gets tasks, too
                                           └── the worker ends ──> Prepared with its last words; its successor tries
                                                                   again, but the third time the model is given up

The same `Prepare` comes again when an interchange was restarted: what is loaded is reported once more.

::

    LOAD ──no LOADED within the load timeout──> the worker is killed; Prepared with what to do; not tried again here
    a model is in no `Prepare` any more ──UNLOAD_AFTER──> UNLOAD to each worker that has it: teardown(), memory is free
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Optional

from cnflow.model.task import AppKind
from cnflow.units import Seconds
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
UNLOAD_AFTER = Seconds(10.0)
"""Seconds for which a model stays loaded that no `Prepare` has any more: clients of a restarted pool come back one by
one, and a large model takes minutes to load again."""

_WORDS_ON_LATE = (
    "{name} was not loaded within {timeout:g} s by {where}, which was killed: its import or setup() hangs, or takes "
    "longer. It is not loaded in advance any more here. Find out what it waits for, or raise load_timeout=."
)
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
        """The models, and the records of modules that they need; also the models that a worker still loads."""

        self._models: dict[FunctionId, None] = {}
        self._deaths: dict[FunctionId, int] = {}
        self._replies: list[Prepared] = []
        self._dropped: dict[FunctionId, Optional[Seconds]] = {}
        """Models that no message has any more, and the time to unload each, once that is known."""

    def __bool__(self) -> bool:
        return bool(self._models or self._dropped)

    @property
    def unload_at(self) -> Seconds:
        """Time of the next call of `take_unloads`; infinite while there is nothing to unload."""
        return min((at for at in self._dropped.values() if at is not None), default=Seconds(math.inf))

    def on_prepare(self, functions: Iterable[Function]) -> None:
        """Load these models from now on; report those again that are loaded."""
        before, present = self._models, {function.id: function for function in functions}
        # The time of a load holds to its end, also where nobody waits for the model any more.
        loading = {function for worker in self._workers.values() for function in worker.loading}
        left = {function: each for function, each in self.functions.items() if function in loading}
        self.functions = {**left, **present}
        self._models = dict.fromkeys(each.id for each in present.values() if each.kind in _APP_KINDS)
        self._dropped.update((function, None) for function in before if function not in self._models)
        self._dropped = {each: at for each, at in self._dropped.items() if each not in self._models}
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

    def take_unloads(self, now: Seconds) -> list[FunctionId]:
        """Remove and return the models to unload now."""
        for function, at in self._dropped.items():
            if at is None:
                self._dropped[function] = Seconds(now + UNLOAD_AFTER)
        due = [function for function, at in self._dropped.items() if at is not None and at <= now]
        for function in due:
            del self._dropped[function]
        return due

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
        if function not in worker.loading or worker.is_load_late:
            return  # of a process that the model has forked, or of one that is being killed
        worker.loading.remove(function)
        worker.loaded[function] = loaded
        worker.is_ready = not worker.loading
        self._deaths.pop(function, None)
        if function in self._models:
            self._reply(rank, loaded)
        elif function not in self._dropped:  # its time to be unloaded has passed meanwhile
            self._dropped[function] = None

    def follow(self, worker: Worker, now: Seconds) -> Seconds:
        """Return until when *worker*, which loads models one after the other, has to load the present one."""
        function = worker.loading[0]
        if worker.load_due is None or worker.load_due[0] != function:
            timeout = _load_timeout(self.functions[function]) if function in self.functions else 0.0
            worker.load_due = function, Seconds(now + timeout if timeout else math.inf)
        return worker.load_due[1]

    def on_died(self, rank: WorkerRank, exit_: Exit) -> None:
        """Report the end of a worker that was loading: the first of its models that has not replied is the cause."""
        worker = self._workers[rank]
        function = worker.loading[0]
        if function not in self._models:
            return  # a later `Prepare` that has it again begins anew
        if worker.is_load_late:
            self._deaths[function] = _MOST_DEATHS  # a successor would hang as long
            timeout = _load_timeout(self.functions[function])
            words = _WORDS_ON_LATE.format(name=self.functions[function].name, where=exit_.where, timeout=timeout)
            words += f" Its last words: {exit_.stderr_tail.strip() or 'none'}"
            self._replies.append(Prepared(function, rank, words, b"", timeout))
            return
        deaths = self._deaths[function] = self._deaths.get(function, 0) + 1
        words = f"{exit_.where} ended with exit code {exit_.exitcode} while it loaded the model{exit_.cause and ', '}"
        words += f"{exit_.cause}. Its last words: {exit_.stderr_tail.strip() or 'none'}"
        if deaths >= _MOST_DEATHS:
            words += f"\n{deaths} workers in a row: it is not loaded in advance any more here"
        self._replies.append(Prepared(function, rank, words))

    def take_replies(self) -> list[Prepared]:
        """Remove and return the reports to send."""
        replies, self._replies = self._replies, []
        return replies

    def _reply(self, rank: WorkerRank, loaded: LoadedRecord) -> None:
        function: FunctionId = loaded.function  # type: ignore[assignment]  # as it was sent
        self._replies.append(Prepared(function, rank, loaded.error, loaded.description, loaded.seconds))


def _load_timeout(function: Function) -> float:
    return 0.0 if function.batching is None else function.batching.load_timeout
