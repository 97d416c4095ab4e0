"""What is known, and who waits for whom: results in memory, and identical calls in flight."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.wire import serialization

if TYPE_CHECKING:
    from cnflow.ids import TaskId

logger = logging.getLogger(__name__)

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Nobody can change one of these, so all callers may share it."""


class Lookup(Protocol):
    """Results of earlier runs."""

    def find(self, key: bytes) -> bytes | None:
        """The pickled value under *key*, if there is one."""


class Memo:
    """Results by key, of this run and behind it of earlier ones. Not locked: used under the kernel's lock."""

    def __init__(self, earlier: Lookup | None = None) -> None:
        self._earlier = earlier
        self._atoms: dict[bytes, Any] = {}
        self._pickles: dict[bytes, bytes] = {}
        self._unusable: set[bytes] = set()

    def find(self, key: bytes) -> tuple[bool, Any]:
        """Whether *key* is known, and its value: a fresh copy, unless it is one that cannot be changed.

        A value that cannot be unpickled any more is not known, so that its task is run; this is logged.
        """
        if key in self._atoms:
            return True, self._atoms[key]
        pickled = self._pickles.get(key)
        if pickled is None and self._earlier is not None and key not in self._unusable:
            pickled = self._earlier.find(key)
        if pickled is None:
            return False, None
        try:
            return True, serialization.load(pickled)
        except Exception as error:  # noqa: BLE001 - a user's type may fail in any way
            logger.warning("A remembered result cannot be unpickled, its task is run again: %s", error)
            self._unusable.add(key)
            self._pickles.pop(key, None)
            return False, None

    def keep(self, key: bytes, value: object) -> bytes | None:
        """Remember *value*, and return its pickle, as a checkpoint takes it.

        None for one that cannot be pickled: it is not remembered, since it could not be copied either.
        """
        try:
            pickled = _pickled(value)
        except Exception as error:  # noqa: BLE001 - a user's type may fail in any way; its caller has the value
            logger.warning("A result is not remembered, since it cannot be pickled: %s", error)
            return None
        if type(value) in _ATOMS:
            self._atoms[key] = value
        else:
            self._pickles[key] = pickled
        return pickled


class InFlight:
    """Identical calls that are launched or about to be: the first runs, the others wait for it.

    Pure, and not locked. When the first is settled, `settled` hands back the others: give them its value if it was
    done; if it failed run each of them, without asking `first` again; if it was cancelled ask `first` for each, and
    one of them takes its place.
    """

    def __init__(self) -> None:
        self._runs: dict[bytes, TaskId] = {}
        self._waiting: dict[bytes, list[TaskId]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def first(self, key: bytes, task: TaskId) -> bool:
        """Whether *task* is to run; otherwise it waits for the one with the same key that does."""
        if self._runs.setdefault(key, task) == task:
            return True
        self._waiting.setdefault(key, []).append(task)
        return False

    def settled(self, key: bytes, task: TaskId) -> list[TaskId]:
        """*task* ended, however: those that waited for it, in their order, and they wait no more.

        Empty if *task* is not the first of its key, whether it waited itself or ran on its own.
        """
        if self._runs.get(key) == task:
            del self._runs[key]
            return self._waiting.pop(key, [])
        waiting = self._waiting.get(key, [])
        if task in waiting:
            waiting.remove(task)
        return []


def _pickled(value: object) -> bytes:
    pickled = serialization.dump(value)  # for plain values several times faster than what takes buffers in band
    return serialization.dump_in_band(value) if pickled.buffers else pickled.body
