"""An item store in one folder, which is the area of the only node as well: nothing travels. For tests of kernels.

::

    offer_file, offer_value ──> root/objects/KEY <── left by a task: take_left()
                                     │   a test decides: lose(item)
                                     └── fetch ──> copy at the path

Holds are counted: a content without a user is removed.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import ItemLostError
from cnflow.model.item import Item, ItemForm
from cnflow.tasks import area, inside
from cnflow.wire.blob_digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_NODE = b"node"


class FakeItemStore:
    """Implements `cnflow.interfaces.ItemStore`. Safe from any thread.

    Args:
        root: folder of the area; set ``CNFLOW_AREA`` to it where tasks run.

    Attributes:
        held: number of users of each item.
        fetched: items in the order in which they were fetched.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.held: Counter[bytes] = Counter()
        self.fetched: list[Item] = []
        self._lock = threading.Lock()
        self._count = 0
        for name in ("objects", "partial"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def offer_file(self, path: str, form: ItemForm = ItemForm.FILE) -> Future[Item]:
        """Copy the file at *path* into the area."""
        future: Future[Item] = Future()
        content = Path(path).read_bytes()
        future.set_result(self._add(content, digest_of(content), form, b""))
        return future

    def offer_value(self, chunks: Sequence[memoryview], key: bytes = b"", name: str = "") -> Item:
        """Write *chunks* into the area."""
        content = b"".join(chunks)
        return self._add(content, key or digest_of(content), ItemForm.VALUE, b"")._replace(name=name)

    def take_left(self) -> tuple[Item, ...]:
        """Return the items that the task of this thread has just left, as a manager does; each is held once."""
        items = []
        for left in inside.take_left():
            path = Path(left.path)
            items.append(self._add(path.read_bytes(), left.key, ItemForm(left.form), _NODE)._replace(name=left.name))
            path.unlink()
        return tuple(items)

    def fetch(self, item: Item, path: str) -> Future[str]:
        """Copy *item* to *path*."""
        future: Future[str] = Future()
        self.fetched.append(item)
        try:
            shutil.copyfile(self._object(item), path)
        except FileNotFoundError:
            error = ItemLostError("the node is gone")
            error.key = item.key
            future.set_exception(error)
        else:
            future.set_result(path)
        return future

    def hold(self, item: Item) -> None:
        """Count one user more."""
        with self._lock:
            self.held[item.id] += 1

    def release(self, item: Item) -> None:
        """Count one user less; the last one's content is removed."""
        with self._lock:
            self.held[item.id] -= 1
            if not self.held[item.id]:
                del self.held[item.id]
                if not any(held.startswith(item.key) for held in self.held):
                    self._object(item).unlink(missing_ok=True)

    def locations(self, item: Item) -> Sequence[str]:
        """Name the driver or the node."""
        return ["host1"] if item.source else ["the driver"]

    def lose(self, item: Item) -> None:
        """Remove the content of *item*, as if its node were gone."""
        self._object(item).unlink(missing_ok=True)

    def _object(self, item: Item) -> Path:
        return Path(area.object_path(self.root, item.key))

    def _add(self, content: bytes, key: bytes, form: ItemForm, source: bytes) -> Item:
        with self._lock:
            self._count += 1
            item = Item(key + self._count.to_bytes(8, "big"), len(content), int(form), source)
            self.held[item.id] = 1
            self._object(item).write_bytes(content)
        return item
