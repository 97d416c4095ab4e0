"""`Ref`: a value that was put once, and that any number of tasks are given without a copy.

::

    cnflow.put(value) ──pickled, buffers copied once──> ValueMemory of the driver <── Ref
                                                            │
        task of a HighThroughputExecutor: the Ref pickles as `load_value`, and offers itself to the executor's items,
          │                               each node gets the bytes once, and its workers map them
        task in a thread of the driver:   loaded from the driver's memory
          v
    the function is given the value, whose arrays are read-only views of shared memory

    the last reference to the Ref is gone, and the last task that was given it is done ──> dropped everywhere
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic

from cnflow.dataflow.references.memory import ValueMemory
from cnflow.errors import CnflowError, SerializationError
from cnflow.model import item as items
from cnflow.model.pickle_hooks import keep_identity
from cnflow.tasks import inside, value_files
from cnflow.tasks.values import kind_of, load_value, loaded
from cnflow.text import amount_of_memory, describe_error, is_ctrl_c
from cnflow.wire import serialization

if TYPE_CHECKING:
    from collections.abc import Generator

    from typing_extensions import Self

    from cnflow.interfaces import ItemStore
    from cnflow.model.item import Item

from typing import TypeVar

R = TypeVar("R")

INLINE = 16 * 1024
"""Bytes up to which a value travels inside the arguments of its tasks: as an item it would cost more."""

_DRIVER = "the driver"
_FEW = 3
"""Number of places that are named one by one."""


has_any = False
"""A value was put in this process so far."""


class Ref(Generic[R]):
    """A value by reference; made by `cnflow.put`.

    Anywhere among the arguments of an app, it stands for its value. Each node gets the bytes once, however many tasks
    there are given it, and keeps them as long as the Ref exists. Large arrays in the value are read-only there.

    Attributes:
        size: bytes of the value.
    """

    __slots__ = ("__weakref__", "_memory", "_offered", "_what", "size")

    def __init__(self, value: R) -> None:
        global has_any  # noqa: PLW0603 - so that other runs do not look for references
        has_any = True
        try:
            payload = serialization.dump(value)
            memory = ValueMemory(payload)
        except BaseException as error:
            if is_ctrl_c(error) or isinstance(error, CnflowError):
                raise
            raise SerializationError(_refusal(value, error)) from error
        self._memory = memory
        self._what = kind_of(value)
        self._offered: weakref.WeakKeyDictionary[ItemStore, Item] = weakref.WeakKeyDictionary()
        """Item of each executor that was given it."""

        self.size = len(memory.view)

    @property
    def key(self) -> bytes:
        """Digest of the value's bytes; computed when it is first asked for."""
        return self._memory.key

    def get(self) -> R:
        """Return the value. Its containers are the caller's own; its large arrays are shared, and read-only.

        Raises:
            Exception: the error of a type that cannot be unpickled.
        """
        value: R = value_files.load(self._memory.view)
        return value

    def __await__(self) -> Generator[Any, None, R]:
        """Return the value in a coroutine, as `get` does; it is there."""
        return self.get()
        yield  # makes this a generator

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the value: a large one as an item of the executor that gets the arguments.

        Raises:
            SerializationError: a large one is pickled for anybody else.
        """
        memory, store = self._memory, items.store()
        if self.size <= INLINE:
            return loaded, (bytes(memory.view),)
        if store is None:
            raise SerializationError(
                f"{self!r} is no argument here, but part of a function (a global, a default, a variable of a closure) "
                "or of a file. Pass it to the app as an argument; elsewhere, use its get()."
            )
        items.note(self._item_of(store))
        return load_value, (memory.key, False)

    def _item_of(self, store: ItemStore) -> Item:
        item = self._offered.get(store)
        if item is None:
            offered = store.offer_value([self._memory.view], self._memory.key, self._memory.share())
            item = self._offered.setdefault(store, offered)
            if item is offered:
                weakref.finalize(self, _release, weakref.ref(store), item)
            else:
                store.release(offered)  # another thread was quicker
        return item

    def __copy__(self) -> Self:
        """Return this reference: the value cannot change."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return this reference, as `__copy__` does."""
        return self

    def __repr__(self) -> str:
        return f"<Ref of {amount_of_memory(self.size)} ({self._what}), {self._places()}>"

    def _places(self) -> str:
        """Return words on who has the value; on the driver first, which always has it."""
        found = {place: None for store, item in self._offered.items() for place in store.locations(item)}
        found.pop(_DRIVER, None)
        if len(found) > _FEW:
            return f"in the driver and on {len(found)} nodes"
        return "in the driver" + "".join(f", on {place}" for place in found)


keep_identity(Ref)


def put(value: R) -> Ref[R]:
    """Store *value* once, for any number of tasks, and return a reference to pass to them in its place.

    ::

        table = cnflow.put(large_array)
        futures = [score(table, row) for row in range(1000)]  # each node gets the array once

    It is what it was at this call: later changes of *value* have no effect. No run need be loaded.

    Raises:
        SerializationError: *value* cannot be pickled, or there is no memory for it.
    """
    if inside.in_worker:
        raise SerializationError(
            "cnflow.put was called in a task. Return the value instead; with keep_remote=True it stays on its node."
        )
    return value if isinstance(value, Ref) else Ref(value)


def _release(store: weakref.ref[ItemStore], item: Item) -> None:
    live = store()
    if live is not None:
        live.release(item)


def _refusal(value: object, error: BaseException) -> str:
    if isinstance(error, (OSError, MemoryError)):
        return f"cnflow.put: there is no memory for {kind_of(value)}: {describe_error(error)}"
    return (
        f"cnflow.put: {kind_of(value)} cannot be pickled: {describe_error(error)}. Put what it is made from, "
        "and make it inside the function."
    )
