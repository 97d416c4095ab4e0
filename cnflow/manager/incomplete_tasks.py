"""Tasks whose large arguments are still on their way, and the pieces of these to ask for. No I/O.

A task that waits here holds no worker, and tasks behind it run::

    hold ── all blobs in the cache ───────────────────────────────────────────────> complete
      └──> incomplete ── next_wants, on_chunk ... ── the last one is here ────────> complete
               ├── on_gone, wrong digest twice ───────────────────────────────────> lost: the task fails, with words
               └── remove: cancelled ─ clear: the manager ends ───────────────────> the caller reports it
    release: the task has ended ──> its blobs stay in the cache as long as there is room
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.wire.blob_digest import DIGEST_SIZE, Hasher
from cnflow.wire.blob_frames import check_offers, with_blobs
from cnflow.wire.bulk import Chunk, Gone, Piece, Receiver, Want

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import TaskId
    from cnflow.manager.blob_cache import BlobCache
    from cnflow.units import Seconds
    from cnflow.wire.bulk import BlobId, Offer
    from cnflow.wire.messages import Task, TaskParcel

_DRIVER = b""
_MOST_SPOILT = 2
"""Times that a blob may come with another digest than its name."""


class Lost(NamedTuple):
    """Task without one of its arguments."""

    task: Task
    reason: str


class _Incoming:
    """Blob on its way.

    Attributes:
        names: that it has in the tasks that wait for it; it is wanted by the last of them.
    """

    __slots__ = ("buffer", "hasher", "names", "size", "spoilt")

    def __init__(self, offer: Offer) -> None:
        self.size = offer.size
        self.names: dict[BlobId, None] = {offer.blob: None}
        self.buffer = bytearray()
        self.hasher = Hasher()
        self.spoilt = 0

    @property
    def name(self) -> BlobId:
        """Name by which to want the blob."""
        return next(reversed(self.names))

    def append(self, data: memoryview) -> None:
        """Add bytes that follow those that are here."""
        self.buffer += data  # grows: to make gigabytes of zeros at once would stop this process for seconds
        self.hasher.update(data)


class IncompleteTasks:
    """The tasks and their blobs; the module has a picture.

    Args:
        cache: of the blobs that are here.
    """

    def __init__(self, cache: BlobCache) -> None:
        self._cache = cache
        self._receiver = Receiver()
        self._incoming: dict[bytes, _Incoming] = {}
        self._incomplete: dict[tuple[TaskId, int], TaskParcel] = {}
        self._digests: dict[tuple[TaskId, int], list[bytes]] = {}
        """Contents of each task that has not ended."""

        self._complete: list[TaskParcel] = []
        self._lost: list[Lost] = []

    def __len__(self) -> int:
        return len(self._incomplete)

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        return self._receiver.next_deadline

    @property
    def has_blobs(self) -> bool:
        """True while a task that has not ended has large arguments: `release` is to be called."""
        return bool(self._digests)

    def tasks(self) -> list[Task]:
        """Tasks that wait for blobs."""
        return [task for task, _ in self._incomplete.values()]

    def parcels(self) -> list[TaskParcel]:
        """Tasks that wait for blobs, without these."""
        return list(self._incomplete.values())

    def hold(self, parcel: TaskParcel) -> Optional[TaskParcel]:
        """Return *parcel* with its blobs if all of them are here; else keep it, and ask for them.

        Raises:
            ValueError: the offers do not fit the frames.
        """
        task, frames = parcel
        check_offers(task.blobs, len(frames))
        digests = [_digest_in(offer) for offer in task.blobs]
        self._digests[task.id, task.attempt] = digests
        for digest, offer in zip(digests, task.blobs):
            self._cache.hold(digest)
            if self._cache.get(digest) is None:
                self._ask_for(digest, offer)
        if all(self._cache.get(digest) is not None for digest in digests):
            return self._whole(parcel)
        self._incomplete[task.id, task.attempt] = parcel
        return None

    def release(self, attempts: Iterable[tuple[TaskId, int]]) -> None:
        """Note the end of tasks: their blobs are needed for others only."""
        if not self._digests:
            return
        for attempt in attempts:
            for digest in self._cache.release(self._digests.pop(attempt, ())):
                self._stop_asking(digest)

    def remove(self, attempts: Mapping[TaskId, int]) -> list[Task]:
        """Remove and return those of *attempts* that wait here; `release` follows with their result."""
        found = [attempt for attempt in attempts.items() if attempt in self._incomplete]
        return [self._incomplete.pop(attempt)[0] for attempt in found]

    def clear(self) -> list[Task]:
        """Remove and return all tasks that wait here; `release` follows with their results."""
        tasks = self.tasks()
        self._incomplete.clear()
        return tasks

    def take_complete(self) -> list[TaskParcel]:
        """Remove and return the tasks whose blobs are here now."""
        complete, self._complete = self._complete, []
        return complete

    def take_lost(self) -> list[Lost]:
        """Remove and return the tasks that cannot be run."""
        lost, self._lost = self._lost, []
        return lost

    def on_chunk(self, chunk: Chunk, data: Any, now: Seconds) -> None:  # noqa: ANN401 - a frame
        """Accept bytes of a blob."""
        digest = chunk.blob[:DIGEST_SIZE]
        incoming = self._incoming.get(digest)
        if incoming is None:
            return
        skipped = self._receiver.on_chunk(Piece(digest, chunk.offset, len(data)), now)
        if skipped == len(data):
            return
        incoming.append(memoryview(data)[skipped:])
        if self._receiver.is_complete(digest):
            self._receiver.remove(digest)
            self._check(digest, incoming)

    def on_gone(self, gone: Gone) -> None:
        """Give up what is wanted by a name that nobody has any more."""
        digest = gone.blob[:DIGEST_SIZE]
        incoming = self._incoming.get(digest)
        if incoming is None or gone.blob not in incoming.names:
            return
        del incoming.names[gone.blob]
        if not incoming.names:
            self._give_up(digest, gone.reason)
        else:
            self._receiver.restart(digest)

    def on_tick(self, now: Seconds) -> None:
        """Want again what did not arrive in time."""
        self._receiver.on_tick(now)

    def on_connected(self, *, is_local: bool) -> None:
        """Want everything, at once, over a new line, which may stay within this machine."""
        self._receiver.on_reconnected(is_local=is_local)

    def next_wants(self, now: Seconds) -> list[Want]:
        """Requests to send now."""
        if not len(self._receiver):
            return []
        return [
            Want(self._incoming[piece.blob].name, _DRIVER, piece.offset, piece.length)
            for piece in self._receiver.next_wants(now)
        ]

    def _ask_for(self, digest: bytes, offer: Offer) -> None:
        incoming = self._incoming.get(digest)
        if incoming is None:
            self._incoming[digest] = _Incoming(offer)
            self._receiver.add(digest, offer.size)
        else:
            incoming.names[offer.blob] = None

    def _stop_asking(self, digest: bytes) -> None:
        if self._incoming.pop(digest, None) is not None:
            self._receiver.remove(digest)

    def _check(self, digest: bytes, incoming: _Incoming) -> None:
        if incoming.hasher.digest() != digest:
            incoming.spoilt += 1
            if incoming.spoilt == _MOST_SPOILT:
                self._give_up(digest, "it came twice with other bytes than its digest says")
                return
            incoming.hasher = Hasher()
            self._receiver.add(digest, incoming.size)
            return
        del self._incoming[digest]
        self._cache.put(digest, incoming.buffer)
        for attempt, parcel in list(self._incomplete.items()):
            if all(self._cache.get(other) is not None for other in self._digests[attempt]):
                del self._incomplete[attempt]
                self._complete.append(self._whole(parcel))

    def _give_up(self, digest: bytes, reason: str) -> None:
        self._stop_asking(digest)
        for attempt in [attempt for attempt in self._incomplete if digest in self._digests[attempt]]:
            self._lost.append(Lost(self._incomplete.pop(attempt)[0], reason))

    def _whole(self, parcel: TaskParcel) -> TaskParcel:
        task, frames = parcel
        blobs = [(offer, self._cache.get(_digest_in(offer))) for offer in task.blobs]
        return task, with_blobs(frames, blobs)


def _digest_in(offer: Offer) -> bytes:
    """Digest in the name of an argument's blob."""
    return offer.blob[:DIGEST_SIZE]
