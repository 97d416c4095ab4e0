"""Names and owners of the large parts of the clients' tasks. No I/O.

Clients name the parts of arguments by themselves: in the pool the number of the client is mixed into the name, so that
two clients may use the same one. Parts of results have names of managers: only the client of the task gets them.

Names of items begin with a digest of their bytes, by which managers check them: there the number is appended::

    argument    key of the client, mixed with its number; generation
    item        digest of the bytes; holding of the client; number of the client
    item that a task has left    named by its manager; only the client of that task may use it, and name it in tasks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import msgspec

from cnflow.wire.bulk import KEY_SIZE, BlobId
from cnflow.wire.item_checks import LARGEST_ID, check_item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.interchange.pool.client import ClientId
    from cnflow.model.item import Item
    from cnflow.wire.bulk import Offer
    from cnflow.wire.messages import ResultParcel, TaskParcel

_MIXED = 4
"""Bytes at the begin of a name into which the number of the client is mixed."""

_CLIENTS = 2 ** (8 * _MIXED)


def renamed(blob: BlobId, client: ClientId) -> BlobId:
    """Name in the pool of an argument, *blob* of *client*, and the reverse."""
    mixed = zip(blob, (client % _CLIENTS).to_bytes(_MIXED, "big"))
    return bytes(mine ^ its for mine, its in mixed) + blob[_MIXED:]


def _appended(item: BlobId, client: ClientId) -> BlobId:
    return b"".join((item, (client % _CLIENTS).to_bytes(_MIXED, "big")))


class BlobOwners:
    """Clients that arguments and items come from, and that results are for."""

    def __init__(self) -> None:
        self._arguments: dict[bytes, ClientId] = {}
        self._items: dict[BlobId, ClientId] = {}
        """Clients' own items, by their names here."""

        self._results: dict[tuple[bytes, BlobId], ClientId] = {}

    def on_tasks(self, client: ClientId, parcels: Iterable[TaskParcel]) -> None:
        """Rename the parts of the arguments of tasks of *client*.

        Raises:
            ValueError: a name is too short to be told apart from those of others.
        """
        for task, _ in parcels:
            if task.blobs:
                task.blobs = tuple(self._with_own_name(client, offer) for offer in task.blobs)
            if task.items:
                task.items = tuple(self._of_client(client, item) for item in task.items)

    def _of_client(self, client: ClientId, item: Item) -> Item:
        check_item(item)
        if item.source:
            if self.result_of(item.source, item.id) not in (client, None):
                raise ValueError("a task with an item of another client")
            return item
        if len(item.id) > LARGEST_ID - _MIXED:
            raise ValueError("the name of an item is too long")
        name = _appended(item.id, client)
        self._items[name] = client
        return item._replace(id=name)

    def _with_own_name(self, client: ClientId, offer: Offer) -> Offer:
        if len(offer.blob) < KEY_SIZE:
            raise ValueError("the name of a part of an argument is too short")
        name = renamed(offer.blob, client)
        self._arguments[name[:KEY_SIZE]] = client
        return msgspec.structs.replace(offer, blob=name)

    def on_results(self, client: ClientId, parcels: Iterable[ResultParcel]) -> None:
        """Note whom the parts of results are for."""
        for result, _ in parcels:
            for offer in result.blobs:
                self._results[offer.source, offer.blob] = client
            for item in result.items:
                self._results[item.source, item.id] = client

    def name_of(self, blob: BlobId, client: ClientId) -> BlobId:
        """Name here of *blob* of *client*, an argument or an item."""
        name = _appended(blob, client)
        return name if name in self._items else renamed(blob, client)

    def clients_name_of(self, name: BlobId, client: ClientId) -> BlobId:
        """Name that *client* has given to what is called *name* here."""
        return name[:-_MIXED] if name in self._items else renamed(name, client)

    def argument_of(self, blob: BlobId) -> Optional[ClientId]:
        """Client that an argument or an item comes from, by its name here; None if nobody needs it."""
        return self._items.get(blob) or self._arguments.get(blob[:KEY_SIZE])

    def result_of(self, source: bytes, blob: BlobId) -> Optional[ClientId]:
        """Client that a part of a result is for; None if nobody waits for it."""
        return self._results.get((source, blob))

    def release_arguments(self, client: ClientId, blobs: Iterable[BlobId]) -> list[BlobId]:
        """Forget *blobs* of *client*; return their names here, but for those of other clients."""
        names = [self.name_of(blob, client) for blob in blobs]
        names = [name for name in names if self._items.get(name, client) == client]  # one may be mixed from another's
        for name in names:
            if self._items.pop(name, None) is not None:
                continue
            if self._arguments.get(name[:KEY_SIZE]) == client:
                del self._arguments[name[:KEY_SIZE]]
        return names

    def release_results(self, client: ClientId, source: bytes, blobs: Iterable[BlobId]) -> list[BlobId]:
        """Forget those of *blobs* that are for *client*, and return them."""
        return [blob for blob in blobs if self.result_of(source, blob) == client and self._results.pop((source, blob))]

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Forget the parts of results that *manager* had."""
        for key in [key for key in self._results if key[0] == manager]:
            del self._results[key]

    def on_client_gone(self, client: ClientId) -> dict[bytes, list[BlobId]]:
        """Forget all that is of *client*; return, by source, what managers keep for it."""
        self._arguments = {key: owner for key, owner in self._arguments.items() if owner != client}
        items = [name for name, owner in self._items.items() if owner == client]
        for name in items:
            del self._items[name]
        kept: dict[bytes, list[BlobId]] = {b"": items} if items else {}
        for source, blob in [key for key, owner in self._results.items() if owner == client]:
            kept.setdefault(source, []).append(blob)
            del self._results[source, blob]
        return kept
