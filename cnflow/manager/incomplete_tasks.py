"""Tasks whose large arguments are still on their way, and the pieces of these to ask for. No I/O.

A task that waits here holds no worker, and tasks behind it run::

    hold ── all blobs in the cache ───────────────────────────────────────────────> complete
      └──> incomplete ── next_wants, on_chunk ... ── the last one is here ────────> complete
               ├── on_gone ───────────────────────────────────────────────────────> lost: the task fails, with words
               └── remove: cancelled ─ clear: the manager ends ───────────────────> the caller reports it
    release: the task has ended ──> its blobs stay in the cache as long as there is room
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.wire.blob_frames import check_offers, with_blobs
from cnflow.wire.bulk import KEY_SIZE, Chunk, Gone, Piece, Receiver, Want
from cnflow.wire.pipe import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import TaskId
    from cnflow.manager.blob_cache import BlobCache
    from cnflow.units import Seconds
    from cnflow.wire.bulk import BlobId, Offer
    from cnflow.wire.messages import Task, TaskParcel

_DRIVER = b""


class Lost(NamedTuple):
    """Task without one of its arguments or items."""

    task: Task
    reason: str
    key: bytes = b""
    """That of an item which nobody has any more; empty where the loss is another."""


class _Incoming:
    """Blob on its way.

    Attributes:
        names: that it has in the tasks that wait for it; it is wanted by the last of them.
    """

    __slots__ = ("content", "names")

    def __init__(self, offer: Offer) -> None:
        self.names: dict[BlobId, None] = {offer.blob: None}
        self.content = Pieces()

    @property
    def name(self) -> BlobId:
        """Name by which to want the blob."""
        return next(reversed(self.names))


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
        self._keys: dict[tuple[TaskId, int], list[bytes]] = {}
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
        return bool(self._keys)

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
        keys = [_key_in(offer) for offer in task.blobs]
        self._keys[task.id, task.attempt] = keys
        for key, offer in zip(keys, task.blobs):
            self._cache.hold(key)
            if self._cache.get(key) is None:
                self._ask_for(key, offer)
        if all(self._cache.get(key) is not None for key in keys):
            return self._whole(parcel)
        self._incomplete[task.id, task.attempt] = parcel
        return None

    def release(self, attempts: Iterable[tuple[TaskId, int]]) -> None:
        """Note the end of tasks: their blobs are needed for others only."""
        if not self._keys:
            return
        for attempt in attempts:
            for key in self._cache.release(self._keys.pop(attempt, ())):
                self._stop_asking(key)

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
        key = chunk.blob[:KEY_SIZE]
        incoming = self._incoming.get(key)
        if incoming is None:
            return
        skipped = self._receiver.on_chunk(Piece(key, chunk.offset, len(data)), now)
        if skipped == len(data):
            return
        incoming.content.append(memoryview(data)[skipped:])
        if self._receiver.is_complete(key):
            self._receiver.remove(key)
            self._complete_with(key, incoming.content)

    def on_gone(self, gone: Gone) -> None:
        """Give up what is wanted by a name that nobody has any more."""
        key = gone.blob[:KEY_SIZE]
        incoming = self._incoming.get(key)
        if incoming is None or gone.blob not in incoming.names:
            return
        del incoming.names[gone.blob]
        if not incoming.names:
            self._give_up(key, gone.reason)
        else:
            self._receiver.restart(key)

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

    def _ask_for(self, key: bytes, offer: Offer) -> None:
        incoming = self._incoming.get(key)
        if incoming is None:
            self._incoming[key] = _Incoming(offer)
            self._receiver.add(key, offer.size)
        else:
            incoming.names[offer.blob] = None

    def _stop_asking(self, key: bytes) -> None:
        if self._incoming.pop(key, None) is not None:
            self._receiver.remove(key)

    def _complete_with(self, key: bytes, content: Pieces) -> None:
        del self._incoming[key]
        self._cache.put(key, content)
        for attempt, parcel in list(self._incomplete.items()):
            if all(self._cache.get(other) is not None for other in self._keys[attempt]):
                del self._incomplete[attempt]
                self._complete.append(self._whole(parcel))

    def _give_up(self, key: bytes, reason: str) -> None:
        self._stop_asking(key)
        for attempt in [attempt for attempt in self._incomplete if key in self._keys[attempt]]:
            self._lost.append(Lost(self._incomplete.pop(attempt)[0], reason))

    def _whole(self, parcel: TaskParcel) -> TaskParcel:
        task, frames = parcel
        blobs = [(offer, self._cache.get(_key_in(offer))) for offer in task.blobs]
        return task, with_blobs(frames, blobs)


def _key_in(offer: Offer) -> bytes:
    """Name of the content, at the beginning of the name of an argument's blob."""
    return offer.blob[:KEY_SIZE]
