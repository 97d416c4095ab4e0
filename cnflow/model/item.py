"""Items: contents that tasks refer to and that travel apart from them; each lies in one file on every node that has it.

A file that a task reads, a folder that it wrote, a value of `cnflow.put` or a result that stays on its node is an
item. Its key is the digest of its bytes (`cnflow.wire.blob_digest`): a node has each content once, and can verify it::

    driver, or the manager that has it ── Chunk, when wanted ──> manager: file of its store ──> workers open or map it
    `Task.items`: needed before the task begins      `Result.items`: left by the task, with the names of its places

What is pickled with a task notes its items (`note`), and who pickles collects them (`collect`): so items are found
wherever they are inside the arguments.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_SIZE = 16
"""Bytes of a key."""


class ItemForm(enum.IntEnum):
    """What the bytes of an item are."""

    FILE = 0
    TREE = 1
    """Tar stream of a folder, or of the files of a pattern."""

    VALUE = 2
    """Pickled value and its buffers, laid out to be mapped."""

    PROGRAM = 3
    """FILE that may be run, where a task has left it."""


class Item(NamedTuple):
    """An item by its name."""

    id: bytes
    """The key, and bytes that tell apart two times in which its source had it: a late release then drops nothing."""

    size: int
    form: int = 0
    """An `ItemForm`."""

    source: bytes = b""
    """Manager that has it; empty for the driver."""

    name: str = ""
    """Place of what a task left: ``outputs/0``, ``stdout``, ``stderr`` or ``value``; empty for what a task needs."""

    @property
    def key(self) -> bytes:
        """Digest of the bytes."""
        return self.id[:KEY_SIZE]


class _Collector(threading.local):
    items: Optional[dict[bytes, Item]] = None
    store: Any = None


_collector = _Collector()


def note(item: Item) -> None:
    """Note that *item* belongs to the value that is pickled in this thread; does nothing where nobody collects."""
    if _collector.items is not None:
        _collector.items[item.id] = item


def store() -> Any:  # noqa: ANN401 - a `cnflow.interfaces.ItemStore`, which is above
    """Return the store of the executor for which this thread pickles; None where nobody collects items."""
    return _collector.store


@contextlib.contextmanager
def collect(receiver: Any = None) -> Iterator[dict[bytes, Item]]:  # noqa: ANN401 - as above
    """Return a context whose value holds, by id, the items that are noted in this thread until its end.

    *receiver* is the `cnflow.interfaces.ItemStore` of the executor that gets the pickle: what is pickled, and is in no
    store yet, offers itself there.
    """
    outer = _collector.items, _collector.store
    items: dict[bytes, Item] = {}
    _collector.items, _collector.store = items, receiver
    try:
        yield items
    finally:
        _collector.items, _collector.store = outer
