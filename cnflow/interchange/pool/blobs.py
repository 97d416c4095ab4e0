"""Names and owners of the large parts of the clients' tasks. No I/O.

Clients name the parts of arguments by themselves: in the pool the number of the client is mixed into the name, so that
two clients may use the same one. Parts of results have names of managers: only the client of the task gets them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import msgspec

from cnflow.wire.bulk import KEY_SIZE, BlobId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.interchange.pool.client import ClientId
    from cnflow.wire.bulk import Offer
    from cnflow.wire.messages import ResultParcel, TaskParcel

_MIXED = 4
"""Bytes at the begin of a name into which the number of the client is mixed."""

_CLIENTS = 2 ** (8 * _MIXED)


def renamed(blob: BlobId, client: ClientId) -> BlobId:
    """Name in the pool of *blob* of *client*, and the reverse."""
    mixed = zip(blob, (client % _CLIENTS).to_bytes(_MIXED, "big"))
    return bytes(mine ^ its for mine, its in mixed) + blob[_MIXED:]


class BlobOwners:
    """Clients that arguments come from and that results are for."""

    def __init__(self) -> None:
        self._arguments: dict[bytes, ClientId] = {}
        self._results: dict[tuple[bytes, BlobId], ClientId] = {}

    def on_tasks(self, client: ClientId, parcels: Iterable[TaskParcel]) -> None:
        """Rename the parts of the arguments of tasks of *client*.

        Raises:
            ValueError: a name is too short to be told apart from those of others.
        """
        for task, _ in parcels:
            if task.blobs:
                task.blobs = tuple(self._with_own_name(client, offer) for offer in task.blobs)

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

    def argument_of(self, blob: BlobId) -> Optional[ClientId]:
        """Client that an argument comes from, by its name here; None if nobody needs it."""
        return self._arguments.get(blob[:KEY_SIZE])

    def result_of(self, source: bytes, blob: BlobId) -> Optional[ClientId]:
        """Client that a part of a result is for; None if nobody waits for it."""
        return self._results.get((source, blob))

    def release_arguments(self, client: ClientId, blobs: Iterable[BlobId]) -> list[BlobId]:
        """Forget *blobs* of *client*; return their names here."""
        names = [renamed(blob, client) for blob in blobs]
        for name in names:
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
        """Forget all that is of *client*; return what managers keep for it."""
        self._arguments = {key: owner for key, owner in self._arguments.items() if owner != client}
        kept: dict[bytes, list[BlobId]] = {}
        for source, blob in [key for key, owner in self._results.items() if owner == client]:
            kept.setdefault(source, []).append(blob)
            del self._results[source, blob]
        return kept
