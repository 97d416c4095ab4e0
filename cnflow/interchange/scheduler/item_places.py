"""Managers that have items, as far as the interchange knows: sent with tasks, or left by them. No I/O.

::

    task submitted with an item of a manager ──> that manager has it
    task sent to a manager with an item ───────> that manager has it, or is about to
    result that has left an item ──────────────> its manager has it
    Release of all holdings of a content; the manager is gone ──> forgotten

Managers of one host share the folder of their items: what one has, all have.

A manager may have evicted what nobody needs now. It fetches that again, so that a mistake costs time alone.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, NamedTuple

from cnflow.ids import ManagerId
from cnflow.model.item import KEY_SIZE

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Sequence

    from cnflow.model.item import Item
    from cnflow.wire.bulk import BlobId

_MOST_ITEMS = 16
"""Items of a task that count, the largest ones: a task may read thousands of files."""

MOST_HOLDERS = 16
"""Managers among which the best one for a task is looked for."""


class _Content(NamedTuple):
    """Bytes that some manager has, or had.

    Attributes:
        holders: managers that have them.
        holdings: ids of items with these bytes that are not released, and the source of each.
    """

    holders: dict[ManagerId, None]
    holdings: dict[BlobId, bytes]


class ItemPlaces:
    """The places; the module has a picture."""

    def __init__(self) -> None:
        self._contents: dict[bytes, _Content] = {}
        self._keys: dict[ManagerId, set[bytes]] = {}
        self._hosts: dict[ManagerId, str] = {}
        self._siblings: dict[str, set[ManagerId]] = {}
        """Managers of each host."""

    def __len__(self) -> int:
        return len(self._contents)

    def on_registered(self, manager: ManagerId, host: str) -> None:
        """Note that *manager* runs on *host*; it has what others there have."""
        siblings = self._siblings.setdefault(host, set())
        self._hosts[manager] = host
        for key in list(self._keys.get(next(iter(siblings)), ())) if siblings else ():
            self._add_to(manager, key, self._contents[key])
        siblings.add(manager)

    def on_submitted(self, items: Iterable[Item], managers: Container[ManagerId]) -> None:
        """Note the *items* of a task; the source of one has it, if it is one of *managers*."""
        for item in items:
            if item.source and item.source in managers:
                self._add(ManagerId(item.source), item.key, self._note(item))

    def on_had(self, manager: ManagerId, items: Iterable[Item]) -> None:
        """Note that *manager* has *items*: it was sent a task with them, or a task has left them there."""
        for item in items:
            self._add(manager, item.key, self._note(item))

    def release(self, blobs: Iterable[BlobId]) -> dict[ManagerId, list[BlobId]]:
        """Forget holdings that nobody needs any more; return, by manager, those that it may have a copy of."""
        had: dict[ManagerId, list[BlobId]] = {}
        for blob in blobs:
            key = key_of(blob)
            content = self._contents.get(key)
            if content is None or content.holdings.pop(blob, None) is None:
                continue
            for manager in content.holders:
                had.setdefault(manager, []).append(blob)
            if not content.holdings:
                self._forget(key)
        return had

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Forget what *manager* had; what it was the source of, nobody will release."""
        host = self._hosts.pop(manager, None)
        if host is not None:
            self._siblings[host].discard(manager)
            if not self._siblings[host]:
                del self._siblings[host]
        for key in self._keys.pop(manager, ()):
            content = self._contents[key]
            del content.holders[manager]
            for blob in [blob for blob, source in content.holdings.items() if source == manager]:
                del content.holdings[blob]
            if not content.holdings:
                self._forget(key)

    def missing(self, manager: ManagerId, items: Sequence[Item]) -> int:
        """Bytes of *items* that *manager* does not have."""
        keys = self._keys.get(manager, ())
        return sum(item.size for item in items if item.key not in keys)

    def holders(self, items: Sequence[Item]) -> Collection[ManagerId]:
        """Managers that have the largest of *items* that some manager has."""
        contents = self._contents
        best = max((item for item in items if self._has_holder(item)), key=lambda item: item.size, default=None)
        return contents[best.key].holders if best is not None else ()

    def best_holders(self, items: Sequence[Item]) -> list[ManagerId]:
        """Managers that have most of *items*, the best one first."""
        some = itertools.islice(self.holders(items), MOST_HOLDERS)
        return sorted(some, key=lambda manager: self.missing(manager, items))

    def _has_holder(self, item: Item) -> bool:
        content = self._contents.get(item.key)
        return content is not None and bool(content.holders)

    def _note(self, item: Item) -> _Content:
        content = self._contents.get(item.key)
        if content is None:
            content = self._contents[item.key] = _Content({}, {})
        content.holdings[item.id] = item.source
        return content

    def _add(self, manager: ManagerId, key: bytes, content: _Content) -> None:
        for each in self._siblings.get(self._hosts.get(manager, ""), (manager,)):
            self._add_to(each, key, content)

    def _add_to(self, manager: ManagerId, key: bytes, content: _Content) -> None:
        content.holders[manager] = None
        self._keys.setdefault(manager, set()).add(key)

    def _forget(self, key: bytes) -> None:
        for manager in self._contents.pop(key).holders:
            keys = self._keys[manager]
            keys.discard(key)
            if not keys:
                del self._keys[manager]


def key_of(blob: BlobId) -> bytes:
    """Digest of the bytes of an item, by its id."""
    return blob[:KEY_SIZE]


def largest(items: Sequence[Item]) -> Sequence[Item]:
    """Those of *items* that count."""
    return items if len(items) <= _MOST_ITEMS else heapq.nlargest(_MOST_ITEMS, items, key=lambda item: item.size)
