"""What the kernel asks before it launches a task with ``cache=True``: is its result known, or on its way?"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from cnflow.dataflow.memo.in_memory import InFlight, Memo

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.dataflow.memo import Checkpointer, LoadedCheckpoints
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.interfaces import Executor
    from cnflow.model.task import TaskToRun


class CacheDecision(enum.Enum):
    """What to do with the task."""

    RUN = enum.auto()
    KNOWN = enum.auto()
    """Its value is in its record."""

    WAIT = enum.auto()
    """An identical call runs: this one is launched again when that has ended."""


class ResultCache:
    """Memo, calls in flight and checkpoints of one run. All but `key_of` under the kernel's lock.

    Args:
        earlier: results of earlier runs; None knows only this run's.
        checkpointer: writes what is new; None writes nothing.
        files_by_content: tell files apart by what is in them, not by path, size and time of change.
    """

    def __init__(
        self,
        earlier: LoadedCheckpoints | None = None,
        checkpointer: Checkpointer | None = None,
        *,
        files_by_content: bool = False,
    ) -> None:
        self._files_by_content = files_by_content
        self._earlier = earlier
        self._checkpointer = checkpointer
        self._memo = Memo(earlier)
        self._in_flight = InFlight()
        self._new: list[tuple[bytes, bytes, str]] = []

    def key_of(self, task: TaskToRun, executor: Executor, ignored: Collection[str] = ()) -> bytes:
        """Key of *task* on *executor*, whose digest is known; see `cnflow.dataflow.memo.key_of`.

        Raises:
            MemoKeyError: an argument cannot be part of a key; names it.
        """
        from cnflow.dataflow.memo import key_of, telling_files_apart  # noqa: PLC0415 - most runs remember nothing

        image = (executor.digest.result() or executor.image) if executor.image else ""
        with telling_files_apart(by_content=self._files_by_content):
            return key_of(task, image, ignored)

    def ask(self, key: bytes, task: TaskId, record: TaskRecord) -> CacheDecision:
        """Whether the task of *key* must be run."""
        found, record.value = self._memo.find(key)
        if found:
            record.memo_key = None
            return CacheDecision.KNOWN
        record.memo_key = key
        return CacheDecision.RUN if self._in_flight.first(key, task) else CacheDecision.WAIT

    def settled(self, task: TaskId, record: TaskRecord, *, done: bool) -> list[TaskId]:
        """A task that has a key ended; returns those that waited for it. Failures are not remembered."""
        assert record.memo_key is not None  # the caller looked
        if done:
            pickled = self._memo.keep(record.memo_key, record.value)
            if pickled is not None:
                self._new.append((record.memo_key, pickled, record.app.name))
        return self._in_flight.settled(record.memo_key, task)

    def flush(self) -> None:
        """Hand what is new to the checkpointer; before the futures are set, so that a result seen is a result kept."""
        if self._new and self._checkpointer is not None:
            self._checkpointer.record_all(self._new)
        if self._new:
            self._new = []

    def checkpoint(self) -> Path | None:
        """Write what is new now; the folder, or None where this run writes no checkpoints.

        Raises:
            OSError, BadCheckpoint: it cannot be written.
        """
        return None if self._checkpointer is None else self._checkpointer.checkpoint()

    def close(self) -> None:
        """Write what is left, by the mode, and close files."""
        if self._checkpointer is not None:
            self._checkpointer.close()
        if self._earlier is not None:
            self._earlier.close()
