"""Items that the driver has offered, or that tasks have left on nodes for it, and who refers to each. No I/O.

::

    offer ──> content known? ──no──> a new id ──┐
                 └──yes──> the same id ─────────┼──> referred to by users (hold, release) and attempts of tasks
    leave (a task's, on its node) ──────────────┘         │ nobody refers to it any more
                                                          └──> dropped: Release to the interchange and the nodes

    fail: the file was changed, or is gone ──> the next offer of that content gets another id
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, NamedTuple, Union

from cnflow.model.item import Item
from cnflow.wire.bulk import Release

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.ids import ManagerId, TaskId

DRIVER = b""
"""Source of the items that the driver has."""

_ADOPTABLE = b"\x80\0\0\0"


class Identity(NamedTuple):
    """What changes with the content of a file."""

    device: int
    inode: int
    size: int
    changed: int
    """Nanoseconds of the last change of the content (``st_mtime_ns``)."""

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Identity of the file with that *status*."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class FileContent(NamedTuple):
    """Content that lies in a file."""

    path: str
    identity: Identity
    origin: str = ""
    """Folder that is packed in the file, which is removed with the item; empty for a file of the user."""


Content = Union[FileContent, "Sequence[memoryview]"]


class Dropped(NamedTuple):
    """What nobody refers to any more."""

    releases: list[Release]
    files: list[str]
    """Packed folders, to be removed."""


class _Known:
    __slots__ = ("content", "flaw", "item", "others", "references")

    def __init__(self, item: Item, content: Content | None) -> None:
        self.item = item
        self.content = content
        self.others: dict[FileContent, None] = {}
        """Files of the user with the same bytes: one may be changed, or removed, when its own tasks are done."""

        self.references = 1
        self.flaw = ""
        """Sentence on why its bytes cannot be had any more."""


class KnownItems:
    """The items; the module has a picture.

    Attributes:
        is_adoptable: ids are the same in each driver of this run, which compares tasks by them; in other runs they
            differ between drivers, so that those of one pool never meet.
    """

    def __init__(self) -> None:
        self.is_adoptable = False
        self._suffix = bytes((os.urandom(1)[0] | 0x80, *os.urandom(3)))  # no argument's name has that bit
        self._known: dict[tuple[bytes, bytes], _Known] = {}
        """By source and id."""

        self._offered: dict[bytes, bytes] = {}
        """Key -> id of the items that the driver has."""

        self._of_tasks: dict[tuple[TaskId, int], list[Item]] = {}
        self._flaws: dict[bytes, str] = {}
        """Key -> sentence, of items that were offered and cannot be had."""

        self._numbers = itertools.count()
        self._holdings: dict[bytes, int] = {}
        """Key -> times that it was offered anew, in an adoptable run."""

    def __len__(self) -> int:
        return len(self._known)

    @property
    def has_references_of_tasks(self) -> bool:
        """True while an unfinished task refers to an item."""
        return bool(self._of_tasks)

    def offer(self, key: bytes, size: int, form: int, content: Content, name: str = "") -> Item:
        """Return the item of that *content*, with one user more; *name* is a hint for its readers."""
        self._flaws.pop(key, None)
        known = self._known.get((DRIVER, self._offered.get(key, b"")))
        if known is not None and known.item.form == form:
            known.references += 1
            if isinstance(content, FileContent) and not content.origin and content != known.content:
                known.others[content] = None
            return known.item
        item = Item(self._new_id(key), size, form, DRIVER, name)
        self._offered[key] = item.id
        self._known[DRIVER, item.id] = _Known(item, content)
        return item

    def leave(self, item: Item) -> None:
        """Note *item*, which a task has left on its node, with one user."""
        known = self._known.get((item.source, item.id))
        if known is None:
            self._known[item.source, item.id] = _Known(item, None)
        else:
            known.references += 1

    def hold(self, item: Item) -> None:
        """Note one user more of *item*; does nothing if it is dropped."""
        known = self._known.get((item.source, item.id))
        if known is not None:
            known.references += 1

    def release(self, items: Iterable[Item]) -> Dropped:
        """Note one user less of each of *items*."""
        dropped: dict[bytes, list[bytes]] = {}
        files: list[str] = []
        for item in items:
            known = self._known.get((item.source, item.id))
            if known is None:
                continue
            known.references -= 1
            if known.references:
                continue
            del self._known[item.source, item.id]
            if self._offered.get(item.key) == item.id:
                del self._offered[item.key]
            if isinstance(known.content, FileContent) and known.content.origin:
                files.append(known.content.path)
            if not known.flaw or item.source == DRIVER:
                dropped.setdefault(item.source, []).append(item.id)
        return Dropped([Release(source, blobs) for source, blobs in dropped.items()], files)

    def on_task(self, task: TaskId, attempt: int, items: Sequence[Item]) -> None:
        """Note that *attempt* of *task*, which is not reported, refers to *items*."""
        self._of_tasks[task, attempt] = list(items)
        for item in items:
            self.hold(item)

    def on_tasks_reported(self, attempts: Iterable[tuple[TaskId, int]]) -> Dropped:
        """Note that these *attempts* are reported."""
        items = [item for attempt in attempts for item in self._of_tasks.pop(attempt, ())]
        return self.release(items)

    def on_manager_lost(self, manager: ManagerId, reason: str) -> None:
        """Note that what *manager* had cannot be had any more."""
        for (source, _), known in self._known.items():
            if source == manager:
                known.flaw = reason

    def fail(self, blob: bytes, content: Content, flaw: str) -> FileContent | None:
        """Note that the driver's item of that id cannot be had from *content* any more; *flaw* is a sentence.

        Returns:
            Another file that has, or had, the same bytes; None if there is none: then it cannot be had.
        """
        known = self._known.get((DRIVER, blob))
        if known is None or known.flaw:
            return None
        if known.content == content:
            known.content, _ = known.others.popitem() if known.others else (None, None)
        if isinstance(known.content, FileContent):
            return known.content
        known.flaw = self._flaws[known.item.key] = flaw
        if self._offered.get(known.item.key) == blob:
            del self._offered[known.item.key]
        return None

    def packed_files(self) -> list[str]:
        """Paths of packed folders, to be removed at the end of the run."""
        contents = [known.content for known in self._known.values()]
        return [content.path for content in contents if isinstance(content, FileContent) and content.origin]

    def content(self, blob: bytes) -> Content | None:
        """Content of the driver's item of that id; None if it has none, or it was changed."""
        known = self._known.get((DRIVER, blob))
        return None if known is None or known.flaw else known.content

    def has(self, source: bytes, blob: bytes) -> bool:
        """Return True if somebody refers to that item."""
        return (source, blob) in self._known

    def flaw(self, item: Item) -> str:
        """Sentence on why the bytes of *item* cannot be had any more; empty if they can, as far as is known."""
        known = self._known.get((item.source, item.id))
        return "" if known is None else known.flaw

    def flaw_of_offered(self, key: bytes) -> str:
        """Sentence on why a content that was offered cannot be had; empty if it can."""
        return self._flaws.get(key, "")

    def _new_id(self, key: bytes) -> bytes:
        if not self.is_adoptable:
            return key + self._suffix + next(self._numbers).to_bytes(4, "big")
        number = self._holdings[key] = self._holdings.get(key, -1) + 1
        return key + _ADOPTABLE + number.to_bytes(4, "big")
