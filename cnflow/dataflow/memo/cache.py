"""Looks up the tasks of apps with ``cache=True`` before they are launched: known, in flight, or to be run.

::

    launch ──look_up──> KNOWN
                │   └─> WAIT for the identical call in flight ──on_settled of that──> launched, and looked up, again
                v                          └──withdraw: cancelled
               RUN ──outcome──> save: pickled, given to the checkpointer, then found by look_up ──> on_settled

A result is found only after it was written: what a user has seen, from whichever call, is in the checkpoint. A result
that stays on its node is found in this run, and is in no checkpoint: it lasts no longer than the run.
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.code_at_call import has_run_the_code_of_its_call
from cnflow.dataflow.futures.origin import give_origin, origin_of
from cnflow.dataflow.memo.in_memory import InFlight, InMemoryResults, pickle_result
from cnflow.dataflow.references.kept_result import KeptResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.dataflow.call_options import AppOptions
    from cnflow.dataflow.memo import Checkpointer, CheckpointReader
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.interfaces import Executor
    from cnflow.model.provenance import Origin
    from cnflow.model.task import TaskToRun


class CacheDecision(enum.Enum):
    """The fate of a task that was looked up."""

    RUN = enum.auto()
    KNOWN = enum.auto()
    """The value is in the task's record."""

    WAIT = enum.auto()
    """An identical call runs; the task is launched again when that has ended."""

    CANCELLED = enum.auto()
    """An identical call runs, and the user has cancelled the task before it began to wait."""


def enable_cache(record: TaskRecord, options: AppOptions, executor: Executor) -> list[Future[Any]]:
    """Mark the task of *record* as cached; return its dependencies, the digest of its image included."""
    record.memoize = True
    record.ignore_for_cache = options.ignore_for_cache
    return [*record.depends, executor.digest] if executor.image else [*record.depends]


class ResultCache:
    """Results, calls in flight and checkpoints of one run. Safe from any thread.

    No lock is held while values are pickled or unpickled, or files are read or written.

    Args:
        earlier: results of earlier runs; None: there are none.
        checkpointer: writes new results to a file; None: they are not written.
        files_by_content: identify files by their content instead of by path, size and time of change.
        checkpointer_on_demand: makes a checkpointer at the first call of `checkpoint` where there is none.
    """

    def __init__(
        self,
        earlier: CheckpointReader | None = None,
        checkpointer: Checkpointer | None = None,
        *,
        files_by_content: bool = False,
        checkpointer_on_demand: Callable[[], Checkpointer] | None = None,
    ) -> None:
        self._files_by_content = files_by_content
        self._earlier = earlier
        self._checkpointer = checkpointer
        self._checkpointer_on_demand = checkpointer_on_demand
        self._results = InMemoryResults(earlier)
        self._lock = threading.Lock()
        """Held while calls enter or leave `_in_flight`; `on_settled` and `withdraw` take it under the graph's lock."""

        self._in_flight = InFlight()
        self._demand_lock = threading.Lock()

    def key_of(self, task: TaskToRun, executor: Executor, record: TaskRecord) -> bytes:
        """Key of *task* on *executor*, whose image's digest is known; see `cnflow.dataflow.memo.key_of`.

        Raises:
            MemoKeyError: an argument cannot be part of a key; the message names it.
        """
        from cnflow.dataflow.memo import identify_files, key_of  # noqa: PLC0415 - most runs cache nothing

        image = ""
        if executor.image:  # as text: a plain image has the keys that it had before images had options
            image = (executor.digest.result() or str(executor.image)) + executor.image.result_settings()
        with identify_files(by_content=self._files_by_content):
            return key_of(task, image, record.ignore_for_cache, record.code)

    def look_up(self, key: bytes, task: TaskId, record: TaskRecord) -> CacheDecision:
        """Decide whether *task*, whose key is *key*, must run; a known value is put into *record*."""
        while True:
            found, record.value = self._results.find(key)
            if found:
                record.memo_key = None
                give_origin(record.future, self._results.origin_of(key), key)
                return CacheDecision.KNOWN
            with self._lock:
                if key in self._results:
                    continue  # stored since, by a call that may have left
                record.memo_key = key
                return CacheDecision.RUN if self._in_flight.add(key, task) else CacheDecision.WAIT

    def withdraw(self, task: TaskId, record: TaskRecord) -> bool:
        """Let *task* wait no longer for an identical call; return False if it does not wait for one."""
        with self._lock:
            if record.memo_key is None or not self._in_flight.withdraw(record.memo_key, task):
                return False
            record.memo_key = None
            return True

    def save(self, records: Iterable[TaskRecord]) -> None:
        """Store the results of tasks that have a key and are done. Called before they are settled."""
        made: list[tuple[bytes, bytes, TaskRecord, Origin]] = []
        for record in records:
            assert record.memo_key is not None  # the caller checks
            if not has_run_the_code_of_its_call(record):
                continue
            if type(record.value) is KeptResult:  # not by isinstance, which may run code of a user's value
                self._results.store_kept(record.memo_key, record.value, origin_of(record.future))
                continue
            pickled = pickle_result(record.value)
            if pickled is not None:
                made.append((record.memo_key, pickled, record, origin_of(record.future)))
        if self._checkpointer is not None and made:
            self._checkpointer.record_all(
                (key, pickled, record.app.name, origin) for key, pickled, record, origin in made
            )
        for key, pickled, record, origin in made:
            self._results.store(key, record.value, pickled, origin)

    def on_settled(self, task: TaskId, record: TaskRecord) -> list[TaskId]:
        """Return the tasks that waited for *task*, which has a key and is final."""
        assert record.memo_key is not None  # the caller checks
        with self._lock:
            return self._in_flight.on_settled(record.memo_key, task)

    def checkpoint(self) -> Path | None:
        """Write new results now; return the checkpoint's folder, or None where this run writes no checkpoints.

        Without a checkpointer one is made, which gets the results so far, and from now on those of each task.

        Raises:
            OSError, BadCheckpoint: the checkpoint cannot be written.
        """
        with self._demand_lock:
            if self._checkpointer is None and self._checkpointer_on_demand is not None:
                made = self._checkpointer_on_demand()
                self._checkpointer = made  # before the results are listed: one that comes meanwhile may be there twice
                made.record_all((key, pickled, "", origin) for key, pickled, origin in self._results.pickled())
        return None if self._checkpointer is None else self._checkpointer.checkpoint()

    def close(self) -> None:
        """Write the rest if the mode has it so, and close files."""
        if self._checkpointer is not None:
            self._checkpointer.close()
        if self._earlier is not None:
            self._earlier.close()
