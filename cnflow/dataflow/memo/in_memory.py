"""Results in memory, and identical calls in flight."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.text import describe_error, is_ctrl_c
from cnflow.wire import serialization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.dataflow.references.kept_result import KeptResult
    from cnflow.ids import TaskId
    from cnflow.model.provenance import Origin

logger = logging.getLogger(__name__)

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types of values that cannot be changed, so that all callers may share them."""


class Lookup(Protocol):
    """Results of earlier runs."""

    def find(self, key: bytes) -> bytes | None:
        """Return the pickled value for *key*; None if there is none."""

    def origin_of(self, key: bytes) -> Origin | None:
        """Return where and when the value for *key* was made; None if that is not known."""


class InMemoryResults:
    """Results of this run by key, then those of earlier runs. Safe from any thread, without a lock."""

    def __init__(self, earlier: Lookup | None = None) -> None:
        self._earlier = earlier
        self._atoms: dict[bytes, Any] = {}
        self._kept: dict[bytes, KeptResult] = {}
        self._pickles: dict[bytes, bytes] = {}
        self._unusable: set[bytes] = set()
        self._origins: dict[bytes, Origin] = {}

    def find(self, key: bytes) -> tuple[bool, Any]:
        """Return whether *key* has a value, and the value: a fresh copy, unless it is of a type that cannot be changed.

        A value that cannot be unpickled any more counts as unknown, so that its task runs; this is logged.
        """
        if key in self._atoms:
            return True, self._atoms[key]
        if key in self._kept:
            return True, self._kept[key]
        pickled = self._pickles.get(key)
        if pickled is None and self._earlier is not None and key not in self._unusable:
            pickled = self._earlier.find(key)
        if pickled is None:
            return False, None
        try:
            return True, serialization.load(pickled)
        except BaseException as error:  # a user's type may fail in any way
            if is_ctrl_c(error):
                raise
            logger.warning("A cached result cannot be unpickled, its task is run again: %s", describe_error(error))
            self._unusable.add(key)
            self._pickles.pop(key, None)
            return False, None

    def origin_of(self, key: bytes) -> Origin | None:
        """Return where and when the value for *key* was made; None if that is not known."""
        if key in self or self._earlier is None:
            return self._origins.get(key)
        return self._earlier.origin_of(key)

    def store(self, key: bytes, value: object, pickled: bytes, origin: Origin | None = None) -> None:
        """Store *value*, whose pickle is *pickled*, and which was made at *origin*."""
        if origin is not None:
            self._origins[key] = origin
        if type(value) in _ATOMS:
            self._atoms[key] = value
        else:
            self._pickles[key] = pickled

    def store_kept(self, key: bytes, kept: KeptResult, origin: Origin) -> None:
        """Store a result that stays on its node, until the end of the run."""
        self._origins[key] = origin
        self._kept[key] = kept

    def pickled(self) -> Iterator[tuple[bytes, bytes, Origin | None]]:
        """Results of this run, each with its key and where it was made."""
        for key, pickled in list(self._pickles.items()):
            yield key, pickled, self._origins.get(key)
        for key, value in list(self._atoms.items()):
            yield key, serialization.dump_in_band(value), self._origins.get(key)

    def __contains__(self, key: bytes) -> bool:
        """Return True for a result of this run; of earlier ones, only `find` can tell."""
        return key in self._atoms or key in self._pickles or key in self._kept


def pickle_result(value: object) -> bytes | None:
    """Return the pickle of a result, as a checkpoint takes it.

    A value that cannot be pickled is not cached, since it could not be copied either: None, and logged.
    """
    try:
        pickled = serialization.dump(value)  # several times faster for plain values than with buffers in band
        return serialization.dump_in_band(value) if pickled.buffers else pickled.body
    except BaseException as error:  # a user's type may fail in any way; its caller has the value
        if is_ctrl_c(error):
            raise
        logger.warning("A result is not cached, since it cannot be pickled: %s", describe_error(error))
        return None


class InFlight:
    """Identical calls that are launched or about to be: the first runs, the others wait for it. No I/O, not locked.

    `on_settled` returns the tasks that waited for the first. The caller gives them its value if it is done; runs each
    of them, without `add`, if it failed; and adds each of them again if it was cancelled, so that one takes its place.
    """

    def __init__(self) -> None:
        self._runs: dict[bytes, TaskId] = {}
        self._waiting: dict[bytes, list[TaskId]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, key: bytes, task: TaskId) -> bool:
        """Add *task*; return True if it is to run, False if it waits for the first task of its key."""
        if self._runs.setdefault(key, task) == task:
            return True
        self._waiting.setdefault(key, []).append(task)
        return False

    def on_settled(self, key: bytes, task: TaskId) -> list[TaskId]:
        """Remove *task*, which ended; return the tasks that waited for it, in their order.

        The list is empty if *task* is not the first of its key, whether it waited itself or ran on its own.
        """
        if self._runs.get(key) == task:
            del self._runs[key]
            return self._waiting.pop(key, [])
        self.withdraw(key, task)
        return []

    def withdraw(self, key: bytes, task: TaskId) -> bool:
        """Remove *task*, which no longer waits; return False if it does not wait for the first of its key."""
        waiting = self._waiting.get(key, ())
        if task not in waiting:
            return False
        self._waiting[key].remove(task)
        return True
