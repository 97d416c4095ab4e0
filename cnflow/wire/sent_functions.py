"""Decides which functions to send along with tasks, and when the receiver is to forget those before. No I/O.

Each sender of tasks (driver, interchange, manager) has one for each receiver; messages arrive in their order::

    sender                                                          receiver
      ├── tasks, and the functions that are not in `ids` ────────────> keeps the functions
      │    ...
      │   more than the limit was sent: `ids` is empty
      ├── tasks, forgets, and all functions of these tasks ──────────> forgets those that none of its tasks refers to,
      │                                                                then as before

A function may need records of modules, which are sent in the same way, before it.

A run with a new closure in each task would fill the memory of all processes otherwise. The receiver decides what it
still needs, and the next task of a function that it forgot brings that again: the sender keeps no account of the
receiver's tasks, no message travels the other way, and no task waits for a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.wire.bulk import BULK_FROM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from cnflow.ids import FunctionId
    from cnflow.wire.function_messages import Function

OF_INTERCHANGE = 2**27
OF_MANAGER = 2**26
OF_WORKER = 2**25
"""Bytes of functions that each of these is sent before it forgets. Most runs have fewer, and nothing is sent twice."""

_OVERHEAD = 512
"""Bytes that a function takes besides its code, about."""


class SentFunctions:
    """Functions that one receiver has.

    Args:
        limit: bytes after which the receiver is to forget.
        is_new: False if the receiver may have functions from before: it forgets with the first task.

    Attributes:
        ids: functions that need not be sent.
    """

    __slots__ = ("_limit", "_size", "ids")

    def __init__(self, limit: int, *, is_new: bool = True) -> None:
        self.ids: set[FunctionId] = set()
        self._limit = limit
        self._size = 0 if is_new else limit

    def on_new_session(self) -> None:
        """Send every function again: what the receiver has is not known."""
        self.ids.clear()
        self._size = self._limit

    def discard(self, function: FunctionId) -> None:
        """Send *function* again with its next task: the receiver was ordered to forget it."""
        self.ids.discard(function)

    def add(self, wanted: AbstractSet[FunctionId], table: Mapping[FunctionId, Function]) -> tuple[list[Function], bool]:
        """Return those functions of *table* that are to be sent for *wanted*; True if the receiver first forgets."""
        unsent = wanted - self.ids
        if not unsent:
            return [], False
        must_forget = self._size >= self._limit
        if must_forget:
            self.ids.clear()
            self._size = 0
            unsent = wanted
        functions = [table[function] for function in sorted(unsent)]
        modules = {module for function in functions for module in function.modules} - self.ids
        if modules:
            functions = [*(table[module] for module in sorted(modules)), *functions]
        self.ids.update(unsent, modules)
        self._size += sum(map(size_of, functions))
        return functions, must_forget


def size_of(function: Function) -> int:
    """Bytes that *function* takes in the memory of a receiver."""
    return len(function.body) + _OVERHEAD


def kept(table: Mapping[FunctionId, Function], used: Iterable[FunctionId]) -> dict[FunctionId, Function]:
    """Return the part of *table* that is left when a receiver forgets all functions but those in *used*."""
    functions = {function: table[function] for function in used}
    for function in [*functions.values()]:
        functions.update((module, table[module]) for module in function.modules)
    return functions


def functions_in_batches(functions: Iterable[Function]) -> list[list[Function]]:
    """Divide *functions* so that each batch makes a message of about `BULK_FROM` bytes at the most, or is one."""
    batches: list[list[Function]] = [[]]
    size = 0
    for function in functions:
        own = size_of(function)
        if size + own > BULK_FROM and batches[-1]:
            batches.append([])
            size = 0
        batches[-1].append(function)
        size += own
    return batches
